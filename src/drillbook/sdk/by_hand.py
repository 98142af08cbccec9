"""Commands with which a person does a step of a drill without Drillbook. The runbook of a drill shows them.

A system declares them in its module ``by_hand``, for those of its actions that a command of the usual tools can replace. The
commands ask for passwords, and never contain them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drillbook.sdk import discovery, plugin_loading
from drillbook.sdk.host import Target
from drillbook.sdk.service import Service


@dataclass(frozen=True, slots=True)
class ManualStep:
    """A step that a person does. ``params``: its parameters, with words in place of values that are known only during a
    run.

    ``service``: the service in the step's parameters. ``target``: the host where the commands are typed; None for the machine
    that runs Drillbook. ``folder``: folder into which the commands of an earlier step restore the service by hand. It is empty
    if no such step restores the service.
    """

    params: Mapping[str, Any]
    service: Service | None
    target: Target | None
    hosts: Mapping[str, Target]
    folder: str = ""

    @property
    def copied(self) -> bool:
        """True when the service is a copy that the drill restores into a sandbox."""
        return getattr(self.service, "sandbox", None) is not None

    @property
    def place(self) -> str:
        """Name of the host on which a person types the commands of a step that a drill carries out from the controller. The
        name is empty when the person types these commands on the controller, too.
        """
        there = self.copied or getattr(self.service, "reach", "") == "ssh"
        there = there or bool(getattr(getattr(self.service, "admin", None), "socket", ""))  # a login that works there alone
        return self.service.host if there and self.service else ""

    @property
    def address(self) -> str:
        """Address at which the typed commands reach the service. A copy in a sandbox is reached by a socket in the folder
        into which the person restored it. If no command restores it by hand, its address is a placeholder for this path.
        """
        if self.copied:
            return self.folder or "<folder of the restored copy>"
        if self.target is not None and self.service and self.target.name == self.service.host:
            return str(getattr(self.service, "address", "") or "127.0.0.1")
        host = self.hosts.get(self.service.host) if self.service else None
        return str(getattr(self.service, "address", "") or (host.address if host and not host.local else "") or "127.0.0.1")


Commands = Callable[[ManualStep], tuple[str, ...]]
"""Function that returns the commands of a step, each as one line for a shell."""


def commands(action: str, step: ManualStep) -> tuple[str, ...]:
    """Return the commands with which a person does a step with ``action``. The result is empty when no command of the usual
    tools does it.
    """
    for system in discovery.systems():
        if system.by_hand and action.partition(".")[0] in system.actions:
            known: Mapping[str, Commands] = plugin_loading.table(system, "by_hand", "BY_HAND", callable)
            if action in known:
                return tuple(line for text in known[action](step) for line in text.splitlines())
    return ()

"""Types in which an action, or its system, declares its needs on a host: programs, rights and ports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto


class BySudo(Flag):
    """Commands that an action itself starts by `sudo`. The host needs rules of sudo for these commands."""

    UNIT = auto()
    """Commands that start and stop the unit of the service, if the service manager of the host has `sudo: true`."""
    ROOT = auto()
    """Further commands that run as root, if the service manager of the host has `sudo: true`."""
    RUN_AS = auto()
    """Programs that run as the user `run_as` of the service."""


NOTHING = BySudo(0)
"""Value of ``HostNeeds.by_sudo`` for an action that itself starts no command by `sudo`."""


@dataclass(frozen=True, slots=True)
class HostNeeds:
    """Needs of an action on a host. All fields are empty for an action without needs.

    ``commands``: required programs that are not in ``BASE``. ``either``: groups of programs. Of each group, one program is
    required. ``ports``: text about the required ports. ``rights``: text about the required account or rights.

    ``by_sudo``: the kinds of commands that the action itself starts by `sudo`. ``scripted``: True when only scripts of `sh -c`
    start the ``commands``. Then sudo must allow the shell, and not the programs.
    """

    commands: tuple[str, ...] = ()
    rights: str = ""
    ports: str = ""
    either: tuple[tuple[str, ...], ...] = ()
    by_sudo: BySudo = NOTHING
    scripted: bool = False

    @property
    def programs(self) -> set[str]:
        """Names of all programs that the action may run, except those in ``BASE``."""
        return {*self.commands, *(name for group in self.either for name in group)}

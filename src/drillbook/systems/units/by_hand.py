"""Commands of the service manager for the actions `service.*`, as a person types them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from drillbook.sdk.by_hand import Commands, ManualStep
from drillbook.sdk.manager import Manager, manager_with


def _of(*verbs: str) -> Commands:
    """Return the function that makes the commands for ``verbs``: `start`, `stop` or `query`."""

    def made(step: ManualStep) -> tuple[str, ...]:
        if step.target is None or step.service is None or not step.service.unit:
            return ()
        manager: Manager = manager_with(step.target.manager)
        commands: list[Sequence[str]] = [getattr(manager, verb)(step.service.unit) for verb in verbs]
        return tuple(map(shlex.join, commands))

    return made


BY_HAND: dict[str, Commands] = {
    "service.status": _of("query"),
    "service.start": _of("start"),
    "service.stop": _of("stop"),
    "service.restart": _of("stop", "start"),
    "service.serve": _of("start"),
}

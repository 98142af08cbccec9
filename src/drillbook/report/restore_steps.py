"""Finds the steps that restored a backup. Only the results of the steps are used, so this also works for old journals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from drillbook.errors import DrillbookError
from drillbook.sdk.action import find
from drillbook.sdk.in_place import RestoresSource

RESTORE = "backup.restore"


class Told(Protocol):
    """The part of a step's result that tells whether the step restored a backup."""

    @property
    def id(self) -> str:
        """Id of the step, which begins with its phase."""
        ...

    @property
    def action(self) -> str:
        """Name of the action."""
        ...

    @property
    def status(self) -> str:
        """Status of the step, such as ``done``."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Facts of the step."""
        ...


AnyStep = TypeVar("AnyStep", bound=Told)


def restores(steps: Sequence[AnyStep]) -> list[AnyStep]:
    """Return the steps of the restore phase that restored a backup."""
    return [step for step in steps if step.id.startswith("restore.") and restored_backup(step)]


def restored_backup(step: Told) -> bool:
    """Return True when the step is done and restored a backup.

    There are two signs of a restored backup. Either the step has the fact ``made``, which identifies the restored data. Or
    the step names a backup in its facts, and its action restores from a backup source. The name of a backup alone is no
    sign, because a step that only verifies a backup has it, too.
    """
    if step.status != "done":
        return False
    made = step.facts.get("made")
    return (isinstance(made, Mapping) and "unknown" not in made) or from_source(step)


def from_source(step: Told) -> bool:
    """Return True when the step names a backup, and its action restores backups from a backup source."""
    return isinstance(step.facts.get("backup"), Mapping) and restores_source(step.action)


def restores_source(action: str) -> bool:
    """Return True when the action restores backups that a team took with its own tools, from a backup source of the
    inventory (key `backups`). Returns False for an unknown action.
    """
    if action == RESTORE:
        return True
    try:
        return issubclass(find(action), RestoresSource)
    except DrillbookError:
        return False

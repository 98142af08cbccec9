"""Words about restored backups that drills took, or that were taken while a drill ran. The age of such a backup tells nothing about
the age of a routine backup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drillbook.report.figures import one_line
from drillbook.report.restore_steps import Told, restores
from drillbook.sdk.run_names import drill_of

NOT_PROVEN = "so no routine backup was proven, and this is not the age of one"


def taken_by_drill(steps: Sequence[Told]) -> str:
    """Return a text for a run that restored only backups which drills took. The age of such a backup tells nothing about
    the age of a routine backup. ``steps``: all steps of the run.

    The result is empty if the run restored no backup, or at least one backup that no drill took.
    """
    texts = [origin(step, steps) for step in restores(steps)]
    return texts[0] if texts and all(texts) else ""


def origin(restored: Told, steps: Sequence[Told]) -> str:
    """Return a text about a restored backup if a drill took this backup. The result is empty for any other backup, and for a
    backup by the drill that takes the routine backups.

    The step that searched for the backup records which drill took it. Without such a record, the drill is found by the
    address of the backup, which contains the name of the run that took the backup. ``restored``: step that restored the
    backup. ``steps``: all steps of the run.
    """
    address = restored.facts.get("manifest")
    for step in steps:
        if address and step.facts.get("manifest") == address and "routine" in step.facts:
            return "" if step.facts["routine"] else _by_drill(str(step.facts.get("taken_by")))
    backup = restored.facts.get("backup")
    addresses = (address, backup.get("id") if isinstance(backup, Mapping) else None)
    parts = [part for text in addresses if isinstance(text, str) for part in text.split("/")]
    return _by_drill(next(filter(None, map(drill_of, parts)), ""))


def taken_during(restored: Told) -> str:
    """Return a text about a restored backup that was taken while a drill ran. Runs of older versions did not record this."""
    backup = restored.facts.get("backup")
    drill = backup.get("taken_during") if isinstance(backup, Mapping) else None
    return f"a backup that was taken while the drill {one_line(drill)} ran" if drill else ""


def not_routine(steps: Sequence[Told]) -> str:
    """Return a text for a run that restored only backups which are perhaps no routine backups, because drills took them, or
    because drills ran that took backups. The result is empty for any other run."""
    texts = [not_routine_of(step, steps) for step in restores(steps)]
    return texts[0] if texts and all(texts) else ""


def not_routine_of(restored: Told, steps: Sequence[Told]) -> str:
    """Return the text of ``not_routine`` about the backup that the step ``restored`` restored."""
    return origin(restored, steps) or taken_during(restored)


def during_drill(steps: Sequence[Told]) -> bool:
    """Return True for a run that restored a backup which was taken while a drill ran. Before the next routine backup, the drill
    would restore the same backup again."""
    return any(map(taken_during, restores(steps)))


def _by_drill(drill: str) -> str:
    return f"a backup that the drill {one_line(drill)} took" if drill else ""

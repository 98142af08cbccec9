"""Decides whether the RPO that a canary measured is doubtful, because the fault or the restore was a command or a statement
that the team wrote.

Nobody knows which data such a command removes and restores. If the canary lost no write, the command perhaps changed none of
the canary's records. The RPO of the canary then tells nothing about the data that was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drillbook.errors import DrillbookError
from drillbook.judge.result import Objective
from drillbook.judge.rpo import OF_BACKUP
from drillbook.report.restore_steps import Told, restored_backup
from drillbook.sdk.action import OTHER_SERVICE, Action, find, known_names

READ = "read"
"""Fact ``effect`` of a command that changes nothing."""


def doubtful(steps: Sequence[Told], rpo: Objective | None) -> bool:
    """Return True when the RPO does not prove that the lost data came back, because it was measured on other data: the
    records of a canary. This is possible after a command of the team caused the fault or restored the data, since nobody
    knows which data a command changes.

    Each of three facts rules it out: the canary lost writes; an action, not a command, restored all data; or a step compared
    the content before the fault with the content after the restore. Only restores and comparisons of the drill's service, or
    of a service that a probe checks, are considered.
    """
    if rpo is None or rpo.measured_s is None or rpo.lost_writes or rpo.clock == OF_BACKUP:
        return False
    done = [step for step in steps if step.status in ("done", "allowed")]
    broken = any(_commanded(step) for step in done if step.id.startswith("inject."))
    mending = [step for step in done if step.id.startswith("restore.")]
    mended = any(map(_commanded, mending)) and not any(map(_restored, mending))
    return (mended or (broken and not _restored_all(mending))) and not _compared(done)


def _commanded(step: Told) -> bool:
    """Return True when the step ran a command of the team that may have changed any data.

    The fact ``effect`` of the step tells whether the command changed data. Older versions did not record this fact. Without
    it, an action that only reads by default, such as `postgres.sql`, counts as having changed nothing, and any other command
    counts as having changed data.
    """
    kind = _action(step.action)
    if kind is None or not kind.ANY_DATA:
        return False
    reads = any(field.alias == "effect" and field.default == READ for field in kind.model_fields.values())
    return str(step.facts.get("effect", READ if reads else "")) != READ


def _restored(step: Told) -> bool:
    """Return True when the step restored a backup of the drill's service, or of a service that a probe checks."""
    return restored_backup(step) and OTHER_SERVICE not in step.facts


def _restored_all(steps: Iterable[Told]) -> bool:
    """Return True when a step restored a backup, and not only a part of it such as one table."""
    restored = {step.action for step in steps if _restored(step)}
    if not restored:
        return False
    parts = {name for kind in map(find, known_names()) for name in kind.RESTORES_WITH[1:]}
    return bool(restored - parts)


def _compared(done: Sequence[Told]) -> bool:
    """Return True when a step of the phase `verify` compared content with a record from before the fault."""
    done = [step for step in done if OTHER_SERVICE not in step.facts]
    recorded = {step.action for step in done if step.id.startswith(("ready.", "backup."))}
    wanted = {
        kind.COMPARES_WITH
        for step in done
        if step.id.startswith("verify.") and step.status == "done" and (kind := _action(step.action))
    }
    return bool(recorded & (wanted - {""}))


def _action(name: str) -> type[Action] | None:
    """Return the class of an action, or None when this version does not know the action."""
    try:
        return find(name)
    except DrillbookError:
        return None

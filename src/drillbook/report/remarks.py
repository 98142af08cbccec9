"""Remarks on figures: a recovery point that is that of the drill's own backup, and who noticed the fault.

They are derived from the steps of the run, so they hold for every journal, old or new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.judge import detection
from drillbook.judge.result import StepResult
from drillbook.report.figures import moment, one_line

MARK = "†"
"""Stands beside an RPO of the drill's own backup where there is no room for the sentence ``OWN_BACKUP``."""
OWN_BACKUP = "The drill itself took the restored backup just before the fault, so this is not the RPO of the nightly backup."
LEGEND = f"{MARK} {OWN_BACKUP}"
PROBE = "by the drill's probe"


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark on one figure: a sentence, and its short forms for lists."""

    text: str
    mark: str = ""
    """Mark beside the figure."""
    by: str = ""
    """Observer, beside the name of the figure."""


@dataclass(frozen=True, slots=True)
class Step:
    """The part of a step's result from which remarks are made."""

    id: str
    action: str
    status: str
    facts: Mapping[str, Any]


def legend(marks: Iterable[str]) -> str:
    """Return the meaning of the mark beside an RPO. The result is empty when no mark is shown."""
    return LEGEND if any(MARK in mark for mark in marks) else ""


def steps_of(told: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Return the steps in a ``result.json``, of any version."""
    return [
        Step(str(one.get("id", "")), str(one.get("action", "")), str(one.get("status", "")), one.get("facts") or {})
        for one in told
    ]


def of_run(steps: Sequence[Step | StepResult], started: str) -> dict[str, Remark]:
    """Return the remarks on the figures of a run, by the key of the objective.

    ``started``: start of the run.
    """
    by = noticed(steps)
    short = "probe" if by == PROBE else by.removeprefix("by the ").removeprefix("last of the ")
    found = {"detect": Remark(f"noticed {by}", by=short)}
    return found | ({"rpo": Remark(OWN_BACKUP, f" {MARK}")} if own_backup(steps, started) else {})


def own_backup(steps: Sequence[Step | StepResult], started: str) -> bool:
    """Return True when the run restored a backup that it had taken itself.

    A step of the phase `backup` stored the restored backup, or the restored backup is younger than the run.
    """
    done = [step for step in steps if step.status == "done"]
    taken = {
        _manifest(step.facts, "identity") for step in done if step.id.startswith("backup.") and "location" in step.facts
    }
    restored = [step for step in done if step.id.startswith("restore.")]
    return any(_manifest(step.facts, "made") in taken - {""} or _younger(step.facts, started) for step in restored)


def noticed(steps: Sequence[Step | StepResult]) -> str:
    """Return the observer of the fault, such as ``by the alert ApiDown``: the alert that the drill awaits, or its probe."""
    steps = [step for step in steps if step.id.startswith("detect.")]
    awaited = [step for step in steps if step.action == detection.FIRES] or [
        step for step in steps if step.action == detection.RECEIVED
    ]
    if not awaited:
        return PROBE
    names = sorted({name for step in awaited for name in _alerts(step.facts)})
    if not names:
        return "by the expected alert"
    return f"by the alert {names[0]}" if len(names) == 1 else f"by the last of the alerts {', '.join(names)}"


def _alerts(facts: Mapping[str, Any]) -> list[str]:
    alerts = facts.get("alerts")
    told = [one for one in alerts if isinstance(one, Mapping)] if isinstance(alerts, Sequence) else []
    names = [one.get("alert") or (one.get("labels") or {}).get("alertname") for one in told]
    return [one_line(name) for name in names if name]


def _manifest(facts: Mapping[str, Any], key: str) -> str:
    told = facts.get(key)
    return str(told.get("manifest") or "") if isinstance(told, Mapping) else ""


def _younger(facts: Mapping[str, Any], started: str) -> bool:
    """Return True when the restored backup of a source was taken after the start of the run."""
    backup = facts.get("backup")
    taken = moment(str(backup.get("taken_at"))) if isinstance(backup, Mapping) else None
    begun = moment(started)
    return taken is not None and begun is not None and taken >= begun

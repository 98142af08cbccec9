"""Remarks on the figures of a run. A remark tells why a measured RPO does not prove its objective (a reservation), or
whether an alert or the drill's own probe detected the fault.

The remarks are derived from the steps of the run, so they can be made for every journal, old or new.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drillbook.judge import detection, shortfall
from drillbook.judge.later_steps import lasting
from drillbook.judge.result import Objective, Result, StepResult
from drillbook.report import own_commands
from drillbook.report.figures import moment, one_line
from drillbook.report.restore_steps import restores
from drillbook.sdk.backup_source import PRINTED_BASIS

MARK = "†"
"""Sign (a footnote mark) beside the RPO of a run that restored a backup which the drill itself took. Tables show it instead
of the sentence ``OWN_BACKUP``.
"""
OWN_BACKUP = "The drill itself took the restored backup just before the fault, so this is not the RPO of a routine backup."
OWN_REHEARSED = "The drill itself took the restored backup, so a restore of a routine backup may lose more data."
"""Sentence that replaces ``OWN_BACKUP`` for a rehearsal, because a rehearsal injects no fault."""
RECENT_MARK = "‡"
"""Sign beside the RPO of a run whose restored backup was taken during this run, by the drill or by a routine job."""
RECENT_BACKUP = "The restored backup was taken during the run; with an older backup, more would be lost."
EARLIER_MARK = "‖"
"""Sign beside the data loss in a rehearsal, if an earlier run of a drill took the restored backup, or ran when it was taken."""
SHORT_MARK = "§"
"""Sign beside the RPO of a run in which less data came back than the fault removed. A second sign may follow it."""
MAY_NOT_COUNT = "the RPO possibly leaves out the data that did not come back"
SHORT = f"Less data came back than the fault removed, and {MAY_NOT_COUNT}."
OWN_ROWS_MARK = "¶"
"""Sign beside the RPO of a canary, if the team's own commands removed and restored the data. The RPO covers only the canary's
own rows, so it may not cover this data.
"""
OWN_ROWS = (
    "This is the RPO of the canary's own rows only: the drill does not know which data the team's commands and manual steps "
    "removed and restored. To prove the RPO of this data, compare the content before the fault and after the restore (content.take, "
    "content.matches)."
)
TAKEN = {MARK: "a backup that this run took", RECENT_MARK: "a backup taken during this run"}
"""Words for a backup that was taken during the run that restored it. The key of each entry is a sign that ``fresh`` returns.
Reports show this sign beside the RPO.
"""
LEGENDS = {
    OWN_ROWS_MARK: f"{OWN_ROWS_MARK} {OWN_ROWS}",
    SHORT_MARK: f"{SHORT_MARK} {SHORT}",
    MARK: f"{MARK} {OWN_BACKUP}",
    RECENT_MARK: f"{RECENT_MARK} {RECENT_BACKUP}",
}
WHY = {
    OWN_ROWS_MARK: "the figure covers the canary's own rows only",
    SHORT_MARK: "data did not come back",
    MARK: "the drill itself took the restored backup",
    RECENT_MARK: "the restored backup was taken during the run",
    EARLIER_MARK: "an earlier run of a drill took the restored backup, or ran when it was taken",
}
"""Reason for the reservation in a few words. The key of each entry is the sign beside the figure."""
LOST_DATA = f"{SHORT_MARK} {WHY[SHORT_MARK]}; the RPO of a passed run is then met, but not proven."
"""Meaning of ``SHORT_MARK`` at a verdict, of a run that passed or not."""
AT_VERDICT = f"{EARLIER_MARK} no routine backup"
"""Sign and words beside the verdict of a rehearsal that passed, but restored no routine backup."""
NOT_ROUTINE = (
    f"{EARLIER_MARK} passed, but restored a backup taken by a drill or during one: proves no routine backup. Repeat the drill "
    "after the next routine backup."
)
"""Meaning of ``EARLIER_MARK`` at a verdict."""
SECOND = 1.0
"""Largest measurement error, in seconds, that is assumed for the time at which a base backup with an archived log was taken.
The field ``error_s`` of such a backup is about another time: it is the measurement error of the time of the newest data.
"""
FRESH, MISSING, UNKNOWN = "fresh backup", "missing data", "unknown data"
REASONS = {MARK: FRESH, RECENT_MARK: FRESH, SHORT_MARK: MISSING, OWN_ROWS_MARK: UNKNOWN}
"""Kind of each reservation, which is a reason to doubt a figure. The key is the sign, such as ``†``, that reports show beside such
a figure. The audit has its own words and its own next step for each kind.
"""
RESERVED = "met with a reservation"
"""State of an objective whose figure is within the target, but has a sign such as ``†`` beside it (a key of ``REASONS``).
Such an objective does not count as proven."""
RESERVATION = f"An objective within its target that has such a mark is {RESERVED}: it does not count as proven."
REMOVED_BY = (
    "only a drill that restores in place a backup older than its run removes {reservation} "
    "(documentation: drills.md, 'Restores')"
)
"""Clause that tells how a team can get an RPO without this reservation. It is used for an RPO with the sign ``MARK`` or
``RECENT_MARK``.
"""
PROBE = "by the drill's probe"
BY_PROBE = "probe"
"""Short form of ``PROBE``. The field ``by`` of a ``Remark`` has this value if the drill's own probe detected the fault."""
NO_ALERT = "The drill awaited no alert, so this figure proves no alerting."
APART = "Such a detection measures the probe and proves no alerting, so it is not counted among the objectives proven."
"""Sentence about detections by the drill's own probe. A text with the number of proven objectives also contains the number of
these detections. The sentence stands after this second number.
"""


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark on one figure: a sentence, and its short forms for lists."""

    text: str
    mark: str = ""
    """Sign beside the figure, such as ``†``."""
    by: str = ""
    """Name of the observer of a detection, shown beside the name of the figure."""
    lost: str = ""
    """Text about a known loss of data that the figure, an RPO, possibly does not include. The text is shown before the
    figure.
    """
    excepted: str = ""
    """Data to which the figure does not apply, if ``lost`` tells a loss that the figure may not include, such as
    ``restored tables``.
    """

    @property
    def state(self) -> str:
        """State of an objective whose figure is within the target, but has a mark such as ``†``. Without a known loss
        (``lost``), the state is ``RESERVED``. With one, it names the data for which the objective is not met, as in
        ``met, but not measured for restored tables``.
        """
        return f"met, but not measured for {self.excepted}" if self.lost else RESERVED


@dataclass(frozen=True, slots=True)
class Step:
    """The part of a step's result from which remarks are made."""

    id: str
    action: str
    status: str
    facts: Mapping[str, Any]


def by_probe(key: str, by: str) -> bool:
    """Return True for a detection by the drill's own probe. Such a detection proves no alerting, so it is not counted among
    the proven objectives. ``key``: objective. ``by``: observer that detected the fault, as in ``Remark.by``.
    """
    return key == "detect" and by == BY_PROBE


def not_proven(mark: str, said: str = RESERVED) -> str:
    """Return words for an objective that was met with a reservation: it was met, it does not count as proven, and why. ``said``:
    words for its state, such as ``RESERVED``.
    """
    why = "; ".join(text for sign, text in WHY.items() if sign in mark)
    return f"{'met' if said == RESERVED else said}, not proven: {why}"


def without_marks(figure: str) -> str:
    """Return ``figure`` without its marks, for a place where nothing explains them."""
    return re.sub(rf" ?[{''.join(LEGENDS)}]+", "", figure)


def legend(marks: Iterable[str], before: Iterable[str] = ()) -> str:
    """Return the meanings of the marks beside an RPO, and their consequence. The result is empty when no mark is shown.
    ``before``: marks that the page has already explained.
    """
    all_, known = "".join(marks), "".join(before)
    shown = "".join(mark for mark in LEGENDS if mark in all_ and mark not in known)
    texts = [text for mark, text in LEGENDS.items() if mark in shown]
    old = " and ".join(mark for mark in TAKEN if mark in shown)
    removed = f"{REMOVED_BY[:1].upper()}{REMOVED_BY[1:]}.".format(reservation=old) if old else ""
    return " ".join(filter(None, [*texts, RESERVATION, removed])) if texts else ""


def short_legend(marks: Iterable[str]) -> str:
    """Return the meanings of the marks beside an RPO in a few words. The result is empty when no mark is shown."""
    shown = "".join(marks)
    return " ".join(f"{mark} {text}." for mark, text in WHY.items() if mark in shown)


def steps_of(told: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Return the steps in a ``result.json``, of any version."""
    return [
        Step(str(step.get("id", "")), str(step.get("action", "")), str(step.get("status", "")), step.get("facts") or {})
        for step in told
    ]


def reasons(marks: str) -> frozenset[str]:
    """Return the kinds of reservation that the marks in the text ``marks`` stand for."""
    return frozenset(REASONS[mark] for mark in marks if mark in REASONS)


def why(remark: Remark) -> str:
    """Return the reasons for the reservation of a figure in a few words. A known loss, such as ``at least 6 rows lost``, comes
    first.
    """
    reasons = [remark.lost if sign == SHORT_MARK else text for sign, text in WHY.items() if sign in remark.mark]
    return ", and ".join(sorted(reasons, key=lambda reason: reason != remark.lost))


def of_result(result: Result) -> dict[str, Remark]:
    """Return the remarks on the figures of a run. The key of each remark is the key of its objective. If only a recovery restored
    the data, the remark on the RPO is about this restore.
    """
    return of_run(lasting(result.steps, result.later_steps), result.started, result.objectives.get("rpo"))


def of_run(steps: Sequence[Step | StepResult], started: str, rpo: Objective | None) -> dict[str, Remark]:
    """Return the remarks on the figures of a run; see ``of_result``.

    ``steps``: steps that tell which data was lost; see ``later_steps.lasting``. ``started``: start of the run. ``rpo``: objective on
    the RPO with its measurement, if the drill sets one.
    """
    by = observer(steps)
    short = by.removeprefix("by the ").removeprefix("last of the ")
    remarks = {"detect": Remark(NO_ALERT, by=BY_PROBE) if by == PROBE else Remark(f"Detected {by}.", by=short)}
    told = _of_shortfall(steps, _of_commands(steps, rpo, of_backup(steps, started)))
    return remarks | ({"rpo": told} if told else {})


def shortfalls(steps: Iterable[Step | StepResult]) -> list[str]:
    """Return clauses about the data that the fault removed and that did not come back."""
    return [one_line(short.text) for short in shortfall.shortfalls(steps)]


def beside_loss(result: Result) -> str:
    """Return the text that follows an RPO if less data came back than the fault removed. The text tells for which data the RPO
    was not measured, and ends with ``SHORT_MARK``. The result is empty for any other run.
    """
    known = shortfall.shortfalls(lasting(result.steps, result.later_steps))
    return f", but not measured for {known[0].kind} {SHORT_MARK}" if known else ""


def _of_commands(steps: Sequence[Step | StepResult], rpo: Objective | None, told: Remark | None) -> Remark | None:
    """Return the remark on the RPO. If the RPO is doubtful (see ``own_commands.doubtful``), this is ``told`` with the
    sentence ``OWN_ROWS`` and the mark of this sentence. Otherwise it is ``told`` unchanged. ``told``: the remark so far.
    """
    if not own_commands.doubtful(steps, rpo):
        return told
    return Remark(
        " ".join([OWN_ROWS, *([told.text] if told else [])]), f" {OWN_ROWS_MARK}{told.mark.strip() if told else ''}"
    )


def _of_shortfall(steps: Sequence[Step | StepResult], told: Remark | None) -> Remark | None:
    """Return the remark ``told`` with a sentence about the missing data, and with the mark ``SHORT_MARK``, if less data came
    back than was removed. Otherwise return ``told`` unchanged.
    """
    clauses = shortfalls(steps)
    if not clauses:
        return told
    known = shortfall.shortfalls(steps)
    lost = " and ".join(one_line(short.lost) for short in known)
    text = "; ".join(clauses)
    text = f"{text[:1].upper()}{text[1:]}; {MAY_NOT_COUNT}."
    more = told or Remark("")
    return Remark(f"{text} {more.text}".strip(), f" {SHORT_MARK}{more.mark.strip()}", lost=lost, excepted=known[0].kind)


def of_backup(steps: Sequence[Step | StepResult], started: str) -> Remark | None:
    """Return the remark on the RPO of a run that restored a backup which was taken during the run. Returns None for any other
    run.

    If a step of the phase `backup` stored the backup, the remark says that the drill itself took it. Otherwise a routine job
    may have taken it, and the remark says only that it was taken during the run.
    """
    marks = {fresh(step, steps, started) for step in restores(steps)}
    if MARK in marks:
        return Remark(OWN_BACKUP, f" {MARK}")
    return Remark(RECENT_BACKUP, f" {RECENT_MARK}") if RECENT_MARK in marks else None


def fresh(restored: Step | StepResult, steps: Sequence[Step | StepResult], started: str) -> str:
    """Return the sign that reports show beside the RPO when the restored backup was taken during the run. For an older
    backup, the result is empty.

    ``restored``: step that restored the backup. ``steps``: all steps of the run. ``started``: start of the run.
    """
    taken = {
        _manifest(step.facts, "identity")
        for step in steps
        if step.status == "done" and step.id.startswith("backup.") and "location" in step.facts
    }
    if _manifest(restored.facts, "made") in taken - {""}:
        return MARK
    return RECENT_MARK if _during(restored.facts, started) else ""


def taken_by_run(steps: Sequence[Step | StepResult], started: str) -> str:
    """Return a text about the restored backup if a run restored only backups that were taken during this run.

    The result is empty for a run that restored an older backup, or none.
    """
    marks = [fresh(step, steps, started) for step in restores(steps)]
    return TAKEN[MARK if MARK in marks else RECENT_MARK] if marks and all(marks) else ""


def awaited(steps: Sequence[Step | StepResult]) -> list[Step | StepResult]:
    """Return those steps of the detect phase that wait for the alert which ends the detection. All returned steps have the
    same action.
    """
    return detection.ending([step for step in steps if step.id.startswith("detect.")])


def received(steps: Sequence[Step | StepResult]) -> bool:
    """Return True when the detection ends with the first answer of Alertmanager that the alert is active.

    Return False when the detection ends with the start of the alert, and when the drill waits for no alert.
    """
    return any(step.action == detection.RECEIVED for step in awaited(steps))


def observer(steps: Sequence[Step | StepResult]) -> str:
    """Return a text that names the observer of the fault, such as ``by the alert ApiDown``.

    The observer is the alert for which the drill waits. If the drill waits for no alert, the observer is its own probe.
    """
    expected = awaited(steps)
    if not expected:
        return PROBE
    names = sorted({name for step in expected for name in _alerts(step.facts)})
    if not names:
        return "by the expected alert"
    return f"by the alert {names[0]}" if len(names) == 1 else f"by the last of the alerts {', '.join(names)}"


def _alerts(facts: Mapping[str, Any]) -> list[str]:
    alerts = facts.get("alerts")
    told = [alert for alert in alerts if isinstance(alert, Mapping)] if isinstance(alerts, Sequence) else []
    names = [alert.get("alert") or (alert.get("labels") or {}).get("alertname") for alert in told]
    return [one_line(name) for name in names if name]


def _manifest(facts: Mapping[str, Any], key: str) -> str:
    told = facts.get(key)
    return str(told.get("manifest") or "") if isinstance(told, Mapping) else ""


def printed(facts: Mapping[str, Any]) -> bool:
    """Return True when ``facts`` describe a backup that a command prints. The age of the data of such a backup is unknown.

    Earlier versions of Drillbook computed a loss of data for such a backup from the start of the command. That figure is wrong.
    """
    return str(facts.get("basis", "")).startswith(PRINTED_BASIS)


def _during(facts: Mapping[str, Any], started: str) -> bool:
    """Return True when the restored backup may have data from after the start of the run. ``facts``: facts of the step that
    restored the backup.

    The time of the data is known with an error, so its latest possible value is compared with the start of the run. For a
    backup with point-in-time recovery, an error of at most one second is assumed. Returns False for a backup that a command
    prints, because only the start of the command is known, and not the time of the data.
    """
    told = facts.get("backup")
    backup = told if isinstance(told, Mapping) else {"taken_at": facts.get("snapshot_at")}
    ended, begun = moment(str(backup.get("taken_at"))), moment(started)
    if ended is None or begun is None or printed(backup):
        return False
    error = backup.get("error_s")
    error_s = float(error) if isinstance(error, int | float) else 0.0
    if backup.get("until"):
        return ended + timedelta(seconds=min(error_s, SECOND)) >= begun
    data = moment(str(backup.get("started_at"))) or ended
    return data + timedelta(seconds=error_s) - abs(ended - data) >= begun

"""Results of a rehearsal, which is a run that restores a backup and injects no fault.

The results are: the restored backup, the duration of the restore, the data that a restore would lose, and the problems that
the check of the backup cannot detect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.judge.result import Result, StepResult
from drillbook.judge.verdicts import Verdict
from drillbook.report import backup_origin, remarks
from drillbook.report.figures import count, figure, one_line, readable, size, took, utc
from drillbook.report.markdown_syntax import prose, table
from drillbook.report.restore_steps import AnyStep, Told, restores
from drillbook.sdk.backup import UNKNOWN_S

TIMED = (
    "timed inside the restore step by the controller's monotonic clock, without sampling error; the clock Restore counts the "
    "whole phase, so it is longer"
)
"""Text beside the duration of the restore in the section about a rehearsal. Another section of the report shows a second
duration, that of the clock named Restore. The text explains why the second duration is longer.
"""
STORED_BASIS = (
    "time from the snapshot of the backup to the step that found the backup in the store; the snapshot was timed by the clock of "
    "the server"
)
"""Text beside the age of a backup that Drillbook stored. It says how this age was measured."""
EXACT = "no sampling error"
"""Words beside a figure that has no measurement error."""
EXACT_LOSS = (
    f"{EXACT}: the time of the newest data is exact by its clock; the difference between this clock and that of the controller "
    "was not measured"
)
"""Text beside a loss without a measurement error. It says why there is no such error, and what was not measured."""
UNSTATED = "error not stated"
NOT_MEASURED = "not measured"
RESTORE, MEASURE, CHECK = "backup.restore", "backup.measure", "backup.check"

STAGES = (
    *("sandbox", "copy", "prepare", "outline", "server", "fetch", "check", "roles", "files", "fetch_wal", "unpack"),
    *("restore_and_verify", "data", "load", "replay", "open", "analyze", "move", "finish", "start"),
)
"""Stages of a restore, in the order in which they run. No kind of backup has all of them."""


NO_NETWORK = "seen from inside the sandbox: no network device except loopback, and no route"
"""Check of each sandbox with an isolation, before anything is restored. It needs no address."""


def injects_nothing(plan: Mapping[str, Any]) -> bool:
    """Return True for the plan of a drill without a fault, such as a rehearsal."""
    steps = plan.get("steps")
    return isinstance(steps, list | tuple) and bool(steps) and all(step.get("effect") != "fault" for step in steps)


def facts(result: Result) -> dict[str, Mapping[str, Any]]:
    """Return the facts of each successful step of a rehearsal, which is a run that restores a backup and injects no fault.
    The key of each entry is the action of the step.

    There is one exception: a rehearsal with a backup that Drillbook itself stored uses other actions. Its facts about the
    restore get the key ``RESTORE``, its facts about the age of the backup get the key ``MEASURE``, and there are no other
    keys. The result is empty for a run that is not a rehearsal.
    """
    return {} if result.faults else _facts(result.steps)


def _facts(steps: Sequence[Told]) -> dict[str, Mapping[str, Any]]:
    if all(step.action != RESTORE for step in steps):
        return _of_store(steps)
    done: dict[str, Mapping[str, Any]] = {step.action: step.facts for step in steps if step.status == "done"}
    return done if RESTORE in done else {}


@dataclass(frozen=True, slots=True)
class Brief:
    """Figures of a rehearsal as short texts, for lists of runs."""

    restored: str
    """Duration of the restore."""
    lost: str
    """Loss of data as a duration, with the measurement error (±) if there is one. A failure would lose the data that was
    written in a time of this length. It is ``not measured`` if no loss was measured.
    """
    error: str
    """Reason why ``lost`` does not state a measurement error (``±``). The reason is empty when ``lost`` states one, and when
    no loss was measured.
    """
    taken: str
    """Words which say that the backup was taken during the run, by an earlier run of a drill, or while a drill ran. The value is
    empty for a backup of another origin.
    """
    mark: str = ""
    """Mark to show where there is no room for the words of ``taken``. It is empty if ``taken`` is empty."""

    @property
    def at_verdict(self) -> str:
        """Sign and words beside the verdict *passed*, if the restored backup is no routine backup. Otherwise empty."""
        return remarks.AT_VERDICT if self.mark == remarks.EARLIER_MARK else ""

    def listed(self, key: str) -> str:
        """Return the text that lists of runs show in place of the objective ``key``, because a rehearsal has no objectives.
        The text contains the measured figure and an explanation of the figure.
        """
        return f"{self.restored if key == 'rto' else self.lost} {self.words(key)}; no objective"

    def words(self, key: str) -> str:
        """Return the words that follow a figure of the rehearsal: its meaning and, if no measurement error (±) is given, the
        reason for that.

        A rehearsal measures no RTO and no RPO. Lists of runs show its figure instead, in the column of the objective ``key``.
        """
        if key == "rto":
            return "to restore" + (f" ({EXACT})" if self.restored != NOT_MEASURED else "")
        told = f" ({self.error})" if self.error else ""
        return f"would be lost{told}{f', with {self.taken}' if self.taken else ''}"


def brief(steps: Sequence[remarks.Step | StepResult], started: str, *, broken: bool) -> Brief | None:
    """Return the figures of a rehearsal, which restores a backup and injects no fault. Returns None for any other run.
    ``broken``: True for a run with faults."""
    known = {} if broken else _facts(steps)
    if not known:
        return None
    total = (known[RESTORE].get("seconds") or {}).get("total")
    restored = NOT_MEASURED if total is None else took(total)
    recent, earlier = remarks.taken_by_run(steps, started), backup_origin.not_routine(steps)
    measured = known.get(MEASURE, {})
    mark = remarks.RECENT_MARK if recent else remarks.EARLIER_MARK if earlier else ""
    return Brief(restored, loss(measured) or NOT_MEASURED, unsampled(measured), recent or earlier, mark)


def beside_verdict(result: Result) -> str:
    """Return the sign and words beside the verdict of a rehearsal that passed, but restored no routine backup. Otherwise empty."""
    told = brief(result.steps, result.started, broken=bool(result.faults)) if result.verdict is Verdict.PASSED else None
    return told.at_verdict if told else ""


def _of_store(steps: Sequence[Told]) -> dict[str, Mapping[str, Any]]:
    """Return the facts of a rehearsal that restored a backup which Drillbook stored. The result has the keys ``RESTORE``
    and ``MEASURE``. It is empty for a run that injected a fault.
    """
    if any(step.id.startswith("inject.") for step in steps):
        return {}
    return next((known for _, known in stored(steps)), {})


def stored(steps: Sequence[AnyStep]) -> Iterator[tuple[AnyStep, dict[str, Mapping[str, Any]]]]:
    """Yield each step that restored a backup which Drillbook stored, with two groups of facts: those about the restore, at
    the key ``RESTORE``, and those about the lost data, at the key ``MEASURE``.

    A step that searches the store for the newest backup records the age of the backup. If several steps recorded an age of
    this backup, the last one is used.
    """
    for step in restores(steps):
        address, at = step.facts.get("manifest"), step.facts.get("snapshot_at")
        if not isinstance(address, str) or not at:
            continue
        ages = [other.facts for other in steps if other.facts.get("manifest") == address and "age_s" in other.facts]
        name = address.partition("#")[0].removesuffix("/manifest.json")
        measured = {"loss_s": ages[-1]["age_s"], "error_s": 0.0, "basis": STORED_BASIS} if ages else {}
        yield step, {RESTORE: {**step.facts, "backup": {"id": name, "taken_at": at}}, MEASURE: measured}


def sentence(result: Result) -> str:
    """Return a sentence with the figures of a rehearsal. The result is empty when nothing was rehearsed."""
    known = facts(result)
    if not known:
        return ""
    total = known[RESTORE].get("seconds", {}).get("total")
    restored = f"The backup was restored in {took(total)}" if total is not None else "The backup was restored"
    lost = loss(known.get(MEASURE, {}))
    earlier = backup_origin.not_routine(result.steps)
    taken = remarks.taken_by_run(result.steps, result.started) or (earlier and f"{earlier}, {backup_origin.NOT_PROVEN}")
    return (
        f"{restored}; {lost} of data would be lost{f', with {taken}' if taken else ''}."
        if lost
        else f"{restored}; it was not measured how much data would be lost."
    )


def loss(measured: Mapping[str, Any]) -> str:
    """Return the text of a measured loss of data with its measurement error (±).

    A loss that was computed from the time of a commit is shown without ±, because it is exact. Returns an empty text when the
    loss was not measured. Returns an empty text also when a command printed the backup, because the age of such a backup is
    unknown.
    """
    value, error = measured.get("loss_s"), measured.get("error_s")
    if value is None or remarks.printed(measured):
        return ""
    return loss_figure(value, error, str(measured.get("basis", "")))


def loss_figure(value: float, error: float | None, basis: str) -> str:
    """Return the text of a measured loss, whose time is explained by ``basis``."""
    return at_least(value, error, basis) or (figure(value, error) if error else took(value))


def at_least(value: float, error: float | None, basis: str) -> str:
    """Return the lower limit of a loss, if ``basis`` says that the data may be older by an unknown duration. Otherwise return an
    empty text.
    """
    return f"at least {took(max(0.0, math.floor(value - (error or 0.0))))}" if UNKNOWN_S in basis else ""


def unsampled(measured: Mapping[str, Any]) -> str:
    """Return the reason why a measured loss is shown without its measurement error (``±``): the loss has none, or the
    record does not state it. The result is empty when the loss has a measurement error, and when no loss was measured."""
    error = measured.get("error_s")
    return "" if error or not loss(measured) else UNSTATED if error is None else EXACT


def rows(result: Result) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the rows of the section about the backup. The result is empty when nothing was rehearsed.

    Each row has a name, a text and further lines.
    """
    known = facts(result)
    if not known:
        return []
    restored, measured, checked = (known.get(action, {}) for action in (RESTORE, MEASURE, CHECK))
    backup, why = restored.get("backup", {}), unsampled(measured)
    why = EXACT_LOSS if why == EXACT else why
    texts = [
        ("Backup", f"{backup.get('id')}, {_taken(backup)}", ()),
        ("Restored in", *_restored(restored)),
        ("Would be lost", loss(measured) or "not measured", (readable(str(measured.get("basis", ""))), why, _own(result))),
        ("Sandbox", *_sandbox(restored)),
        ("Checked before the restore", "; ".join(map(str, checked.get("covered", ()))), ()),
        ("Problems that this check cannot detect", "; ".join(_unseen(restored, checked)), ()),
    ]
    return [(name, one_line(text), tuple(one_line(more) for more in lines if more)) for name, text, lines in texts if text]


def _sandbox(restored: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the isolation of the sandbox, or the service to which the backup was restored without a sandbox."""
    if "isolation" in restored:
        return f"isolation: {restored['isolation']}", (_tried(restored.get("unreachable", ()), str(restored["isolation"])),)
    other = restored.get("other_service")
    return (f"none: restored to the service {other}" if other else ""), ()


def _unseen(restored: Mapping[str, Any], checked: Mapping[str, Any]) -> list[str]:
    """Return the problems that the check before the restore cannot detect. Some of these problems are ruled out by a restore:
    they are left out if the run restored the backup that it checked.
    """
    same = not checked.get("backup") or checked["backup"].get("id") == restored.get("backup", {}).get("id")
    return [text for text in map(str, checked.get("not_covered", ())) if not (same and f"`{RESTORE}`" in text)]


def _taken(backup: Mapping[str, Any]) -> str:
    taken = utc(backup.get("taken_at"))
    return f"read from a command at {taken}; the age of its data is unknown" if remarks.printed(backup) else f"of {taken}"


def markdown(result: Result) -> list[str]:
    """Return a section of the Markdown report. The result is empty when nothing was rehearsed."""
    lines = [(name, "<br>".join(prose(line) for line in (text, *more))) for name, text, more in rows(result)]
    return ["## Backup", table(("What", "Result"), lines)] if lines else []


def _own(result: Result) -> str:
    """Return a remark which says that the restored backup was taken during the run, by a drill, or while one ran.

    The result is empty for any other backup. The text of ``remarks.OWN_BACKUP`` mentions a fault. A rehearsal injects none, so
    ``remarks.OWN_REHEARSED`` stands in its place.
    """
    told = remarks.of_backup(result.steps, result.started)
    if told is None:
        earlier = backup_origin.not_routine(result.steps)
        return f"The run restored {earlier}, {backup_origin.NOT_PROVEN}." if earlier else ""
    return remarks.OWN_REHEARSED if told.text == remarks.OWN_BACKUP else told.text


def _restored(restored: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the duration of the restore with the size of the data, and the stages of the restore."""
    seconds = dict(restored.get("seconds", {}))
    total, used = seconds.pop("total", None), restored.get("used_bytes")
    stages = ", ".join(f"{stage.replace('_', ' ')} {took(value)}" for stage, value in _stages(seconds, total))
    text = "not measured" if total is None else took(total)
    return text + (f", {size(used)} on disk" if used else ""), (stages, "" if total is None else TIMED)


def _stages(seconds: Mapping[str, float], total: float | None) -> list[tuple[str, float]]:
    """Return the stages, with their durations, in the order in which they ran. Stages that are not in ``STAGES`` follow. At
    the end stands the stage ``other``, if a part of the ``total`` duration belongs to no stage.

    The journal does not keep the order of the stages.
    """
    known = {stage: place for place, stage in enumerate(STAGES)}
    stages = sorted(seconds.items(), key=lambda stage: known.get(stage[0], len(STAGES)))
    rest = 0.0 if total is None else round(total - sum(seconds.values()), 2)
    return [*stages, ("other", rest)] if stages and rest > 0 else stages


def _tried(addresses: Any, isolation: str) -> str:
    """Return how the isolation was checked. ``addresses``: those that were tried from inside. There are none to try if no service of
    the inventory has an address, and they cannot be tried on a host without bash. A sandbox without isolation is then refused, if
    there are addresses.
    """
    if not addresses and isolation == "none":
        return "no address was tried from inside the sandbox: the inventory names no service with an address"
    if not addresses:
        return f"{NO_NETWORK}; no address was tried: the inventory names no service with an address, or the host has no bash"
    return (
        f"tried {count(len(addresses), 'address', 'addresses')} of the inventory from inside the sandbox, and reached none of "
        "them"
    )

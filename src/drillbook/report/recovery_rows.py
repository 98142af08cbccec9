"""Section of a run's report about its recoveries: what each of them did, where, when, and with what result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drillbook.inventory.inventory import CONTROLLER
from drillbook.journal.intents import NEVER_HAPPENED
from drillbook.judge.faultstate import KEPT, PUT_BACK, PUT_BACK_GONE, PUT_BACK_RESTORED
from drillbook.judge.recovery_record import Act, FaultCheck, Recovery
from drillbook.judge.result import RunView
from drillbook.language.lists import leading
from drillbook.report import end_state, listed_rows, lost_data
from drillbook.report.figures import count, lasted, one_line, readable, seconds, took, utc, utc_time
from drillbook.report.markdown_syntax import escape, prose, table
from drillbook.report.residue_state import data_host
from drillbook.report.step_texts import cut, short_facts

MOST_FACTS = 4
"""Largest number of facts of a step in the table."""
LONGEST = 40
"""Largest length of a fact in the table, in characters."""
TOOK = "Took"
HEAD = ("What", "Host", "Begun", TOOK, "Result", "Verified afterwards", "Evidence")
NOTE = (
    "The times count from 0 s, when drill.recover began, and are on the monotonic clock of its own controller. The start "
    "and the end of an act are entries of the journal, so a duration has no sampling error. The time between the run and its "
    "recovery is the difference of two times of day. The error of this difference is not measured."
)
UNTIMED = "Where Took is empty, the journal has only the start or the end of the act, so its duration was not measured."
"""Sentence below a table in which only some acts have a duration."""
NOT_TIMED = "Of each act, the journal has only the start or the end, so no duration was measured."
"""Sentence below a table in which no act has a duration. Such a table has no column of durations."""
WORDS = {
    PUT_BACK: "undone",
    PUT_BACK_GONE: f"{end_state.NONE_NEEDED}: it was gone already",
    PUT_BACK_RESTORED: "undone by a restore",
    NEVER_HAPPENED: f"{end_state.NONE_NEEDED}: it never happened",
}
"""Words for the outcome of an undo. The key of each entry is the outcome, as recorded."""
BY_TARGET = "the target itself had already run this undo"
UNRECORDED = "the recovery ended before it recorded an outcome"


@dataclass(frozen=True, slots=True)
class RecoveryRow:
    """Row of the table: an act of a recovery. ``status``: word for the symbol of the result. ``told``: details of the result.
    ``loud``: True when something is not verified that a reader might expect to be verified.
    """

    what: str
    detail: str
    host: str
    begun: str
    time: str
    took: str
    status: str
    result: str
    told: str
    verified: str
    loud: bool
    evidence: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecoveryTable:
    """One recovery: its heading, sentences about it, and the rows of its acts."""

    title: str
    lead: str
    rows: tuple[RecoveryRow, ...]

    @property
    def timed(self) -> bool:
        """True when the duration of an act was measured."""
        return any(row.took for row in self.rows)

    @property
    def untimed(self) -> str:
        """Sentence which says that durations were not measured. It is empty if each act has a duration."""
        if all(row.took for row in self.rows):
            return ""
        return UNTIMED if self.timed else NOT_TIMED


def tables(view: RunView) -> list[RecoveryTable]:
    """Return the recoveries of a run, oldest first. The list is empty for a run that was not recovered."""
    many = len(view.recoveries) > 1
    return [
        RecoveryTable(
            title=f"{_name(recovery).capitalize()} {number}" if many else "",
            lead=" ".join(filter(None, (_lead(recovery, _before(view, number)), _lost(view, number)))),
            rows=tuple(_row(act, view, recovery, recovery.acts[at:]) for at, act in enumerate(recovery.acts, 1)),
        )
        for number, recovery in enumerate(view.recoveries, 1)
    ]


def section(view: RunView) -> list[str]:
    """Return the section of a Markdown report. The result is empty for a run that was not recovered."""
    parts: list[str] = []
    for told in tables(view):
        parts += [f"### {told.title}"] if told.title else []
        parts.append(escape(told.lead))
        parts += [_table(told), *filter(None, [escape(told.untimed)])] if told.rows else []
    return ["## Recovery", *filter(None, [escape(end_state.details(view))]), *parts, escape(NOTE)] if parts else []


def _table(told: RecoveryTable) -> str:
    """Return the acts of a recovery as a table, without the column of durations if none was measured."""
    kept = [at for at, head in enumerate(HEAD) if told.timed or head != TOOK]
    rows = [_cells(row) for row in told.rows]
    return table([HEAD[at] for at in kept], [[cells[at] for at in kept] for cells in rows])


def _cells(row: RecoveryRow) -> tuple[str, ...]:
    what = f"{escape(row.what)}: {escape(row.detail)}" if row.detail else escape(row.what)
    evidence = escape(", ".join((row.evidence, *row.files)))
    begun = f"{escape(row.begun)} ({escape(row.time)})" if row.time else escape(row.begun)
    result = ": ".join(filter(None, (row.result, row.told)))
    return (what, escape(row.host), begun, escape(row.took), prose(result), escape(row.verified), evidence)


def _name(recovery: Recovery) -> str:
    if recovery.refused:
        return "refused closing"
    return "closing" if recovery.closing else "recovery"


def _before(view: RunView, number: int) -> str:
    """Return words for the moment from which the time until recovery ``number`` is counted."""
    if number > 1:
        return "the end of the recovery before it"
    return "the end of the run" if view.finished else "the last event of the run"


def _lead(recovery: Recovery, before: str) -> str:
    """Return sentences about a recovery: its beginning, its end, what is left, and what is known about the service."""
    gap = lasted(recovery.before, recovery.started)
    where = f" on {one_line(recovery.controller)}" if recovery.controller else ""
    begun = f"{one_line(recovery.operator)} started drill.recover{where} at {utc(recovery.started)}"
    begun += f", {took(gap)} after {before}" if gap is not None else ""
    if recovery.refused:
        ended = "The closing of the remaining changes was refused."
    elif recovery.finished is None or recovery.end is None:
        ended = "The journal has no end of it: its controller died, too, or it is still in progress."
    else:
        ended = f"It ended after {took(recovery.end)}, at {utc(recovery.finished)}. {_left(recovery)}"
    return f"{begun}. {ended} {_service(recovery)}".rstrip()


def _lost(view: RunView, number: int) -> str:
    """Return a sentence about the data that recovery ``number`` did not bring back. Of a step that several recoveries carried out,
    only the last outcome counts.
    """
    mine, *later = ({act.step for act in recovery.acts if act.sort == "step"} for recovery in view.recoveries[number - 1 :])
    return lost_data.in_recovery(view.result, mine.difference(*later))


def _left(recovery: Recovery) -> str:
    if recovery.gone:
        return f"It had nothing to undo: {one_line(recovery.gone)}."
    if recovery.closing:
        return _closed(recovery)
    if recovery.left:
        return f"It could not undo {count(recovery.left, 'change')}."
    return "Every change was undone, or needed no undo; the table has each of them."


def _closed(recovery: Recovery) -> str:
    """Return a sentence about the changes that a person closed, and about the proof that they are undone."""
    act = next((act for act in recovery.acts if act.sort == "closing" and act.status == "done"), None)
    if act is None:
        return "A person had closed the remaining changes before; this recovery completed the closing."
    if not act.closed:
        return "A person closed the run; no change was left."
    if not act.unproven:
        return "A person closed the remaining changes; a check showed each of them gone."
    them = "they are" if act.unproven == act.closed else f"{act.unproven} of them {'is' if act.unproven == 1 else 'are'}"
    return f"A person closed the remaining changes; nothing proves that {them} undone."


def _service(recovery: Recovery) -> str:
    """Return a sentence about the state of the service after a recovery."""
    if recovery.gone or recovery.closing or recovery.refused:
        return ""
    last = end_state.last_acts([recovery], "verify")
    bad = [f"{one_line(act.step)} on {one_line(act.host)}" for act in last if act.status != "done"]
    if bad:
        told = f"Verification steps ran, and these did not succeed: {', '.join(leading(bad, MOST_FACTS)[0])}"
    elif last:
        told = "The verification steps of the recovery succeeded, as the table shows; they prove no objective of the run"
    else:
        told = "No verification step ran in it, so it is not verified that the service works"
    return f"{told}. A recovery runs no probe, so no figure tells when the service was good again."


def _row(act: Act, view: RunView, recovery: Recovery, later: Sequence[Act]) -> RecoveryRow:
    status, words, detail = result(act)
    known, loud = verified(act, later)
    first, last = act.events
    at = act.end if act.start is None else act.start
    return RecoveryRow(
        what=name(act),
        detail=_detail(act, recovery),
        host=_host(act, view),
        begun=_begun(act),
        time="" if at is None else utc_time(recovery.zero, at),
        took=_took(act),
        status=status,
        result=words,
        told=detail,
        verified=known,
        loud=loud,
        evidence=f"event {first}" if first == last else f"events {first} to {last}",
        files=tuple(map(one_line, act.files)),
    )


def _host(act: Act, view: RunView) -> str:
    """Return the host of an act. For the undo of a change that was made from the controller, it is the host of the data."""
    host = one_line(act.host) or CONTROLLER
    data = one_line(data_host(view, act.step, host)) if act.sort == "undo" else host
    return host if data == host else f"{data} (from the {host})"


def name(act: Act) -> str:
    """Return the name of an act, such as ``Undo of inject.1``."""
    step, what = one_line(act.step), one_line(act.what)
    return {
        "undo": f"Change by {step}" if act.start is None else f"Undo of {step}",
        "step": f"{step} {what}",
        "lock": f"Lock on {what}",
        "lease": "Lease",
        "canary": f"Read-back of {step}",
        "closing": "Closing",
    }[act.sort]


def _detail(act: Act, recovery: Recovery) -> str:
    """Return more words about an act: the undone action and the commands of the undo, or the changes that were closed."""
    if act.sort == "undo":
        how = f", by: {cut(act.how)}" if act.how else ""
        return f"{one_line(act.what)}{_which(act, recovery)}{how}"
    return one_line(act.what) if act.sort == "closing" else ""


def _which(act: Act, recovery: Recovery) -> str:
    """Return words that tell an undo from others of the same step, because a recovery may run a step of the run again."""
    same = [other for other in recovery.acts if (other.sort, other.step, other.host) == (act.sort, act.step, act.host)]
    if len(same) < 2 or act.intent is None:
        return ""
    again = act.intent > recovery.acts[0].events[0]
    return f", begun by the {'recovery' if again else 'run'} (event {act.intent})"


def _begun(act: Act) -> str:
    """Return the start of an act, or the time at which its outcome was recorded if its start is not."""
    if act.start is not None:
        return seconds(act.start, 2)
    return "not recorded" if act.end is None else f"recorded at {seconds(act.end, 2)}"


def _took(act: Act) -> str:
    if act.start is None or act.end is None:
        return ""
    return f"held {took(act.end - act.start)}" if act.sort == "lock" else took(act.end - act.start)


def result(act: Act) -> tuple[str, str, str]:
    """Return the word for the symbol of the result, the result in words, and details of it."""
    message = readable(one_line(act.message))
    if act.sort == "undo":
        return _of_undo(act, message)
    if act.status == "unknown":
        return "unknown", "unknown", message or UNRECORDED
    if act.sort == "closing" and act.status == "done":  # it undoes nothing, so it does not look like a success
        return "skipped", "closed", message
    return act.status, act.status, message or "; ".join(_facts(act))


def _facts(act: Act) -> Iterator[str]:
    """Yield the first short facts of a step, and the first rows of its result. Long texts, such as the answer of a service, are left
    out."""
    rows = listed_rows.of_facts(act.facts)
    brief = {name: value for name, value in listed_rows.others(act.facts).items() if len(str(value)) <= LONGEST}
    for fact in short_facts(brief, MOST_FACTS)[0]:
        yield f"{fact.name} {fact.value}{fact.unit}"
    if rows:
        yield f"{rows.number}: {rows.values}"


def _of_undo(act: Act, message: str) -> tuple[str, str, str]:
    if act.status == "unknown":
        return "unknown", "unknown", f"begun; {UNRECORDED}"
    if act.status == "failed":
        return "failed", "not undone", message
    words, _, detail = WORDS.get(act.message, f"no undo: {message.removeprefix(KEPT)}").partition(": ")
    if act.message == PUT_BACK_GONE and end_state.of_restore(act.step, fault=act.fault):
        detail = end_state.NOTHING_UNFINISHED
    detail = "; ".join(filter(None, (detail, BY_TARGET if act.by_target else "")))
    return "done" if act.message in WORDS else "skipped", words, detail


def verified(act: Act, later: Sequence[Act] = (), *, brief: bool = False) -> tuple[str, bool]:
    """Return what was verified after an act, and True if the result of the act is not verified. ``later``: acts after it.
    ``brief``: True to leave out the time and the details of a check.
    """
    if act.sort == "step" and act.phase == "restore":
        return _of_restore(later)
    if act.sort != "undo":
        return "", False
    if act.check is not None:
        return _of_check(act, act.check, brief=brief)
    return _unchecked(act)


def _of_check(act: Act, check: FaultCheck, *, brief: bool) -> tuple[str, bool]:
    what = "fault" if act.fault else "change"
    at = "" if brief else f" at {seconds(check.at, 2)}"
    if check.active is None:
        why = f": {readable(one_line(check.detail))}" if check.detail and not brief else ""
        return f"not verified: the check{at} could not tell if the {what} is gone{why}", True
    if not check.active and end_state.of_restore(act.step, fault=act.fault):
        return f"the check{at} found nothing unfinished", False
    return f"the check{at} showed the {what} {'still active' if check.active else 'gone'}", check.active


def _unchecked(act: Act) -> tuple[str, bool]:
    """Return what was verified after an undo for which no check is recorded."""
    if act.message == NEVER_HAPPENED:
        return "its check showed that it had changed nothing", False
    if act.status != "done":
        return "not verified", True
    if act.message == PUT_BACK and not act.fault:
        return "not verified: the undo itself succeeded; only faults have a check", False
    return ("not verified: no check is recorded", True) if act.fault else ("", False)


def _of_restore(later: Sequence[Act]) -> tuple[str, bool]:
    checks = [act for act in later if act.sort == "step" and act.phase == "verify"]
    bad = next((act for act in checks if act.status != "done"), None)
    if bad:
        return f"not verified: {one_line(bad.step)} on {one_line(bad.host)} did not succeed", True
    return (
        ("the verification steps after it succeeded", False) if checks else ("not verified: no verification step ran", True)
    )

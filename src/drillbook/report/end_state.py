"""Sentences about the faults and the service at the end of a run that did not pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set

from drillbook.judge.faultstate import KEPT, NOT_UNDONE, PUT_BACK, PUT_BACK_GONE, PUT_BACK_RESTORED
from drillbook.judge.lock_state import LockState
from drillbook.judge.recovery_record import Act, Recovery
from drillbook.judge.result import FaultResult, Injection, ProbeTrack, RunView, StepView
from drillbook.judge.verdicts import Verdict
from drillbook.report import lost_data, open_findings, rehearsal_results
from drillbook.report.figures import count, one_line, utc
from drillbook.report.residue_state import data_host
from drillbook.report.wording import STEP_WORDS

LEFT = {"open": "is not reported as undone", "residue": "could not be undone", "closed": "could not be undone"}
"""Words for a fault that was not undone. The key of each entry is the outcome of its undo."""
UNDONE = {
    PUT_BACK: "undone",
    PUT_BACK_GONE: "gone before an undo began",
    PUT_BACK_RESTORED: "undone by a restore",
}
"""Words for a fault that was undone. The key of each entry is the outcome of its undo. An outcome that is not a key is shown
as it is recorded.
"""
RESTORED, UNVERIFIED = PUT_BACK_RESTORED, "put back by a restore that ran to its end; the recovery is not verified"
"""``RESTORED``: recorded outcome of an undo by a restore. ``UNVERIFIED``: words that replace ``RESTORED`` when a verification
did not pass.
"""
NONE_NEEDED, NOTHING_UNFINISHED = "no undo was needed", "the step left nothing unfinished"
"""Words for a change that was gone before an undo. ``NOTHING_UNFINISHED``: reason for a step that restored data. The data stays."""
RESTORES = ("restore.", "recovery.")
"""Beginning of the IDs of steps that restore data, in a run and in a recovery from another backup."""
UNDO_OF_UNKNOWN = {
    PUT_BACK: "the undo of {} was carried out",
    PUT_BACK_GONE: "no undo of {} was needed",
    RESTORED: "the restore that undoes {} was carried out",
}
"""Words for the outcome of an undo, if it is unknown whether the fault was injected. The key of each entry is the outcome."""
AT_END = "State at the end of the run"
AT_DEATH = "State when the controller died, as far as the journal tells"
"""Beginning of the sentence for a dead controller. A lease may have undone a change without its journal."""
ENDED = (Verdict.ABORTED, Verdict.FAILED, Verdict.INCONCLUSIVE)
"""Verdicts for which the report describes the state at the end of the run, even if the run injected no fault."""
VERIFIED = {"restore": "restore", "verify": "verification"}
"""Words for the steps that a recovery may run again. The key of each entry is their phase."""
BAD_STATUSES = ("failed", "error", "unverified", "unknown")


def sentence(view: RunView) -> str:
    """Return the sentences about the state of the system, for a terminal: the state after a recovery, the data that a recovered run
    lost, and the state at the end of the run. The result is empty for a run that passed.
    """
    if view.result.verdict is Verdict.PASSED:
        return ""
    return " ".join(filter(None, (after_recovery(view), lost_data.at_end(view), _told(view))))


def lead(view: RunView) -> str:
    """Return the sentences about the state of the system for the head of a report. If the controller died, they tell only what
    happened and what the state is now, and ``details`` has the rest.
    """
    if view.finished or not details(view):
        return sentence(view)
    phase = next((phase.phase for phase in reversed(view.result.phases) if phase.status == "interrupted"), "")
    died = f"The controller of the run died{f' during the phase {one_line(phase)}' if phase else ''}."
    return " ".join(filter(None, (died, _now(view), lost_data.at_end(view))))


def details(view: RunView) -> str:
    """Return the sentences about the state of a run when its controller died. The result is empty for any other run."""
    return "" if view.finished else _told(view)


def _now(view: RunView) -> str:
    """Return a sentence about the changes of a run whose controller died."""
    if told := after_recovery(view):
        return told
    if view.result.settled:
        return "A person later closed the changes that had no recorded undo."
    if number := len(view.result.open_residue) or sum(fault.ended in LEFT for fault in view.result.faults):
        return f"No undo of {count(number, 'change')} is recorded, so the system may still be changed."
    return "No change is left to undo."


def _told(view: RunView) -> str:
    """Return sentences about faults, probes and locks at the end of a run that did not pass, and about a later undo.

    The sentences say no more than the journal proves. The result is empty for a run that passed. It is also empty for a run
    without a fault, if the run was refused or its controller died. If a fault is proven to have changed nothing, the run
    counts as a run without this fault.
    """
    never = {(fault.step, fault.host) for fault in view.result.faults if fault.injection is Injection.NEVER}
    faults = [fault for fault in view.faults_at_end if fault.ended and (fault.step, fault.host) not in never]
    if view.result.verdict is Verdict.PASSED:
        return ""
    if not faults:
        return _without_fault(view, never) if view.finished and view.result.verdict in ENDED else ""
    left = [
        (f"{one_line(fault.step)} on {one_line(data_host(view, fault.step, fault.host))}", LEFT[fault.ended])
        for fault in faults
        if fault.ended in LEFT
    ]
    left += [(count(view.others_at_end, "other change"), LEFT["residue"])] if view.others_at_end else []
    parts = _undone(faults, doubt=any(step.phase == "verify" and step.result.status in BAD_STATUSES for step in view.steps))
    parts += (
        [f"{what} {how}" for what, how in left]
        if view.finished
        else _to_undo([what for what, _ in left], view.others_at_end)
    )
    parts += [text for track in view.timeline.probes if (text := _probe(track, view.finished))]
    parts += _locks(view.locks_at_end)
    begin = AT_END if view.finished else AT_DEATH
    return " ".join(filter(None, (f"{begin}: {'; '.join(parts)}.", _later(view, faults))))


def _to_undo(changes: Sequence[str], others: int) -> list[str]:
    """Return a clause that names the changes without a recorded undo when the controller died, or nothing if there are none.
    ``others``: number of the changes that the last text counts.
    """
    named = " and ".join(filter(None, (", ".join(changes[:-1]), *changes[-1:])))
    return [f"{named} {'was' if len(changes) == 1 and others < 2 else 'were'} still to be undone"] if changes else []


def after_recovery(view: RunView) -> str:
    """Return a sentence about the state after the last recovery of a run, if this recovery left no change. The result is empty for
    any other run, and when a person closed the changes.
    """
    last = view.recoveries[-1] if view.recoveries else None
    if last is None or last.finished is None or last.left or last.gone or view.result.settled or view.result.open_residue:
        return ""
    known = {phase: _outcomes([last], phase) for phase in VERIFIED}
    good = [f"{what} steps" for phase, what in VERIFIED.items() if known[phase] == {"done"}]
    parts = [f"the {' and the '.join(good)} of the recovery succeeded"] if good else []
    parts += [] if known["verify"] else ["it was not verified that the service works"]
    parts += ["the verification of the recovery did not succeed"] if known["verify"] - {"done"} else []
    return f"Recovered at {utc(last.finished)}: {'; '.join(['nothing is left to undo', *parts])}."


def last_acts(recoveries: Iterable[Recovery], phase: str) -> list[Act]:
    """Return the steps of a phase that ``recoveries`` ran. Of a step that ran repeatedly, only the last run is returned."""
    acts = [act for recovery in recoveries for act in recovery.acts if act.sort == "step" and act.phase == phase]
    return list({(act.step, act.host): act for act in acts}.values())


def _outcomes(recoveries: Iterable[Recovery], phase: str) -> set[str]:
    return {act.status for act in last_acts(recoveries, phase)}


def _without_fault(view: RunView, never: Set[tuple[str, str]]) -> str:
    """Return the sentence about a run that injected no fault: its other changes, its probes and its locks.

    ``never``: steps and hosts of faults that are proven to have changed nothing.
    """
    changed = {(step.result.id, step.result.host) for step in view.steps if step.undo} - never
    left = view.others_at_end
    parts = [] if rehearsal_results.injects_nothing(view.plan) else ["no fault was injected"]
    parts = parts if changed else ["nothing was changed"]
    if kept := max(0, len(changed) - left):
        parts.append(f"{count(kept, 'change')} {'was' if kept == 1 else 'were'} undone, or kept as planned")
    parts += [f"{count(left, 'change')} could not be undone"] if left else []
    parts += [text for track in view.timeline.probes if (text := _probe(track, view.finished))]
    return f"{AT_END}: {'; '.join([*parts, *_locks(view.locks_at_end)])}."


def failed_step(view: RunView) -> StepView | None:
    """Return the step that the reason of the verdict names, or else the first step that did not succeed.

    The result is None for a run that passed, and when all steps succeeded.
    """
    bad = [step for step in view.steps if step.result.status in BAD_STATUSES]
    named = [step for step in bad if view.result.reason.startswith(f"{step.result.id} ")]
    return None if view.result.verdict is Verdict.PASSED else next(iter(named or bad), None)


def words(step: StepView) -> str:
    """Return the status of a step that did not succeed, in words. The result is empty for the status ``failed``, because
    this status needs no further words.
    """
    return "" if step.result.status == "failed" else STEP_WORDS[step.result.status]


def of_step(step: StepView) -> str:
    """Return a text with the outcome of a step's undo. The result is empty when nothing is recorded. For a restore, the
    text does not say that the change is undone, because only the verification proves this. The text names a later recovery
    that recorded the outcome.
    """
    words = {**UNDONE, RESTORED: "put back by a restore"}
    if of_restore(step.result.id, fault=step.effect == "fault"):
        words[PUT_BACK_GONE] = f"{NONE_NEEDED}: {NOTHING_UNFINISHED}"
    said = words.get(step.undone, step.undone)
    return f"{said}, recorded by drill.recover" if step.undone_later and not step.undone.startswith(NOT_UNDONE) else said


def of_restore(step: str, *, fault: bool) -> bool:
    """Return True for a change by a step that restores data. The undo of such a change only removes what an unfinished restore
    left. It never removes restored data. ``step``: ID of the step. ``fault``: True if the change is a fault.
    """
    return step.startswith(RESTORES) and not fault


def _undone(faults: Iterable[FaultResult], *, doubt: bool = False) -> list[str]:
    """Return one clause for each way in which faults were undone, with the number of faults that were undone in this way.

    ``doubt``: True when a verification did not pass. The clause about faults that a restore undid then says only that the
    restore ran, and that the recovery is not verified.
    """
    said = UNDONE | {RESTORED: UNVERIFIED} if doubt else UNDONE
    outcomes = Counter(
        (fault.ended.removeprefix(KEPT), fault.injection is Injection.UNKNOWN) for fault in faults if fault.ended not in LEFT
    )
    return [_outcome(how, number, said, unknown=unknown) for (how, unknown), number in outcomes.items()]


def _outcome(how: str, number: int, said: Mapping[str, str], *, unknown: bool) -> str:
    """Return a clause about ``number`` faults with the same outcome. ``said``: words for the outcomes. ``unknown``: True if it is
    unknown whether the faults were injected. The clause then tells only about the undo, because an undo proves no injection.
    """
    them = count(number, "fault")
    if unknown and how in UNDO_OF_UNKNOWN:
        return UNDO_OF_UNKNOWN[how].format(them)
    if how in said:
        return f"{them} {'was' if number == 1 else 'were'} {said[how]}"
    return f"{them}: {one_line(how).rstrip('.')}"


def _locks(states: Iterable[LockState]) -> list[str]:
    """Return clauses about the locks of the run: released, taken over by another run, or still taken as far as the journal
    tells.
    """
    by: dict[str, list[LockState]] = {}
    for state in states:
        by.setdefault(state.status, []).append(state)
    parts = []
    if given := by.get("released"):
        parts.append(_released(given))
    if lost := by.get("lost"):
        parts.append(f"another run took over {_named(lost)}")
    if kept := by.get("unreleased"):
        taken = "was still taken, and expires unless it" if len(kept) == 1 else "were still taken, and expire unless they"
        parts.append(f"{_named(kept)} {taken} {'is' if len(kept) == 1 else 'are'} renewed")
    return parts


def _released(locks: Sequence[LockState]) -> str:
    return f"{_named(locks)} {'was' if len(locks) == 1 else 'were'} released"


def _named(locks: Sequence[LockState]) -> str:
    """Return a text that names a single lock. Of several locks it gives the number, and the names of the first few."""
    names = [f"{one_line(state.title)} on {one_line(state.host)}" for state in locks]
    return (
        f"the run's lock on {names[0]}"
        if len(names) == 1
        else f"the run's {len(names)} locks ({open_findings.named(names)})"
    )


def _later(view: RunView, before: Iterable[FaultResult]) -> str:
    """Return a sentence about what happened after the run: a recovery undid faults or released locks, or a person closed
    changes.

    The sentence is empty when nothing of this happened. ``before``: states of the faults at the end of the run.
    """
    open_ = {(fault.step, fault.host) for fault in before if fault.ended in LEFT}
    later = [fault for fault in view.result.faults if (fault.step, fault.host) in open_]
    undone = _undone(later, doubt=bool(_outcomes(view.recoveries, "verify") - {"done"}))
    closed = view.result.settled.changes if view.result.settled else ()
    places = {(fault.step, fault.host) for fault in later}
    acts = {(act.step, act.host) for recovery in view.recoveries for act in recovery.acts if act.by_target}
    own = len(acts & places)
    parts = [f"the target itself ran the undo of {count(own, 'fault')}"] if own else []
    parts += [f"drill.recover recorded: {'; '.join(undone)}"] if undone else []
    parts += [f"a person closed {count(len(closed), 'change')}"] if closed else []
    given = [state for state in view.locks_at_end if state.later]
    parts += [_released(given)] if given else []
    return f"Later, {', and '.join(parts)}." if parts else ""


def _probe(track: ProbeTrack, finished: bool) -> str:
    """Return the last observation of a probe of the service. The result is empty for a canary, and for a probe that did not
    work.

    ``finished``: False when the controller died. The text then says that the sample is only the last recorded sample,
    because newer samples may be lost.
    """
    if track.kind != "availability" or track.error or not track.stretches:
        return ""
    last, which = track.stretches[-1].label, "last" if finished else "last recorded"
    return f"the {which} sample of {one_line(track.name)} was {last}" if last in ("good", "bad") else ""

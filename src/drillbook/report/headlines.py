"""The result of a run in sentences, for the head of its report."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.judge import shortfall, verdicts
from drillbook.judge.later_steps import lasting
from drillbook.judge.result import Result, RunView, StepView
from drillbook.judge.rto import NEVER_FOR_GOOD
from drillbook.judge.verdicts import CONTROLLER_DIED, Verdict
from drillbook.report import (
    canary_writes,
    compared_content,
    lost_data,
    own_commands,
    rehearsal_results,
    remarks,
    unproven_faults,
)
from drillbook.report.figures import count, one_line, seconds, utc_time
from drillbook.report.objective_figures import in_run
from drillbook.report.rows import rows_of
from drillbook.report.stop_words import in_words
from drillbook.report.wording import MISSED, measured, unmeasured, without_body, written

FIGURES = ("rto", "rpo")
JUDGED = (Verdict.FAILED, Verdict.INCONCLUSIVE)
"""Verdicts whose reason is the first sentence of a report."""
NOT_PASSED = {"failed": "failed", "error": "could not be carried out", "unverified": "could not be carried out"}
"""Words for a verification that did not pass, by the status of its step."""
NONE_OF = "none "
"""Beginning of the clause about a canary that lost no write. After rows that did not come back, it begins with "beside them"."""


def sentence(view: RunView, *, beside: bool = False) -> str:
    """Return the result of the run in sentences, from measured figures only. The reason for a failure comes first.

    ``beside``: True if the sentences of ``end_state`` stand beside it. What they say is then left out.
    """
    return " ".join(filter(None, (reason(view), story(view, beside=beside))))


def reason(view: RunView) -> str:
    """Return the reason why a run failed or is inconclusive, as a sentence. The result is empty for every other run."""
    if view.result.verdict not in JUDGED:
        return ""
    said = _with_figures(_reason(view.result), view.result)
    if "disruption" not in view.timeline.marks or not (step := _not_passed(view)):
        return said
    told = one_line(view.result.reason).startswith(f"{one_line(step.result.id)} ")
    return " ".join(filter(None, (_verification(step), "" if told else said)))


def _with_figures(said: str, result: Result) -> str:
    """Return the sentence ``said`` with the figures and targets of the objectives that the run missed, if it says no more than their
    names."""
    missed = [row for row in rows_of(result) if row.state == MISSED and row.measured_s is not None]
    if not missed or not said.startswith(verdicts.MISSED.capitalize()):
        return said
    named = [f"{f'{row.short} ' if len(missed) > 1 else ''}{row.measured}, target {row.target}" for row in missed]
    return f"{said.rstrip('.')} ({'; '.join(named)})."


def story(view: RunView, *, beside: bool = False) -> str:
    """Return the result of the run in sentences, without the sentence that ``reason`` returns. ``beside``: see ``sentence``."""
    result, marks = view.result, view.timeline.marks
    service = one_line(result.service)
    known = result.verdict in (Verdict.PASSED, *JUDGED) or (beside and result.reason == CONTROLLER_DIED)
    tail = "" if known else _reason(result)
    if "disruption" not in marks:
        return " ".join(
            filter(None, (_not_disrupted(view), tail, *(unproven_faults.story(view, fault) for fault in result.faults)))
        )
    at = utc_time(view.zero, marks["disruption"])
    if _not_passed(view):
        return _join(_unproven(result, f"Recovery of {service} is not proven: it was disrupted at {at}", marks))
    undone = ", by the undo of the stopped run" if _undone(view) else ""
    parts = [_recovery(result, f"The service {service} was disrupted at {at}", marks) + undone]
    parts.append(_loss(result, told=beside and bool(lost_data.at_end(view))))
    if result.verdict is Verdict.ABORTED:
        parts.append(_doubt([figure for figure in FIGURES if not _missed(result, figure)], result))
    return " ".join([_join(parts), tail]).strip()


def _not_passed(view: RunView) -> StepView | None:
    """Return a step of the phase `verify` that did not pass. Because of such a step, the figures of the recovery prove nothing.

    When several steps did not pass, return the step that the reason of the verdict names, or else the first step. Return
    None when there is no such step, and for every verdict except failed and inconclusive.
    """
    if view.result.verdict not in JUDGED:
        return None
    failed = [step for step in view.steps if step.phase == "verify" and step.result.status in NOT_PASSED]
    named = [step for step in failed if view.result.reason.startswith(f"{step.result.id} ")]
    return next(iter(named or failed), None)


def _verification(step: StepView) -> str:
    """Return a sentence about a verification that did not pass, with the message of its step."""
    what = f"{one_line(step.result.id)} {one_line(step.name or step.result.action)}"
    message = step.message.strip().splitlines()
    told = f": {without_body(one_line(message[0])).rstrip('.')}" if message else ""
    return f"Verification {NOT_PASSED[step.result.status]}: {what}{told}."


def _unproven(result: Result, begin: str, marks: dict[str, float]) -> list[str]:
    """Return parts of a sentence about a run whose verification did not pass: the figures of the run, and a note that these
    figures prove no objective.
    """
    known = measured(result, "rto")[0] is not None and "first_bad" in marks
    seen = (
        f"{begin}, and a probe was good again {written(result, 'rto')} later" if known else _recovery(result, begin, marks)
    )
    return [seen, _loss(result), _doubt(FIGURES, result)]


def _doubt(objectives: Sequence[str], result: Result) -> str:
    """Return a note which says that the measured figures of ``objectives`` do not count as proof. It is empty when no figure
    was measured.
    """
    figures = [objective for objective in objectives if measured(result, objective)[0] is not None]
    return {0: "", 1: f"the {''.join(figures).upper()} does not count", 2: "these figures do not count"}[len(figures)]


def _missed(result: Result, key: str) -> bool:
    return key in result.objectives and result.objectives[key].met is False


def _undone(view: RunView) -> bool:
    """Return True when the run was ended early, and the service recovered only afterwards, while the run undid its changes."""
    recovered = view.timeline.marks.get("recovered")
    return view.early_end is not None and recovered is not None and recovered > view.early_end.at


def _join(parts: list[str]) -> str:
    return "; ".join(part for part in parts if part) + "."


def _reason(result: Result) -> str:
    """Return the reason of the verdict as a sentence. Names of hosts, services and steps keep their case also at its beginning."""
    told = in_run(in_words(result.reason), result.objectives, result.reason)
    text = without_body(one_line(told)).strip()
    word = text.split(" ")[0]
    names = {result.service, result.drill, *(step.host for step in result.steps)} - {"a", "an", "the"}
    is_name = word.rstrip(":,;") in names or not word.rstrip(":,;").isalpha()
    first = word.capitalize() if word.islower() and not is_name else word
    return f"{first}{text[len(word) :].rstrip('.')}." if text else ""


def _not_disrupted(view: RunView) -> str:
    result = view.result
    nothing = (
        "The drill injects no fault." if rehearsal_results.injects_nothing(view.plan) else "No disruption was measured."
    )
    return {
        Verdict.REFUSED: "The drill was refused.",
        Verdict.ABORTED: "" if result.reason else "The run was stopped before its end.",
        Verdict.NOT_RUN: "The drill was not run here.",
    }.get(result.verdict, _rehearsed(view) or nothing)


def _rehearsed(view: RunView) -> str:
    """Return the sentences about a rehearsal: its figures, and a sentence if its content was not compared."""
    return " ".join(filter(None, (rehearsal_results.sentence(view.result), compared_content.not_compared(view))))


def _recovery(result: Result, begin: str, marks: dict[str, float]) -> str:
    rto, error = measured(result, "rto")
    if rto == 0 and error is not None and "first_bad" not in marks:
        return f"{begin}, and no probe saw an outage longer than {seconds(error, 3)}"
    if rto is not None:
        return f"{begin} and served again {written(result, 'rto')} later"
    why = unmeasured(result, "rto")
    if result.reason == CONTROLLER_DIED and why == NEVER_FOR_GOOD:
        return f"{begin}, and the controller died before the run measured a recovery"
    return f"{begin}, and no recovery was measured{f' ({why})' if why else ''}"


def _loss(result: Result, *, told: bool = False) -> str:
    """Return clauses about the loss of data: first the data that did not come back, unless it is ``told`` elsewhere, then the
    measured RPO."""
    steps = lasting(result.steps, result.later_steps)
    missing = [] if told else remarks.shortfalls(steps)
    doubtful = own_commands.doubtful(steps, result.objectives.get("rpo"))
    whose = "of the canary's" if doubtful or shortfall.has_uncounted(steps) else "of the drill's"
    measured_loss = _measured_loss(result, whose)
    beside = "beside them, " if missing and measured_loss.startswith(NONE_OF) else ""
    return "; ".join([*missing, beside + measured_loss])


def _measured_loss(result: Result, whose: str) -> str:
    objective = result.objectives.get("rpo")
    rpo = written(result, "rpo")
    if not rpo:
        why = unmeasured(result, "rpo")
        return f"the recovery point (RPO) was not measured{f' ({why})' if why else ''}"
    lost = objective.lost_writes if objective else None
    known = objective.acknowledged_writes if objective else None
    if lost is None or known is None:
        return f"{rpo} of data were lost"
    if lost == 0:
        return f"{NONE_OF}{whose} {count(known, 'test write')} acknowledged before the disruption was lost"
    verb = "was" if lost == 1 else "were"
    return f"{lost} of {canary_writes.own(known)} {verb} lost, {rpo} of data"

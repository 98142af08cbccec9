"""Decides if an objective of a drill is proven. The decision depends on all runs of the drill: each run met the
objective, missed it, or tells nothing about it. The audit and the metrics both use this decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from drillbook.judge.verdicts import Verdict

RULE = (
    "An objective is proven by the newest run that passed and met it without a reservation, unless a later run missed it "
    "or failed without verifying it; runs with a reservation, and inconclusive, refused and aborted runs, neither prove "
    "an objective nor take a proof back. A figure above the target that the objective has now proves nothing."
)


class Answer(StrEnum):
    """Result of one run for one objective."""

    PROVED = "proved"
    RESERVED = "met with a reservation"
    MISSED = "missed"
    FAILED = "failed without verifying it"
    NONE = "no answer"


@dataclass(frozen=True, slots=True)
class Standing:
    """Runs of a series that prove an objective, or speak against it. Each field is the number of a run in the series. The
    oldest run has the number 0.
    """

    proof: int | None = None
    """The newest run that proved the objective, even if a later run missed the objective."""
    reserved: int | None = None
    """The newest run that met the objective with a reservation. The measurement of this run does not prove the objective.
    The field is None if a later run proved the objective, missed it, or failed without verifying it.
    """
    taken_back: int | None = None
    """Newest run after which the objective is no longer proven, because the run missed it, or failed before it could
    measure it. It is None when a later run proved the objective again.
    """

    @property
    def proven(self) -> bool:
        """True when a run proved the objective, and no later run missed it or failed without verifying it."""
        return self.proof is not None and self.taken_back is None


def within(measured_s: float | None, error_s: float | None, target_s: float) -> bool:
    """Return True when the measured value plus its error does not exceed the target. Also return True when no value was
    measured.
    """
    return measured_s is None or measured_s + (error_s or 0.0) <= target_s


def answer(verdict: str, met: bool | None, *, marked: bool, held: bool = True) -> Answer:
    """Return the result of one run for one objective.

    ``met``: None when the run did not verify the objective. ``marked``: True when the figure has a reservation. ``held``: False
    when the figure is above the target that the objective has now.
    """
    if met is False:
        return Answer.MISSED
    if met and not held:
        return Answer.NONE
    if met and verdict == Verdict.PASSED:
        return Answer.RESERVED if marked else Answer.PROVED
    return Answer.FAILED if met is None and verdict == Verdict.FAILED else Answer.NONE


def up_to_the_decision(newest_first: Iterable[Answer]) -> list[Answer]:
    """Return those results of runs that decide whether an objective is proven, oldest first. Results of older runs cannot
    change the decision, so they are left out.
    """
    deciding = []
    for run_answer in newest_first:
        deciding.append(run_answer)
        if run_answer in (Answer.PROVED, Answer.MISSED, Answer.FAILED):
            break
    return deciding[::-1]


def standing(answers: Iterable[Answer]) -> Standing:
    """Apply ``RULE`` to the results of a drill's runs for one objective, and return the state of the objective. ``answers``:
    these results, oldest first.
    """
    current = Standing()
    for number, run_answer in enumerate(answers):
        if run_answer is Answer.PROVED:
            current = Standing(proof=number)
        elif run_answer is Answer.RESERVED:
            current = Standing(current.proof, number, current.taken_back)
        elif run_answer in (Answer.MISSED, Answer.FAILED):
            current = Standing(current.proof, None, number)
    return current

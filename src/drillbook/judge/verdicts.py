"""Verdicts of a run, each with its exit status."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

from drillbook.exits import Exit

CONTROLLER_DIED = "the controller of the run died, so the journal has no end of the run"
"""Reason of the verdict, if the journal contains no end of the run."""

MISSED = "objective missed: "
"""Beginning of the reason of the verdict, if the run missed objectives. Their names follow."""


UNFINISHED = "unfinished"
"""Word that lists, the index, reports and the audit show in place of the verdict of a run whose controller died, until somebody
recovers this run. After that, they show its verdict, and that it was recovered.
"""


class Verdict(StrEnum):
    """Verdict of a run. The table ``EXIT`` gives the exit status of each verdict."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"
    ABORTED = "aborted"
    NOT_RUN = "not run here"
    """This machine lacks a service that the drill needs. Nothing was touched."""


EXIT = {
    Verdict.PASSED: Exit.OK,
    Verdict.FAILED: Exit.FAILED,
    Verdict.INCONCLUSIVE: Exit.UNVERIFIED,
    Verdict.REFUSED: Exit.REFUSED,
    Verdict.ABORTED: Exit.REFUSED,
    Verdict.NOT_RUN: Exit.UNVERIFIED,
}


UNSUCCESSFUL = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ABORTED)
"""Verdicts of runs that began and did not end well."""


class Ending(Protocol):
    """The part of a run in a list that tells how it ended."""

    @property
    def verdict(self) -> str:
        """Verdict of the run, or ``unfinished``."""
        ...

    @property
    def left(self) -> bool:
        """True if the run left changes that nobody undid or closed."""
        ...


Run = TypeVar("Run", bound=Ending)


def without_refused(runs: Sequence[Run]) -> Sequence[Run]:
    """Return the runs of a drill from the one that lists show as the newest. ``runs``: all its runs in one environment, newest
    first.

    A refused run tried nothing. So it does not take the place of a run before it that began and did not end well.
    """
    first = next((number for number, run in enumerate(runs) if run.verdict != Verdict.REFUSED), 0)
    return runs[first:] if runs and stays(runs[first]) else runs


def stays(run: Ending) -> bool:
    """Return True for a run whose place as the newest one no refused run takes."""
    return run.verdict in (*UNSUCCESSFUL, UNFINISHED) or run.left


def shown(verdict: str, reason: str, finished: str | None) -> str:
    """Return the word to show for the verdict of a run; see ``UNFINISHED``. ``reason``: reason of the verdict. ``finished``: end of
    the run or of its recovery, as a ``result.json`` contains it.
    """
    return UNFINISHED if reason == CONTROLLER_DIED and not finished else verdict

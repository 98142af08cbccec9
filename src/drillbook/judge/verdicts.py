"""Verdicts of a run, each with its exit status."""

from __future__ import annotations

from enum import StrEnum

from drillbook.exits import Exit

CONTROLLER_DIED = "the controller of the run died, so the journal has no end of the run"
"""Reason of the verdict, if the journal contains no end of the run."""

MISSED = "objective missed: "
"""Beginning of the reason of the verdict, if the run missed objectives. Their names follow."""


UNFINISHED = "unfinished"
"""Word that lists, the index and the audit show in place of the verdict of a run whose controller died, until somebody recovers
this run. After that, they show its verdict, and that it was recovered.
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
"""Verdicts of runs that began and did not end well. A refused run tried nothing, so in lists it does not take their place."""


def shown(verdict: str, reason: str, finished: str | None) -> str:
    """Return the word to show for the verdict of a run; see ``UNFINISHED``. ``reason``: reason of the verdict. ``finished``: end of
    the run or of its recovery, as a ``result.json`` contains it.
    """
    return UNFINISHED if reason == CONTROLLER_DIED and not finished else verdict

"""Verdicts of a run, each with its exit status."""

from __future__ import annotations

from enum import StrEnum

from drillbook.exits import Exit

CONTROLLER_DIED = "the controller of the run died, so the journal has no end of the run"
"""Reason of the verdict, if the journal contains no end of the run."""

MISSED = "objective missed: "
"""Beginning of the reason of the verdict, if the run missed objectives. Their names follow."""


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

"""Data that a run lost, in a few words, for lists and for the line of a drill in a suite."""

from __future__ import annotations

from drillbook.judge.result import Result
from drillbook.judge.verdicts import Verdict
from drillbook.report.figures import count
from drillbook.report.rows import ObjectiveRow, rows_of

NONE = "none"


def lost(result: Result) -> str:
    """Return the data that a run lost, such as ``129 writes``, ``at least 3 rows`` or ``none``. The text is empty if the loss is
    unknown.
    """
    known, rpo = _row(result), result.objectives.get("rpo")
    if known is None or rpo is None or known.measured_s is None:
        return ""
    if known.lost:
        return known.lost.removesuffix(" lost")
    return "" if rpo.lost_writes is None else count(rpo.lost_writes, "write") if rpo.lost_writes else NONE


def allowed(result: Result) -> str:
    """Return a text about the data that a passed run lost and that its RPO allows. The text is empty for any other run."""
    row = _row(result)
    if result.verdict is not Verdict.PASSED or row is None or not row.met or row.lost or lost(result) in ("", NONE):
        return ""
    return f"{lost(result)} lost (RPO {row.brief} of {row.target} allowed)"


def _row(result: Result) -> ObjectiveRow | None:
    return next((row for row in rows_of(result) if row.key == "rpo"), None)

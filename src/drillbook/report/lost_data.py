"""Data that a run lost, in a few words: for lists, for the line of a drill in a suite, and for a recovered run."""

from __future__ import annotations

from collections.abc import Iterable

from drillbook.findings import Finding
from drillbook.judge import shortfall
from drillbook.judge.later_steps import lasting
from drillbook.judge.result import Objective, Result, RunView
from drillbook.judge.shortfall import OLDER
from drillbook.judge.verdicts import Verdict
from drillbook.report import canary_writes, open_findings
from drillbook.report.figures import count, one_line
from drillbook.report.rows import ObjectiveRow, row_of

NONE = "none"
ENTER_AGAIN = "Enter this data again: see Next."


def lost(result: Result) -> str:
    """Return the data that a run lost, such as ``129 writes``, ``at least 3 rows, 129 writes`` or ``none``.

    The text is empty if the loss is unknown. This is also so if no loss was found in a run that did not pass, because such a run
    perhaps restored nothing.
    """
    return _lost(result, row_of(result, "rpo"))


def _lost(result: Result, known: ObjectiveRow | None) -> str:
    rpo = result.objectives.get("rpo")
    if known is None or rpo is None or known.measured_s is None:
        return ""
    if lost_parts := ", ".join(filter(None, (known.lost.removesuffix(" lost"), _writes(rpo)))):
        return lost_parts
    whole = rpo.lost_writes == 0 and result.verdict is Verdict.PASSED and not known.uncounted
    return NONE if whole else ""


def apart(result: Result) -> tuple[str, str]:
    """Return the data that a run lost as two texts: data that did not come back, such as ``at least 3 rows``, and lost writes of the
    canary, such as ``129 writes``. A text is empty if no such loss was found.
    """
    known, rpo = row_of(result, "rpo"), result.objectives.get("rpo")
    if known is None or rpo is None or known.measured_s is None:
        return "", ""
    return known.lost.removesuffix(" lost"), _writes(rpo)


def _writes(rpo: Objective) -> str:
    return count(rpo.lost_writes, "write") if rpo.lost_writes else ""


def allowed(result: Result) -> str:
    """Return a text about the data that a passed run lost and that its RPO allows. The text is empty for any other run."""
    row = row_of(result, "rpo")
    data = _lost(result, row)
    if result.verdict is not Verdict.PASSED or row is None or not row.met or row.lost or data in ("", NONE):
        return ""
    return f"{data} lost (RPO {row.brief} of {row.target} allowed)"


def after_recovery(view: RunView) -> str:
    """Return a sentence about the data that a recovered run lost. It is made from the findings of the run and of its recoveries,
    because a run whose controller died proves no RPO. The sentence is empty for a run without a recovery, and if no loss was found.
    """
    return _sentence(view.result.every_finding, view.result) if view.recoveries else ""


def at_end(view: RunView) -> str:
    """Return sentences about the data that did not come back in a run that was recovered or stopped, with the instruction to enter it
    again if no change is left to undo. They are empty for any other run.
    """
    if not view.recoveries and view.result.verdict is not Verdict.ABORTED:
        return ""
    lacking = any(finding.code == open_findings.LACKING for finding in view.result.every_finding)
    instruction = ENTER_AGAIN if lacking and (view.recoveries or view.finished) and not view.result.open_residue else ""
    return " ".join(filter(None, (_sentence(view.result.every_finding, view.result), instruction)))


def in_recovery(result: Result, steps: Iterable[str]) -> str:
    """Return a sentence about the data that did not come back in ``steps``, which are steps of a recovery. The sentence is empty if
    no such loss was found.
    """
    return _sentence((finding for finding in result.later_findings if finding.step in set(steps)), result)


def _sentence(findings: Iterable[Finding], result: Result) -> str:
    told = dict.fromkeys(_told(finding, result) for finding in findings if finding.code in open_findings.DATA_LOSS)
    return f"Data lost: {'; '.join(told)}." if told else ""


def _told(finding: Finding, result: Result) -> str:
    if finding.code == open_findings.LOST_WRITES:
        writes, _, numbers = canary_writes.lost(one_line(finding.measured), result).partition(": ")
        return f"{writes} ({numbers})" if numbers else writes
    if finding.code == open_findings.LACKING:
        known = shortfall.shortfalls(lasting(result.steps, result.later_steps))
        if short := [one_line(loss.text) for loss in known if loss.step == finding.step]:
            return "; ".join(short)
    measured = one_line(finding.measured).removesuffix(f" ({OLDER})")  # the finding in the report has the rest
    return ": ".join(filter(None, (one_line(finding.title[:1].lower() + finding.title[1:]), measured)))

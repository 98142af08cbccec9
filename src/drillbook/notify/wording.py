"""Texts of the messages to contacts. Each message has a title and a body. All functions are pure: they read and write
no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.findings import Severity
from drillbook.installation.program_name import as_called, program
from drillbook.judge.result import Objective, Result, Settled
from drillbook.judge.verdicts import Verdict
from drillbook.language.lists import leading
from drillbook.plan.planner import Plan
from drillbook.report import remarks
from drillbook.report.figures import seconds
from drillbook.report.remarks import BY_PROBE, Remark
from drillbook.report.rows import findings_of, objective_rows
from drillbook.report.stop_words import in_words
from drillbook.report.wording import objective_name
from drillbook.sdk.host import printable

LONGEST = 3500
"""Maximum length of a text, in characters. Chat services shorten or refuse longer texts; their smallest limit is 4,000."""
MOST = 10
"""Maximum number of lines of one list in a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message with its title, its text and its severity. The severity is a word of apprise: ``info``, ``success``,
    ``warning`` or ``failure``.
    """

    title: str
    text: str
    weight: str = "info"


def _message(plan: Plan, what: str, lines: Sequence[str], weight: str = "info") -> Message:
    title = f"[{plan.inventory.environment}] drill {plan.drill}: {what}"
    return Message(printable(title[:150]), printable(_cut("\n".join(lines))), weight)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "\n..."


def start(plan: Plan, run: str, operator: str) -> Message:
    """Return the message about the start of a run. It names the faults, the operator and the objectives."""
    faults = [f"- {step.action} on {', '.join(step.hosts)}" for step in plan.steps if step.effect == "fault"]
    aims = ", ".join(f"{key.upper()} {seconds(target)}" for key, target in plan.objectives.items())
    return _message(
        plan,
        "started",
        [
            plan.title,
            f"run: {run}",
            f"operator: {operator}",
            f"service: {plan.service}",
            f"objectives: {aims or 'none'}",
            "faults:" if faults else "no faults",
            *_few(faults),
        ],
        "warning",
    )


def abort(plan: Plan, run: str, message: str) -> Message:
    """Return the message about a run that was stopped early and is undoing its changes."""
    return _message(plan, "stopped", [f"run: {run}", message, "The faults of this run are being undone now."], "warning")


def residue(plan: Plan, run: str, left: Sequence[Mapping[str, Any]]) -> Message:
    """Return the message about changes that were not undone. It lists the host, the change and the reason, and the
    commands that undo the change by hand.
    """
    shown, others = leading(left, MOST)
    lines = [
        line
        for change in shown
        for line in (f"- {change['host']}: {change['what']}: {change['why']}", f"  by hand: {as_called(change['by_hand'])}")
    ]
    more = [f"and {others} more: see the report"] if others else []
    return _message(
        plan,
        f"changes that could not be undone: {len(left)}",
        [
            f"run: {run}",
            "These changes remain on the hosts:",
            *lines,
            *more,
            f"to try again: {program()} drill.recover {run}",
        ],
        "failure",
    )


def settled(plan: Plan, run: str, closed: Settled, report: str) -> Message:
    """Return the message about a run that a person closed: the person declared that its remaining changes need no undo. The
    message contains the name of the person and the reason. It lists the checked state of the first changes, and gives the
    number of the others.
    """
    lines = [
        f"- {change.host}: {change.what}: {change.proof}" + (f", {change.detail}" if change.detail else "")
        for change in closed.changes
    ]
    second = [f"approved by {closed.approval['principal']}"] if closed.approval else []
    return _message(
        plan,
        "closed",
        [
            f"run: {run}",
            f"closed by {closed.by}: {closed.reason}",
            *second,
            "Result of each check:",
            *_few(lines),
            *closed.kept,
            f"report: {report}",
        ],
        "warning",
    )


def end(plan: Plan, result: Result, report: str, *, recovered: bool = False) -> Message:
    """Return the message about the end of a run. It contains the verdict, the measurements with their errors, and the
    path of the report.
    """
    how = "recovered; all changes are undone" if recovered else str(result.verdict)
    told = remarks.of_result(result)
    findings = [finding for finding in findings_of(result) if finding.severity != Severity.INFORMATION]
    weight = {"passed": "success", "failed": "failure"}.get(str(result.verdict), "warning")
    return _message(
        plan,
        how,
        [
            plan.title,
            f"run: {result.run}",
            f"verdict: {result.verdict}: {in_words(result.reason)}",
            *(objective(key, goal, told.get(key), result.verdict) for key, goal in result.objectives.items()),
            f"findings: {len(findings)}",
            *_few([f"- {finding.severity}: {finding.title}" for finding in findings]),
            f"report: {report}",
        ],
        weight,
    )


def objective(key: str, goal: Objective, told: Remark | None = None, verdict: str = Verdict.PASSED) -> str:
    """Return one line about an objective: the figure with its measurement error, the target, and the result (`met` or not).

    ``told``: remark on the measurement. The line contains the remark only if the remark has a mark, which is a symbol such as
    ``‡``. With such a remark, a met objective is called `met with a reservation`. ``verdict``: verdict of the run. If the
    run did not pass, the line says that a met objective does not count.
    """
    (row,) = objective_rows({key: goal}, {key: told} if told else {}, verdict)
    why = f" ({row.reason})" if row.reason else ""
    remark = f". {row.remark}" if row.mark else ""
    name = objective_name(key, row.by if row.by == BY_PROBE else "")
    return f"{name}: {row.measured}, objective {row.target}: {row.said}{why}{remark}"


def _few(lines: Sequence[str]) -> list[str]:
    shown, others = leading(lines, MOST)
    return [*shown, *([f"- and {others} more"] if others else [])]

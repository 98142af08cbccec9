"""Lines about the findings of each drill of a suite, and about the changes that it left. On a terminal, all drills of the suite share
a few lines, so that the whole output stays readable. Reports have everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.text import Text

from drillbook.findings import Finding, Severity
from drillbook.installation.program_name import as_called
from drillbook.judge.result import Residue, RunView
from drillbook.judge.shortfall import OLDER
from drillbook.judge.verdicts import Verdict
from drillbook.report import open_findings, remedies, residue_state, rows
from drillbook.report.figures import one_line, shown
from drillbook.report.terminal.prose import Prose
from drillbook.report.terminal.tables import COLOURS

LINES = 9
"""Number of lines for the findings of all drills of a suite, and for the changes that they left. Each drill with any of them has at
least one line."""


@dataclass(slots=True)
class FindingRoom:
    """Room for the findings of the drills of a suite on a terminal. ``drills``: number of drills that have not ended yet. One line
    is kept free for each of them. ``left``: number of free lines.
    """

    drills: int
    left: int = LINES

    def lines(self, view: RunView, console: Console) -> RenderableType:
        """Return the lines about the findings of the drill that has just ended, and about the changes that it left, in the fullest
        form that has room.
        """
        self.drills = max(0, self.drills - 1)
        forms = _forms(view)
        sizes = (len(console.render_lines(form, console.options.update(height=None))) for form in forms)
        sized = list(zip(forms, sizes, strict=True))
        form, lines = next((pair for pair in sized if pair[1] <= self.left - self.drills), sized[-1])
        self.left -= lines
        return form


def in_full(view: RunView) -> RenderableType:
    """Return lines about the findings of a drill, with the measured values and the first instructions of the remedies."""
    return Group(*(part for finding in _findings(view) for part in _parts(finding, remedy=True)))


def _findings(view: RunView) -> list[Finding]:
    told = rows.findings_beside_residue(view.result)
    return [finding for finding in told if finding.severity != Severity.INFORMATION]


def _forms(view: RunView) -> Sequence[RenderableType]:
    """Return the lines about the findings of a drill in several forms, the fullest one first. The remedy for a drill that passed is
    left out, because it is among the next steps of the suite."""
    findings, left = _findings(view), view.result.residue
    if not findings:
        return [Group(*changes_left(view)), _in_short("! residue", left)] if left else [Group()]
    repaired = view.result.verdict is Verdict.PASSED
    forms: list[RenderableType] = [
        *([] if repaired else [in_full(view)]),
        Group(*(part for finding in findings for part in _parts(finding, remedy=False))),
        Group(*map(_head, findings)),
        Prose(_titled(findings[0], open_findings.first(findings)), 4),
    ]
    if left:
        return [*(Group(form, *changes_left(view)) for form in forms), _in_short(f"! {_numbers(findings)}", left)]
    return [*forms, Prose(Text(_counts(findings), style=COLOURS[findings[0].severity]), 4)]


def changes_left(view: RunView) -> list[RenderableType]:
    """Return a line for each change of the run that is not undone."""
    return [change_left(view, change) for change in view.result.residue]


def change_left(view: RunView, change: Residue) -> Prose:
    """Return the line that names a change that is not undone, or that a person closed."""
    closed = view.result.settled
    said = "NOT UNDONE" if residue_state.failed(view, change) else residue_state.UNRECORDED.upper()
    mark = "– residue, closed" if closed else f"! residue, {said}"
    text = f"{mark}: {one_line(change.what)} on {one_line(residue_state.place(view, change))} (step {one_line(change.step)})"
    return Prose(Text(text, style="" if closed else "bold red"), 2)


def _in_short(begin: str, changes: Sequence[Residue]) -> Prose:
    """Return a line with the steps whose ``changes`` are not undone."""
    steps = open_findings.named([change.step for change in changes])
    return Prose(Text(f"{begin}; not undone: {steps}", style="bold red"), 2)


def _counts(findings: Sequence[Finding]) -> str:
    """Return the numbers of findings by severity, with the titles of those about lost data."""
    lost = dict.fromkeys(shown(finding.title) for finding in findings if finding.code in open_findings.DATA_LOSS)
    return "; ".join([_numbers(findings), *lost])


def _numbers(findings: Sequence[Finding]) -> str:
    severities = [str(finding.severity) for finding in findings]
    return f"findings: {', '.join(f'{severities.count(severity)} {severity}' for severity in dict.fromkeys(severities))}"


def _parts(finding: Finding, *, remedy: bool) -> Iterator[RenderableType]:
    yield _head(finding)
    if finding.measured:
        measured = ": ".join(map(shown, open_findings.measured(finding)))
        yield Prose(Text(measured if remedy else measured.removesuffix(f" ({OLDER})")), 6)
    said = remedies.first_instruction(finding.code, finding.remedy) or finding.remedy
    if remedy and said:
        yield Prose(Text(f"remedy: {shown(as_called(said))}", style="dim"), 6)


def _head(finding: Finding) -> Prose:
    return Prose(_titled(finding, shown(finding.title)), 4)


def _titled(finding: Finding, title: str) -> Text:
    return Text(f"{finding.severity}: {title}", style=COLOURS[finding.severity])

"""Lines about the findings of each drill of a suite. On a terminal, all drills of the suite share a few lines, so that the whole
output stays readable. Reports have everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.text import Text

from drillbook.findings import Finding, Severity
from drillbook.installation.program_name import as_called
from drillbook.judge.result import RunView
from drillbook.judge.shortfall import OLDER
from drillbook.judge.verdicts import Verdict
from drillbook.report import open_findings, remedies, rows
from drillbook.report.figures import shown
from drillbook.report.terminal.prose import Prose
from drillbook.report.terminal.tables import COLOURS

LINES = 9
"""Number of lines for the findings of all drills of a suite. Each drill with findings has at least one line."""


@dataclass(slots=True)
class FindingRoom:
    """Room for the findings of the drills of a suite on a terminal. ``drills``: number of drills that have not ended yet. One line
    is kept free for each of them. ``left``: number of free lines.
    """

    drills: int
    left: int = LINES

    def lines(self, view: RunView, console: Console) -> RenderableType:
        """Return the lines about the findings of the drill that has just ended, in the fullest form that has room."""
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
    findings = _findings(view)
    if not findings:
        return [Group()]
    repaired = view.result.verdict is Verdict.PASSED
    return [
        *([] if repaired else [in_full(view)]),
        Group(*(part for finding in findings for part in _parts(finding, remedy=False))),
        Group(*map(_head, findings)),
        Prose(_titled(findings[0], open_findings.first(findings)), 4),
        Prose(Text(_counts(findings), style=COLOURS[findings[0].severity]), 4),
    ]


def _counts(findings: Sequence[Finding]) -> str:
    """Return the numbers of findings by severity, with the titles of those about lost data."""
    severities = [str(finding.severity) for finding in findings]
    numbers = ", ".join(f"{severities.count(severity)} {severity}" for severity in dict.fromkeys(severities))
    lost = dict.fromkeys(shown(finding.title) for finding in findings if finding.code in open_findings.DATA_LOSS)
    return "; ".join([f"findings: {numbers}", *lost])


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

"""Unfinished runs: their word in reports, and the later runs that were refused because of them. The controller of an unfinished run
died, or the run left changes that are not undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from drillbook.findings import Finding
from drillbook.judge.result import Result, RunView
from drillbook.judge.verdicts import Verdict, shown
from drillbook.report.figures import one_line
from drillbook.sdk.run_names import drill_of

CODE = "unfinished-run"
RECOVER = "recover the unfinished run"
"""Description of the command that recovers an unfinished run."""


def word_of(result: Result) -> str:
    """Return the word for the verdict of a run in reports; see ``verdicts.UNFINISHED``."""
    return shown(str(result.verdict), result.reason, result.finished)


def in_the_way(findings: Iterable[Finding]) -> list[str]:
    """Return the names of the unfinished runs that caused the refusal of a run. Each name occurs once. ``findings``: findings
    of the refused run."""
    names = (one_line(finding.title.rpartition(": ")[2]) for finding in findings if finding.code == CODE)
    return list(dict.fromkeys(name for name in names if drill_of(name)))


def refused_only_by_them(result: Result) -> bool:
    """Return True for a refused run whose findings are all about unfinished runs."""
    return (
        result.verdict is Verdict.REFUSED
        and bool(in_the_way(result.findings))
        and all(finding.code == CODE for finding in result.findings)
    )


def to_recover(program: str, results: Iterable[Result]) -> list[tuple[str, str]]:
    """Return the commands that recover unfinished runs, each command once, with its description. Runs in ``results`` were
    refused because of these unfinished runs.
    """
    findings = [finding for result in results if result.verdict is Verdict.REFUSED for finding in result.findings]
    return [(RECOVER, f"{program} drill.recover {name}") for name in in_the_way(findings)]


def told_once(views: Sequence[RunView], findings_of: Callable[[Result], list[Finding]]) -> Callable[[Result], list[Finding]]:
    """Return a function like ``findings_of`` that does not repeat details. If several of ``views`` have a finding about the
    same unfinished run, only the first of these findings has details and a remedy. The other findings name the drill whose
    run has the first finding.
    """
    first_by_title: dict[str, Result] = {}
    for view in views:
        for finding in view.result.findings:
            if finding.code == CODE:
                first_by_title.setdefault(finding.title, view.result)

    def told(finding: Finding, result: Result) -> Finding:
        first = first_by_title.get(finding.title)
        if finding.code != CODE or first is None or first.run == result.run:
            return finding
        return finding.model_copy(update={"measured": f"as for {one_line(first.drill)}", "remedy": ""})

    return lambda result: [told(finding, result) for finding in findings_of(result)]

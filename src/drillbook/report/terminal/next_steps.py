"""Suggests the next commands at the end of a run, depending on its verdict."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drillbook.judge.result import Verdict


def next_steps(
    program: str, drill: str, run: str, verdict: Verdict, inventory: str, *, newest: bool = False, residue: bool = False
) -> list[tuple[str, str]]:
    """Suggestions, each a pair of description and command; most urgent first."""
    on = "" if inventory in ("", "lab") else f" --inventory {inventory}"
    steps: list[tuple[str, str]] = []
    if residue:
        steps.append(("undo the remaining changes", f"{program} drill.recover {run}"))
    if verdict is Verdict.REFUSED and not residue:
        steps.append(("correct the failed preconditions, then check", f"{program} drill.check {drill}{on}"))
    if verdict is Verdict.NOT_RUN:
        steps.append(("install the missing services, then check", f"{program} drill.check {drill}{on}"))
    again = {
        Verdict.FAILED: "run the drill again after the problem is corrected",
        Verdict.INCONCLUSIVE: "run the drill again once it can be measured",
        Verdict.REFUSED: "then run it",
        Verdict.ABORTED: "run the drill again",
        Verdict.NOT_RUN: "then run it",
    }.get(verdict)
    steps.append(("read the report", f"{program} report.open" + ("" if newest else f" {run}")))
    if again:
        steps.append((again, f"{program} drill {drill}{on}"))
    return steps


def shown_steps(steps: list[tuple[str, str]]) -> RenderableType:
    """Render ``steps`` under a heading."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for what, command in steps:
        table.add_row(Text(what, style="dim"), Text(command))
    return Group(Padding(Text("Next", style="bold"), (1, 0, 0, 2), expand=False), Padding(table, (0, 0, 0, 4), expand=False))

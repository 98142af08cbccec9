"""The parts of ``drill.plan`` about a whole suite: the heading above the plans of its drills, and the table below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from drillbook.cli.earlier_durations import of_drills
from drillbook.installation.program_name import program
from drillbook.inventory.inventory import CONTROLLER
from drillbook.plan.plan import Plan
from drillbook.plan.spec import Suite
from drillbook.report.figures import count, one_line, took
from drillbook.report.terminal.prose import Prose
from drillbook.report.terminal.whole_words import WholeWords

UNKNOWN = "no run yet"


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """Row of one drill in the table below the plans of a suite."""

    drill: str
    touches: tuple[str, ...]
    """Each service that the drill changes, with its host. The drill's own service is always included."""
    breaks: tuple[str, ...]
    """Actions that inject the faults of the drill. There are none in a rehearsal."""
    recover: tuple[str, ...]
    """Steps that no host can undo by itself."""
    took: str
    """Duration of the newest run. The text is empty if the drill never ran."""
    verdict: str = ""
    """Words for a drill that would not run now, such as ``refused now``."""


def heading(
    suite: Suite, plans: Sequence[Plan], last: float | None, out: Console, durations: Sequence[float | None] = ()
) -> None:
    """Print the name of ``suite``, the order of its drills, and all their hosts. ``last``: duration of its newest passed run in
    seconds, or None. ``durations``: duration of the newest run of each drill, or None."""
    hosts = sorted({host for plan in plans for host in plan.hosts()} - {CONTROLLER})
    out.print(Text(f"{suite.suite}: {one_line(suite.title)}", style="bold"))
    drills = ", ".join(plan.drill for plan in plans)
    place = plans[0].inventory.environment if plans else ""
    unknown = f"time {of_drills(durations) or f'unknown: {UNKNOWN}'}"
    lasts = f"took {took(last)} last time" if last is not None else unknown
    for text in (
        f"suite of {count(len(plans), 'drill')}, in this order: {drills}",
        f"on {one_line(place)}: {', '.join(map(one_line, hosts))}",
        f"{lasts}; the table at the end shows what each drill breaks",
    ):
        out.print(Prose(Text(text), 2))
    out.print()


def table(rows: Sequence[SuiteRow], out: Console) -> None:
    """Print one row for each drill: the services that it changes, its faults, and the steps that no host undoes by itself."""
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in ("drill", "touches", "breaks by", "recover", "last run"):
        shown.add_column(head, no_wrap=head in ("drill", "last run"), overflow="fold")
    for row in rows:
        shown.add_row(
            Text(row.drill),
            Text(one_line(", ".join(row.touches))),
            Text(", ".join(row.breaks), style="red") if row.breaks else Text("nothing", style="dim"),
            Text(", ".join(row.recover) or "-", style="yellow" if row.recover else "dim"),
            Text(row.verdict, style="bold red")
            if row.verdict
            else Text(row.took or UNKNOWN, style="" if row.took else "dim"),
        )
    out.print()
    out.print(WholeWords(shown, 2))
    if any(row.recover for row in rows):
        text = (
            f"recover: steps that no host undoes by itself when this program dies; `{program()} drill.recover` undoes them"
        )
        out.print(Prose(Text(text, style="dim"), 2))

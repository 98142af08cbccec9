"""Output of the task ``catalog``. It lists the shipped drills, suites, trees, rules and lab files, as a table or as JSON."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from drillbook.catalog import entries
from drillbook.catalog.entries import Entry
from drillbook.cli.console import console
from drillbook.cli.tables import print_json
from drillbook.installation.program_name import program
from drillbook.report.figures import seconds


def catalog(kind: str, *, as_json: bool) -> int:
    """Print the entries of the catalogue for ``kind``. When ``kind`` is empty, print all entries. Raises UnknownName
    when there is no entry for ``kind``.
    """
    found = entries.selected(kind)
    if as_json:
        print_json([asdict(entry) for entry in found])
        return 0
    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    words = {"entry": [_name(entry) for entry in found], "needs": [word for e in found for word in _needs(e).split()]}
    for column in ("entry", "needs", "takes"):
        longest = max(map(len, words.get(column, [""])), default=0)
        table.add_column(column, overflow="fold", no_wrap=column == "takes", min_width=longest)
    for entry in found:
        name = Text(_name(entry))
        name.append(f"\n{entry.purpose}", style="dim")
        table.add_row(name, Text(_needs(entry)), Text(_takes(entry)))
    out.print(table)
    out.print(Text(f"\nNext: {program()} init --with {found[0].name}   copies it into a project"), soft_wrap=True)
    out.print(Text("The times were measured on a running lab. A restore of your own data may take longer or shorter."))
    return 0


def _name(entry: Entry) -> str:
    return entry.name if entry.sort in ("drill", "rules", "lab") else f"{entry.name} ({entry.sort})"


def _needs(entry: Entry) -> str:
    """Return the services that ``entry`` needs, and its effect on these services."""
    effect = "breaks, then restores: " if entry.breaks else ""
    place = f" ({entry.lab} lab)" if entry.lab == "docker" else ""
    return f"{effect}{', '.join(entry.kinds)}{place}"


def _takes(entry: Entry) -> str:
    """Return the duration of ``entry`` that was measured on a lab."""
    if not entry.lab or entry.sort == "lab":
        return "-"
    return "not measured" if entry.seconds is None else seconds(entry.seconds, 0)

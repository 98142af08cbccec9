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
    for column in ("entry", "needs", "takes"):
        table.add_column(column, overflow="fold", no_wrap=column == "takes")
    for entry in found:
        name = Text(entry.name if entry.sort in ("drill", "rules", "lab") else f"{entry.name} ({entry.sort})")
        name.append(f"\n{entry.purpose}", style="dim")
        table.add_row(name, Text(_needs(entry)), Text(_takes(entry)))
    out.print(table)
    out.print(Text(f"\nNext: {program()} init --with {found[0].name}   copies it into a project"), soft_wrap=True)
    out.print(
        Text("The times were measured on a running lab. A restore of your own data may take longer or shorter."),
        soft_wrap=True,
    )
    return 0


def _needs(entry: Entry) -> str:
    """Return the services that ``entry`` needs, and its effect on these services."""
    effect = "breaks, then restores: " if entry.breaks else ""
    place = f" ({entry.lab} lab)" if entry.lab == "docker" else ""
    return f"{effect}{', '.join(entry.kinds)}{place}"


def _takes(entry: Entry) -> str:
    """Return the duration of ``entry`` that was measured on a lab."""
    if not entry.lab or entry.sort == "lab":
        return "-"
    return "not measured" if entry.seconds is None else f"{entry.seconds:.0f} s"

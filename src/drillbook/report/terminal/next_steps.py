"""Renders the suggested next commands at the end of a run's output."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def shown_steps(steps: list[tuple[str, str]]) -> RenderableType:
    """Render ``steps`` under a heading."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for what, command in steps:
        table.add_row(Text(what, style="dim"), Text(command))
    return Group(Padding(Text("Next", style="bold"), (1, 0, 0, 2), expand=False), Padding(table, (0, 0, 0, 4), expand=False))

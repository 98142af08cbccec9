"""Tables of the terminal, and states with their symbols and colours."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from drillbook.judge.verdicts import UNFINISHED
from drillbook.report import remarks, wording
from drillbook.report.figures import one_line

COLOURS = {
    "passed": "green",
    "failed": "red",
    "inconclusive": "yellow",
    "refused": "cyan",
    "aborted": "magenta",
    "not run here": "yellow",
    UNFINISHED: "red",
    "met": "green",
    remarks.RESERVED: "yellow",
    "missed": "red",
    "not verified": "yellow",
    "done": "green",
    "interrupted": "magenta",
    wording.STOPPED: "magenta",
    "skipped": "cyan",
    wording.NO_STEPS: "dim",
    "critical": "red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "information": "dim",
}

DOUBTED = wording.STATES[wording.NOT_VERIFIED]
"""Symbol of an objective whose figure does not count."""


def state_text(word: str, said: str = "") -> Text:
    """Return a state with its symbol. ``said``: words to show in place of the name of the state."""
    known = {**wording.STEP_SHAPES, **wording.STATES, **{str(key): value for key, value in wording.SHAPES.items()}}
    return Text(f"{known.get(word, '?')} {one_line(said or word)}", style=COLOURS.get(word, "yellow"))


def table_of(title: str, *columns: str) -> Table:
    """Return an empty table without edges."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title, style="bold"),
        title_justify="left",
        pad_edge=False,
        show_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    return table

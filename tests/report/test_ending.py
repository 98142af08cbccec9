"""On a small terminal the table of a suite stays on the screen: the next steps come before it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from drillbook.report.terminal.ending import Ending

TABLE, STEPS, LAST = (Text("\n".join([name] * 7)) for name in ("table", "steps", "last"))


def order(height: int, *, terminal: bool = True, steps: Text | None = STEPS) -> list[str]:
    """Names of the parts in the order in which they are printed."""
    out = Console(width=80, height=height, file=io.StringIO(), force_terminal=terminal)
    out.print(Ending(TABLE, steps, LAST))
    assert isinstance(out.file, io.StringIO)
    return list(dict.fromkeys(out.file.getvalue().split()))


@pytest.mark.parametrize("height", [23, 24, 60])
def test_the_next_steps_are_below_the_table_if_everything_fits(height: int) -> None:
    assert order(height) == ["table", "steps", "last"]


@pytest.mark.parametrize("height", [10, 22])
def test_the_next_steps_come_first_on_a_terminal_that_is_too_small(height: int) -> None:
    assert order(height) == ["steps", "table", "last"]
    assert order(height, terminal=False) == ["table", "steps", "last"], "a file has no limit"


def test_without_next_steps_the_order_is_always_the_same() -> None:
    assert order(10, steps=None) == order(60, steps=None) == ["table", "last"]

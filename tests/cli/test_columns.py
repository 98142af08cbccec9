"""Lists with one line for each entry: columns that do not fit are left out, and no name is cut."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from drillbook.cli.columns import Column, cut, fitting, print_lines, width


@pytest.mark.parametrize(("height", "heads"), [(24, 2), (60, 1)])
def test_the_heads_of_a_table_that_is_longer_than_the_terminal_are_repeated_below_it(height, heads):
    out = Console(file=io.StringIO(), force_terminal=True, width=80, height=height)
    print_lines([Column("drill", 0, [Text(f"drill-{number}") for number in range(30)])], out)
    lines = [Text.from_ansi(one).plain.strip() for one in out.file.getvalue().splitlines()]
    assert [number for number, text in enumerate(lines) if text == "drill"] == [0, 31][:heads]


def columns(*widths):
    return [Column("x", rank, [Text("y" * wide)]) for rank, wide in enumerate(widths)]


@pytest.mark.parametrize(("room", "kept"), [(38, [0, 1, 2]), (37, [0, 1]), (25, [0]), (1, [0])])
def test_the_column_of_the_highest_rank_is_left_out_first_and_that_of_rank_0_never(room, kept):
    three = columns(12, 12, 10)
    assert width(three) == 38
    assert [column.rank for column in fitting(three, room)] == kept


def test_what_does_not_fit_is_printed_below_the_name_and_no_name_is_broken():
    out = Console(file=io.StringIO(), width=30)
    name = "a-name-of-a-drill-that-is-wider-than-the-terminal"
    print_lines([Column("drill", 0, [Text(name)]), Column("due", 0, [Text("now")])], out, [Text("a note")])
    assert [line.strip() for line in out.file.getvalue().splitlines()] == [name, "due now", "a note"]


def test_a_text_that_is_cut_ends_with_an_ellipsis():
    assert (cut("a long text", 6), cut("short", 6)) == ("a lon…", "short")

"""The short form of a list: the most urgent entries that fit, and a count of the others with the command that shows them."""

import io

import pytest
from rich.console import Console

from drillbook.cli.short_list import MOST_LINES, Entry, below, height_of, most_lines, must_run_again, print_rest, short
from drillbook.plan.schedule import State

LISTED = ("new", "late", "fine", "next")
ENTRIES = [Entry(2, "never run"), Entry(0, "overdue", lines=2), Entry(9, "passed", fine=True), Entry(1, "due")]


@pytest.mark.parametrize(
    ("most", "shown", "left"),
    [
        (5, ["late", "next", "new", "fine"], []),
        (4, ["late", "next", "new"], ["passed"]),
        (3, ["late", "next"], ["never run", "passed"]),
        (1, ["late"], ["due", "never run", "passed"]),
    ],
)
def test_the_most_urgent_entries_are_shown_as_far_as_there_is_room(most, shown, left):
    """The most urgent one is shown also if it has more lines than there is room."""
    items, rest = short(LISTED, ENTRIES, most=most)
    assert (items, [entry.word for entry in rest]) == (shown, left)
    assert short(LISTED, ENTRIES, everything=True, most=most) == (["late", "next", "new", "fine"], [])


def test_what_is_fine_is_left_out_of_a_long_list_although_there_is_room():
    fine = Entry(9, "passed", fine=True)
    assert short(["due", "one", "two"], [Entry(1, "due"), fine, fine], most=2) == (["due"], [fine, fine])


def test_what_is_left_out_is_counted_by_its_state():
    out = Console(file=io.StringIO(), width=100)
    print_rest(
        [Entry(1, "due"), Entry(9, "passed", fine=True), Entry(9, "passed", fine=True)],
        "drill.due",
        out,
        {"passed": "all well"},
    )
    print_rest([], "drill.due", out)
    assert out.file.getvalue().splitlines() == ["not listed: 1 due, 2 passed (all well); all: drillbook drill.due --all"]


def test_a_short_list_chooses_by_importance_and_keeps_the_order_of_urgency():
    entries = [Entry(0, "late", importance=(2,)), Entry(1, "new", importance=(3,)), Entry(2, "open", importance=(1,))]
    assert short(["a", "b", "c"], entries, most=2) == (["a", "c"], [entries[1]])
    assert short(["a", "b", "c"], entries, most=1) == (["c"], entries[:2])


@pytest.mark.parametrize(("rows", "most"), [(10, MOST_LINES), (24, MOST_LINES), (40, MOST_LINES + 16)])
def test_a_higher_terminal_has_room_for_more_lines(rows, most):
    shown = Console(file=io.StringIO(), force_terminal=True, width=80, height=rows)
    assert most_lines(shown) == most
    assert most_lines(Console(file=io.StringIO(), width=80, height=rows)) == MOST_LINES, "a file"


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(
    ("verdict", "again"), [("failed", True), ("inconclusive", True), ("aborted", True), ("refused", False), ("", False)]
)
def test_what_did_not_end_well_must_run_again_unless_it_is_overdue_anyway(verdict, again, state):
    assert must_run_again(verdict, state) is (again and state in (State.OK, State.DUE))


def test_a_command_is_the_end_of_its_line_and_facts_stand_before_the_last_one():
    facts, commands = ("in lab", "", "recovered"), ("! 1 finding open: drillbook a", "", "again: drillbook b")
    wide = "! 1 finding open: drillbook a\nin lab, recovered; again: drillbook b"
    assert below(facts, commands, 80) == wide
    assert below(facts, commands, 30) == wide.replace("; ", "\n")
    assert below(facts, commands[:2], 80) == "in lab, recovered; ! 1 finding open: drillbook a"
    assert (below(facts, (), 80), below((), commands[2:], 80), below((), ("",), 80)) == (
        "in lab, recovered",
        commands[2],
        "",
    )
    assert [height_of(wide, width) for width in (80, 38, 20)] == [2, 2, 4]
    assert height_of("", 80) == 0

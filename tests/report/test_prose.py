from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from drillbook.cli.console import console
from drillbook.judge.result import Residue
from drillbook.report.terminal import summary
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Cell, Prose, wrapped
from tests.report import samples

COMMAND = (
    "drillbook drill.recover 20261130T065247.025Z-quarterly-add4 --settled --reason 'the host was replaced by a new one'"
)
WORDS = f"The changes of this run are still in place. If the host is gone, close the residue with `{COMMAND}`, and then run it again."


def printed(what: object, width: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    out.print(what, crop=False)
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [40, 80, 100, 120])
def test_a_command_is_never_broken(width: int) -> None:
    lines = printed(Prose(Text(WORDS), 4, label=Text("remedy  ")), width)
    (line,) = [line for line in lines if "drill.recover" in line]
    assert line.strip().startswith(f"`{COMMAND}`")
    assert all(cell_len(other) <= width for other in lines if other is not line)
    assert lines[0].startswith("    remedy  The changes")
    assert all(other.startswith(" " * 12) for other in lines[1:])
    assert " ".join(" ".join(lines).split()) == f"remedy {WORDS}"


@pytest.mark.parametrize("width", [80, 120])
def test_a_command_after_a_colon_is_never_broken(width: int) -> None:
    lines = printed(Prose(Text(f"Three changes could not be undone, and one was not tried: {COMMAND}")), width)
    assert COMMAND in lines


@pytest.mark.parametrize("width", [80, 120])
def test_next_steps_stand_below_their_descriptions_if_one_does_not_fit(width: int) -> None:
    steps = [("read the report", "drillbook report.open"), ("undo the remaining changes", COMMAND)]
    lines = [line.strip() for line in printed(shown_steps(steps), width)]
    assert lines == ["", "Next", "read the report", "drillbook report.open", "undo the remaining changes", COMMAND]


def test_next_steps_that_fit_stand_beside_their_descriptions() -> None:
    assert printed(shown_steps([("read it", "drillbook report.open"), ("run", "drillbook drill x")]), 80)[2:] == [
        "    read it  drillbook report.open",
        "    run      drillbook drill x",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_commands_that_undo_a_change_by_hand_are_printed_as_they_are(width: int) -> None:
    by_hand = (
        "sudo -n sh -c 'test ! -e /etc/drillbook/rules || nft delete table inet drillbook' && rm -f " + "/var/lib/" * 12
    )
    left = Residue(step="inject.1", host="app-1", what="x", why="y", by_hand=f"on app-1: {by_hand}\n{COMMAND}")
    view = samples.failed()
    view = view.model_copy(update={"result": view.result.model_copy(update={"residue": (left,)})})
    lines = [line.strip() for line in printed(summary.details(view), width)]
    assert f"on app-1: {by_hand}" in lines
    assert COMMAND in lines


def on_terminal(what: object, width: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    out.print(what, crop=False)
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined]


BY_HAND = (
    (
        "on db-1, restore the service from its newest verified backup as your own runbook describes: the table is dropped;\n"
        "to find that backup, read the fact `location` of the steps that took backups"
    ),
    (
        'on db-1, do the work of the action postgres.admit_table with {"service": "database"};\n'
        "`drillbook actions postgres.admit_table` describes it, and a drill with this single step runs it"
    ),
)


@pytest.mark.parametrize("by_hand", BY_HAND)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_sentences_on_an_undo_by_hand_are_broken_between_words(by_hand: str, width: int) -> None:
    left = Residue(step="inject.1", host="db-1", what="x", why="y", by_hand=by_hand)
    view = samples.failed()
    view = view.model_copy(update={"result": view.result.model_copy(update={"residue": (left,)})})
    lines = printed(Group(*summary.residue_lines(view)), width)
    command = f"drillbook drill.recover {view.result.run}"
    assert max(cell_len(line) for line in lines if line.strip() != command) <= width
    assert by_hand.replace("\n", " ") in " ".join(" ".join(lines).split())


PATH = "/srv/drills/acme/reports/20261201T111040.983Z-table-dropped-96e2/report.htm"


def test_a_path_that_does_not_fit_behind_its_label_has_a_line_of_its_own_on_a_terminal() -> None:
    assert len(PATH) == 75
    what = Prose(Text(PATH), 2, label=Text("report "))
    assert on_terminal(what, 84) == [f"  report {PATH}"]
    assert on_terminal(what, 80) == ["  report", f"    {PATH}"]
    assert on_terminal(what, 78) == ["  report", f"  {PATH}"]
    assert on_terminal(what, 75) == ["  report", PATH]
    assert on_terminal(what, 74) == [f"  report {PATH}"], "no indentation helps"
    assert printed(what, 80) == [f"  report {PATH}"], "a pipe has room"
    words = Prose(Text(f"written to {PATH} and signed"), 8)
    assert on_terminal(words, 80) == ["        written to", f"    {PATH}", "        and signed"]


def test_a_path_in_a_printed_line_has_a_smaller_indentation_if_it_then_fits() -> None:
    assert wrapped(Text(f"      written to {PATH} and signed"), 80).plain.splitlines() == [
        "      written to",
        f"    {PATH}",
        "      and signed",
    ]


def test_a_pipe_gets_the_whole_command(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(Prose(Text(WORDS), 2))
    console().print(shown_steps([("undo", COMMAND)]))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert f"`{COMMAND}`," in lines
    assert COMMAND in lines


MARKED = [
    "§ 12.90 s ± 0.11 s",
    "12.90 s ± 0.11 s §†",
    "2.90 s +0/−0.1 s §†",
    "the RPO was 7.1 s ± 0.3 s †, and was § 4.2 s in the last run, which proves nothing †",
    "Less was restored. § Less data came back than the fault removed. † The drill itself took the restored backup just before.",
    "Only a drill that restores in place a backup older than its run removes † and ‡.",
    "(§ 12.90 s) of a run that did not pass ¶",
]


def wrong(lines: list[str]) -> list[str]:
    """Lines of which a mark is the end or the beginning although its figure or sentence is on another line, and figures
    without their unit."""
    found = [line for line in lines if re.match(r"\s*[†‡§¶]+(?:[.,;:)]|\s*$)", line)]
    found += [line for line in lines if re.search(r"(?:[.:;(] |^\s*|\()[†‡§¶]+\s*$", line)]
    found += [line for line in lines if re.match(r"\s*[†‡§¶]+ and", line)]
    return found + [line for line in lines if re.search(r"\d\s*$|(?:±|\+0/.)\s*$", line)]


@pytest.mark.parametrize("width", range(20, 100))
def test_a_mark_stays_beside_its_figure_or_sentence(width: int) -> None:
    for text in MARKED:
        for what in (Prose(Text(text)), Cell(Text(text))):
            lines = printed(what, width)
            assert not wrong(lines), lines
            assert " ".join(" ".join(lines).split()) == text


def test_a_cell_takes_the_room_that_it_needs_and_breaks_only_a_word_that_is_too_long() -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("a name", Cell(Text("12.90 s ± 0.11 s †\nwith a-long-word-in-it")))
    assert [line.rstrip() for line in printed(table, 80)] == ["a name  12.90 s ± 0.11 s †", "        with a-long-word-in-it"]
    assert [line.rstrip() for line in printed(table, 20)][:2] == ["a name  12.90 s ±", "        0.11 s †"]


@pytest.mark.parametrize("width", range(46, 90, 2))
def test_marks_in_the_table_of_a_suite_stay_beside_their_figures(width: int) -> None:
    lines = printed(summary.suite_ending(*samples.suite()), width)
    assert any("†" in line for line in lines)
    assert not [line for line in lines if re.search(r"(?:^|\s{2,})[†‡§¶]+(?:\s{2,}|\s*$)", line)], lines

"""Tables do not break identifiers on a terminal of 80 columns."""

from __future__ import annotations

import io
import re

import pytest
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from drillbook.cli import suite_plan
from drillbook.cli.suite_plan import SuiteRow
from drillbook.judge.result import Objective, Verdict
from drillbook.report.terminal import summary
from drillbook.report.terminal.prose import Cell
from drillbook.report.terminal.whole_words import WholeWords, fitting
from tests.report import renderings, samples


def printed(table, width: int) -> str:
    out = Console(width=width, height=24, file=io.StringIO())
    out.print(table, crop=False)
    return out.file.getvalue()


def test_the_table_of_a_suite_does_not_break_the_names_of_its_drills() -> None:
    names = ("postgres-lost", "object-corrupted", "a-drill-with-a-long-name")
    goals = {
        "rto": Objective(target_s=30, measured_s=14.96, error_s=0.1, met=True),
        "rpo": Objective(target_s=30, measured_s=1234.25, error_s=0.1, met=True),
        "detect": Objective(target_s=30, measured_s=0.5, error_s=0.1, met=True),
    }
    views = [
        samples.view(samples.result(run=f"r{at}", drill=name, verdict=Verdict.PASSED, objectives=goals))
        for at, name in enumerate(names)
    ]
    runs = [{**samples.suite()[0].runs[0], "run": view.result.run, "drill": view.result.drill} for view in views]
    suite = samples.suite()[0].model_copy(update={"runs": tuple(runs)})
    lines = renderings.printed(summary.suite_ending(suite, views), 80).splitlines()
    assert all(any(line.split()[:1] == [name] for line in lines) for name in names)
    assert max(map(len, lines)) <= 80


def test_the_plan_of_a_suite_does_not_break_the_names_of_its_actions() -> None:
    out = Console(width=80, height=24, file=io.StringIO())
    suite_plan.table(
        [
            SuiteRow("table-dropped", ("database on db-1",), ("postgres.drop_table",), ("inject.1",), "13.8 s"),
            SuiteRow("object-corrupted", ("originals on store-1",), ("s3.corrupt_object",), ("inject.1",), "7.65 s"),
            SuiteRow("api-down", ("api on app-1",), ("service.kill",), (), ""),
        ],
        out,
    )
    text = out.file.getvalue()
    words = text.split()
    assert {"postgres.drop_table", "s3.corrupt_object", "object-corrupted", "table-dropped", "inject.1"} <= set(words)
    assert max(map(len, text.splitlines())) <= 80


def names_and_words() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("name", overflow="fold")
    table.add_column("more words", overflow="fold")
    table.add_column(Text("place"), overflow="fold")
    table.add_row(Text("identifier.of_an_action"), "some words to wrap", Cell(Text("db-1.example.org:5432")))
    table.add_row(Text("another.action"), "few", Cell(Text("db-2")))
    return table


@pytest.mark.parametrize("width", [10, 24, 40, 50, 58, 80])
def test_no_word_in_a_table_is_broken(width: int) -> None:
    lines = printed(WholeWords(names_and_words(), 2, 1), width).splitlines()
    words = {"identifier.of_an_action", "another.action", "some", "words", "wrap", "db-1.example.org:5432", "db-2"}
    assert words <= {word for line in lines for word in line.split()}
    assert max(map(len, lines)) <= width or width < 2 + 23
    assert lines[-1] == ""


def test_a_table_that_does_not_fit_is_printed_as_blocks() -> None:
    assert printed(WholeWords(names_and_words(), 2), 40).splitlines() == [
        "  identifier.of_an_action",
        "    more words  some words to wrap",
        "    place       db-1.example.org:5432",
        "  another.action",
        "    more words  few",
        "    place       db-2",
    ]
    assert "more words" in printed(WholeWords(names_and_words(), 2), 80).splitlines()[0]


def test_the_widest_column_is_shrunk_first_and_at_most_to_its_longest_word() -> None:
    sizes = [Measurement(16, 16), Measurement(4, 20), Measurement(5, 12)]
    assert fitting(sizes, 48) == [16, 20, 12]
    assert fitting(sizes, 40) == [16, 12, 12]
    assert fitting(sizes, 25) == [16, 4, 5]
    assert fitting(sizes, 24) is None


def test_the_head_of_a_column_is_broken_before_a_cell() -> None:
    table = Table("drill", "RPO", "detected by probe", box=None, padding=(0, 1, 0, 0))
    table.add_row("postgres-lost", "~ 10.149 s *", "1.95 s")
    lines = renderings.printed(WholeWords(table, heads_first=True), 36).splitlines()
    assert any(re.search(r"postgres-lost +~ 10\.149 s \* +1\.95 s", line) for line in lines), lines


def test_the_gaps_are_smaller_if_each_row_then_has_one_line() -> None:
    table = Table("name", "text", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    table.add_row("database", "several words")
    widths = {width: printed(WholeWords(table, heads_first=True), width).splitlines() for width in (24, 22, 21, 24)}
    assert widths[24][-1].rstrip() == "database   several words"
    assert widths[22][-1].rstrip() == "database several words"
    assert widths[21][-2].split() == ["database", "several"], "no gap helps: the text is broken"
    assert printed(WholeWords(table, heads_first=True), 24).splitlines() == widths[24], "a render changes no other one"

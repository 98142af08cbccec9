from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from drillbook.report.terminal import summary
from tests.report import renderings, samples


@pytest.mark.parametrize("name", samples.ALL)
def test_fits_into_80_columns(name: str) -> None:
    text = renderings.printed(summary.summary(samples.ALL[name](), "reports/x/report.html"))
    assert max(cell_len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("name", ["hostile", "overwritten"])
def test_hostile_text_cannot_steer_the_terminal(name: str) -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard", legacy_windows=False)
    console.print(summary.summary(samples.ALL[name]()))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert not re.search("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e]", re.sub(r"\x1b\[[\d;]*m", "", text))
    assert "\x1b[31mred" not in text
    assert "[b]bold[/b]" in renderings.printed(summary.summary(samples.ALL[name]()), 400)


def test_colour_only_repeats_words() -> None:
    coloured = Console(width=80, file=io.StringIO(), force_terminal=True, color_system="standard", legacy_windows=False)
    coloured.print(summary.summary(samples.failed()))
    assert isinstance(coloured.file, io.StringIO)
    bare = re.sub(r"\x1b\[[\d;]*m", "", coloured.file.getvalue())
    assert [line.rstrip() for line in bare.splitlines()] == renderings.printed(
        summary.summary(samples.failed())
    ).splitlines()
    for word in ("✗ FAILED", "? not verified", "~ met, but does not", "critical"):
        assert word in bare
    assert "✗ missed" in renderings.printed(summary.summary(samples.recorded("too_slow")))


def test_the_exit_status_is_not_torn_off_by_a_long_title() -> None:
    suite, views = samples.suite()
    long = suite.model_copy(
        update={"title": "The quarterly drill of all services of the documents, with their stores and caches"}
    )
    lines = renderings.printed(summary.suite_ending(long, views)).splitlines()
    assert any(line.startswith("■ ABORTED WITH RESIDUE  exit 5  The quarterly drill") for line in lines)


def test_says_where_the_report_is() -> None:
    assert "report reports/x/report.html" in renderings.printed(summary.summary(samples.passed(), "reports/x/report.html"))
    assert "NO UNDO RECORDED: pretend.break on a" in renderings.printed(summary.suite_summary(*samples.suite()))


@pytest.mark.parametrize("name", samples.ALL)
def test_the_verdict_is_the_last_line(name: str) -> None:
    view = samples.ALL[name]()
    last = renderings.printed(summary.summary(view), 300).splitlines()[-1]
    assert last.split()[1] == str(view.result.verdict).upper().split()[0]
    assert f"  exit {view.result.exit}  " in last


def test_the_verdict_of_a_suite_is_the_last_line_and_a_drill_has_few() -> None:
    suite, views = samples.suite()
    last = renderings.printed(summary.suite_summary(suite, views), 300).splitlines()[-1]
    assert last.split()[1] == str(suite.verdict).upper()
    short = renderings.printed(summary.line(samples.passed()))
    assert short.startswith("  ✓ passed in ")
    assert len(short.splitlines()) == 1, "its losses are within the objective"
    assert "remedy: To lose fewer writes, take backups more often" in renderings.printed(summary.line(samples.failed()))


def test_brief_details_leave_clocks_and_phases_to_the_report() -> None:
    full, brief = (renderings.printed(summary.details(samples.passed(), brief=brief)) for brief in (False, True))
    assert all(word in full for word in ("Objectives", "Clocks", "Phases"))
    assert "Objectives" in brief
    assert not any(word in brief for word in ("Clocks", "Phases"))

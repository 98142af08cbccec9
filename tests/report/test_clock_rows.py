"""Clocks that measured nothing for one and the same reason are told once."""

from __future__ import annotations

from drillbook.report import clock_rows, html, markdown, wording
from drillbook.report.terminal import summary
from tests.report import renderings, samples
from tests.report.test_agreement import plain


def test_every_clock_has_a_row_or_is_told_to_be_left_out() -> None:
    for name in ("passed", "died", "recovered"):
        result = samples.recorded(name).result
        rows = clock_rows.clock_rows(result)
        left_out = clock_rows.left_out(result)
        for clock in wording.clocks_of(result):
            assert (clock.key in {row.clock.key for row in rows}) != (clock.name in left_out), (name, clock)


def test_clocks_without_a_proven_injection_have_one_sentence_and_no_rows() -> None:
    view = samples.recorded("died")
    assert [row.clock.key for row in clock_rows.clock_rows(view.result)] == ["restore", "waiting"]
    told = clock_rows.left_out(view.result)
    assert told.startswith("Not measured, because no injection is proven: Disruption, ")
    for text in (html.render(view), markdown.render(view), renderings.printed(summary.summary(view), 300)):
        assert told in plain(text)
    assert clock_rows.left_out(samples.recorded("recovered").result) == ""
    assert clock_rows.left_out(samples.recorded("not_ready").result) == ""


def test_the_terminal_tells_a_moment_from_a_duration_and_where_each_clock_begins() -> None:
    view = samples.recorded("passed")
    screen = plain(renderings.printed(summary.summary(view), 200))
    at = clock_rows.clock_rows(view.result)[0].figure
    assert f"Disruption at {at}, no sampling error moment of the injection, since the program began" in screen
    assert "Verified" in screen.split("injection to the end of the verification")[0]
    assert set(clock_rows.SPANS) == {clock.key for clock in wording.CLOCKS}
    narrow = renderings.printed(summary.summary(view), 80)
    assert max(map(len, narrow.splitlines())) <= 80


def test_the_clocks_of_phases_that_only_the_undo_finished_say_so() -> None:
    """The run was stopped within its restore; the restore that ended is that of the undo."""
    view = samples.recorded("stopped")
    assert view.early_end is not None
    assert view.early_end.later == ("restore", "verify")
    assert [row.clock.name for row in clock_rows.of_run(view) if "undo" in row.clock.span] == [
        "Restore (undo)",
        "Verified (undo)",
    ]
    for text in (html.render(view), markdown.render(view)):
        assert "which the undo carried out after the early end of the run" in plain(text)
    assert "start to end of the restore phase, by the undo" in plain(renderings.printed(summary.summary(view), 200))
    assert "undo" not in str(clock_rows.of_run(samples.recorded("passed")))

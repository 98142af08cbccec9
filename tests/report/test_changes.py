from __future__ import annotations

from drillbook.judge.changes import StepChange
from drillbook.report import changes, html, markdown
from drillbook.report.terminal import summary
from tests.report import renderings, samples
from tests.report.test_agreement import plain


def test_every_difference_stands_in_the_report_with_its_error() -> None:
    view = samples.repeated()
    rows = {row.what: (row.before, row.now, row.change, row.loud) for row in changes.change_rows(view)}
    assert rows["Verdict"] == ("failed", "passed", "changed", True)
    assert rows["RTO"] == ("5.1 s ± 0.1 s", "7.4 s ± 0.1 s", "2.3 s ± 0.2 s longer", True)
    assert rows["RPO"][2] == "no change greater than the measurement errors"
    assert rows["Detection by the drill's probe"] == ("not measured", "at most 0.1 s", "cannot be compared", False)
    assert rows["Step backup.1 postgres.dump on db-1"] == ("1.90 s to 2.20 s in 5 runs", "4.81 s", "2.61 s slower", True)
    assert rows["Step restore.1 postgres.restore on db-1"][2:] == ("1.90 s faster", False)
    assert rows["Plan"][2] == "changed"
    for text in (html.render(view), markdown.render(view)):
        words = plain(text)
        assert changes.lead(view) in words
        for row in changes.change_rows(view):
            assert all(part in words for part in (row.what, row.before, row.now, row.change)), row


def test_the_terminal_tells_the_differences_in_a_line() -> None:
    found = changes.summary(samples.repeated())
    assert found == (
        "since 2025-10-02 10:00:00 UTC (failed): RTO 2.3 s ± 0.2 s longer, 1 finding gone, 1 step slower "
        "(backup.1 postgres.dump on db-1 by 2.61 s), 1 step added, 1 step removed"
    )
    assert found in plain(renderings.printed(summary.details(samples.repeated(), brief=True), 300))
    assert changes.summary(samples.passed()) == ""


def test_the_most_slowed_steps_are_named_the_longest_change_first() -> None:
    view = samples.repeated()
    known = view.comparison
    assert known is not None
    times = {"verify.1 a on x": 2.0, "verify.2 b on x": 9.0, "verify.3 c on x": 5.0, "verify.4 d on x": 3.0}
    paced = tuple(
        StepChange(step=step, slower=True, now_s=now, low_s=1.0, high_s=1.0, runs=2) for step, now in times.items()
    )
    slowed = view.model_copy(update={"comparison": known.model_copy(update={"paced": paced})})
    named = "4 steps slower (verify.2 b on x by 8.00 s, verify.3 c on x by 4.00 s, verify.4 d on x by 2.00 s and 1 more)"
    assert named in changes.summary(slowed)
    rows = [row.what for row in changes.change_rows(slowed) if row.change.endswith("slower")]
    assert rows == [f"Step verify.{number} {letter} on x" for number, letter in ((2, "b"), (3, "c"), (4, "d"), (1, "a"))]


def test_a_figure_that_was_not_verified_is_neither_longer_nor_shorter() -> None:
    view = samples.repeated()
    objectives = {key: one.model_copy(update={"met": None}) for key, one in view.result.objectives.items()}
    view = view.model_copy(update={"result": view.result.model_copy(update={"objectives": objectives})})
    assert "RTO" not in changes.summary(view)
    (row,) = [row for row in changes.change_rows(view) if row.what == "RTO"]
    assert (row.change, row.loud) == (changes.UNVERIFIED, False)


def test_nothing_is_told_without_a_record_and_a_first_run_says_so() -> None:
    view = samples.passed()
    assert changes.lead(view) == ""
    assert "Since the last run" not in html.render(view)
    first = view.model_copy(update={"first_run": True})
    assert changes.FIRST in html.render(first)
    assert changes.FIRST in markdown.render(first)


def test_hostile_names_stay_text() -> None:
    view = samples.repeated()
    known = view.comparison
    assert known is not None
    evil = known.model_copy(update={"added": (samples.HOSTILE,), "run": samples.HOSTILE, "tool": samples.HOSTILE})
    for text in (html.render(view.model_copy(update={"comparison": evil})),):
        assert "<script>" not in text
        assert "\x1b" not in text

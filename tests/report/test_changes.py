from __future__ import annotations

import pytest

from drillbook.findings import finding
from drillbook.judge.changes import Comparison, FigureChange, FindingChange, LossChange, StepChange, TargetChange
from drillbook.judge.result import RunView, Verdict
from drillbook.report import changes, html, markdown, rows
from drillbook.report.terminal import summary
from tests.report import renderings, samples
from tests.report.test_agreement import plain


def test_every_difference_stands_in_the_report_with_its_error() -> None:
    view = samples.repeated()
    rows = {row.what: (row.before, row.now, row.change, row.loud) for row in changes.change_rows(view)}
    assert rows["Verdict"] == ("failed", "passed", "changed", True)
    assert rows["RTO"] == ("5.1 s +0/−0.1 s", "7.41 s +0/−0.10 s", "2.3 s ± 0.2 s longer", True)
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


def test_equal_durations_of_earlier_runs_are_no_range() -> None:
    change = StepChange(step="backup.2 a on x", slower=True, now_s=9.0, low_s=1.0, high_s=1.004, runs=3)
    assert changes._pace(change).before == "1.00 s in 3 runs"


def test_the_terminal_tells_the_differences_in_a_line() -> None:
    found = changes.summary(samples.repeated())
    assert found == (
        "since 2025-10-02 10:00:00 UTC (failed): RTO 2.3 s ± 0.2 s longer, 1 finding gone, 1 step slower "
        "(backup.1 postgres.dump on db-1 by 2.61 s), 1 step faster (restore.1 postgres.restore on db-1 by 1.90 s), "
        "1 step added, 1 step removed, Detection by the drill's probe cannot be compared"
    )
    assert found in plain(renderings.printed(summary.details(samples.repeated(), brief=True), 300))
    assert changes.summary(samples.passed()) == ""


def test_the_most_slowed_steps_are_named_the_longest_change_first() -> None:
    view = samples.repeated()
    known = view.comparison
    assert known is not None
    times = {
        "verify.1 a on x": 2.0,
        "verify.2 b on x": 9.0,
        "verify.3 c on x": 5.0,
        "verify.4 d on x": 3.0,
        "verify.5 e on x": 2.5,
    }
    paced = tuple(
        StepChange(step=step, slower=True, now_s=now, low_s=1.0, high_s=1.0, runs=2) for step, now in times.items()
    )
    slowed = view.model_copy(update={"comparison": known.model_copy(update={"paced": paced})})
    named = "5 steps slower (verify.2 b on x by 8.00 s, verify.3 c on x by 4.00 s, verify.4 d on x by 2.00 s and 2 more)"
    assert named in changes.summary(slowed)
    rows = [row.what for row in changes.change_rows(slowed) if row.change.endswith("slower")]
    assert rows == [
        f"Step verify.{number} {letter} on x" for number, letter in ((2, "b"), (3, "c"), (4, "d"), (5, "e"), (1, "a"))
    ]


def test_a_figure_that_was_not_verified_is_neither_longer_nor_shorter() -> None:
    view = samples.repeated()
    objectives = {key: one.model_copy(update={"met": None}) for key, one in view.result.objectives.items()}
    view = view.model_copy(update={"result": view.result.model_copy(update={"objectives": objectives})})
    assert changes.summary(view).endswith("RTO, RPO and Detection by the drill's probe cannot be compared")
    (row,) = [row for row in changes.change_rows(view) if row.what == "RTO"]
    assert (row.change, row.loud) == ("cannot be compared: this run's figure does not count", False)


def changed(verdict: Verdict = Verdict.PASSED, **more: object) -> RunView:
    """Run with another verdict that differs from its previous run only in ``more``."""
    known = samples.repeated().comparison
    assert known is not None
    base: dict[str, object] = dict.fromkeys(("figures", "added", "removed", "paced", "new_findings"), ())
    compared = Comparison.model_validate(known.model_dump() | base | more)
    view = samples.repeated() if verdict is not Verdict.REFUSED else samples.recorded("not_ready")
    return view.model_copy(update={"comparison": compared, "result": view.result.model_copy(update={"verdict": verdict})})


def figures(before: tuple[float, float], now: tuple[float, float], **more: bool) -> tuple[FigureChange, ...]:
    word = "longer" if now[0] > before[0] else "shorter"
    return (
        FigureChange(
            key="rto", before_s=before[0], before_error_s=before[1], now_s=now[0], now_error_s=now[1], change=word, **more
        ),
    )


def row(view: RunView, begin: str) -> changes.ChangeRow:
    (found,) = [one for one in changes.change_rows(view) if one.what.startswith(begin)]
    return found


def test_only_a_run_that_passed_proves_that_a_finding_is_gone() -> None:
    assert row(changed(), "Finding").change == "gone"
    assert "1 finding gone" in changes.summary(changed())
    failed = changed(Verdict.FAILED)
    assert row(failed, "Finding").change == "not proven gone: the run failed"
    assert "gone" not in changes.summary(failed)
    refused = changed(Verdict.REFUSED)
    assert row(refused, "Finding").change == "not tried in this run"
    assert changes.summary(refused).endswith("(failed): nothing was measured in this run")


def test_figures_that_cannot_be_compared_are_not_called_unchanged() -> None:
    missing = FigureChange(key="rto", before_s=None, before_error_s=None, now_s=5.4, now_error_s=0.1, change="unknown")
    same = FigureChange(key="rpo", before_s=2.0, before_error_s=0.1, now_s=2.0, now_error_s=0.1, change="same")
    view = changed(gone_findings=(), figures=(missing,))
    assert changes.summary(view).endswith("(failed): RTO cannot be compared")
    both = changed(gone_findings=(), figures=(missing, same))
    assert changes.summary(both).endswith("(failed): no change greater than the measurement errors, RTO cannot be compared")


def test_a_change_counts_only_if_the_printed_figures_show_it() -> None:
    within = figures((0.5512, 0.1203), (0.7789, 0.1021))  # printed: 0.56 s +0/−0.13 s and 0.78 s +0/−0.11 s
    assert row(changed(figures=within), "RTO").change == "no change greater than the measurement errors"
    assert "RTO" not in changes.summary(changed(figures=within))
    beyond = figures((0.55, 0.12), (0.81, 0.11))
    assert row(changed(figures=beyond), "RTO").change == "0.26 s ± 0.23 s longer"
    shorter = figures((0.81, 0.11), (0.55, 0.12))
    assert row(changed(figures=shorter), "RTO").change == "0.26 s ± 0.23 s shorter"


@pytest.mark.parametrize(
    ("by_alert", "before"), [(True, "9.00 s ± 0.25 s"), (None, "9.00 s ± 0.25 s"), (False, "9.00 s +0/−0.25 s")]
)
def test_the_error_of_each_detection_has_the_direction_of_its_own_run(*, by_alert: bool | None, before: str) -> None:
    """The drill of the last run may have awaited an alert, whose time is known with an error in both directions."""
    change = FigureChange(
        key="detection",
        before_s=9.0,
        before_error_s=0.25,
        now_s=3.0,
        now_error_s=0.25,
        change="shorter",
        before_by_alert=by_alert,
    )
    told = row(changed(figures=(change,)), "Detection")
    assert (told.before, told.now) == (before, "3.00 s +0/−0.25 s")


def paced(high: float, now: float) -> RunView:
    change = StepChange(step="backup.2 a on x", slower=True, now_s=now, low_s=0.17, high_s=high, runs=3)
    return changed(gone_findings=(), paced=(change,), older=("20251001T100000Z-sample-1a1a", "20250930T100000Z-sample-0f0f"))


def test_a_step_is_slower_by_the_difference_of_its_printed_durations() -> None:
    slower = paced(0.3242, 0.5251)  # the unrounded difference is 0.2009 s
    assert row(slower, "Step").now == "0.53 s"
    assert row(slower, "Step").change == "0.21 s slower"
    assert "1 step slower (backup.2 a on x by 0.21 s)" in changes.summary(slower)
    older = "the 2 runs before it (20251001T100000Z-sample-1a1a, 20250930T100000Z-sample-0f0f), too."
    assert changes.lead(slower).endswith(f"The durations of the steps are compared with {older}")
    alike = paced(0.3249, 0.5251)  # printed: 0.32 s and 0.53 s
    assert row(alike, "Step").change == "0.21 s slower"
    printed_alike = paced(0.3251, 0.5349)  # printed: 0.33 s and 0.53 s, a difference of no more than 0.2 s
    assert not [one for one in changes.change_rows(printed_alike) if one.what.startswith("Step")]
    assert "slower" not in changes.summary(printed_alike)
    assert "before it" not in changes.lead(printed_alike)


def test_a_figure_that_the_last_run_did_not_verify_is_not_compared() -> None:
    view = changed(figures=figures((5.0, 0.1), (7.0, 0.1), before_verified=False))
    assert row(view, "RTO").change == "cannot be compared: the last run's figure does not count"
    objectives = {key: one.model_copy(update={"met": None}) for key, one in view.result.objectives.items()}
    neither = view.model_copy(update={"result": view.result.model_copy(update={"objectives": objectives})})
    assert row(neither, "RTO").change == "cannot be compared: neither figure counts"


def test_a_figure_that_does_not_count_is_not_compared() -> None:
    """A run that is stopped at another moment is no improvement."""
    target = samples.repeated().result.objectives["rto"].target_s
    compared = figures((target - 2.0, 0.1), (target - 1.0, 0.1))
    failed = changed(Verdict.FAILED, figures=compared)
    assert row(failed, "RTO").change == "cannot be compared: this run's figure does not count"
    for verdict, said in (
        (Verdict.PASSED, "the last run's figure does not count"),
        (Verdict.ABORTED, "neither figure counts"),
    ):
        view = changed(verdict, figures=compared)
        view = view.model_copy(update={"comparison": view.comparison.model_copy(update={"verdict": "aborted"})})
        assert row(view, "RTO").change == f"cannot be compared: {said}"
        assert "longer" not in changes.summary(view)


def test_the_terminal_tells_that_steps_became_faster() -> None:
    change = StepChange(step="restore.1 a on x", slower=False, now_s=5.0, low_s=9.0, high_s=9.0, runs=1)
    assert changes.summary(changed(gone_findings=(), paced=(change,))).endswith("1 step faster (restore.1 a on x by 4.00 s)")


def test_an_rpo_without_the_data_that_did_not_come_back_has_the_same_words_in_both_runs() -> None:
    change = FigureChange(key="rpo", before_s=0.05, before_error_s=0.0, now_s=0.05, now_error_s=0.0, change="same")
    view = changed(gone_findings=(), figures=(change,))
    lacking = finding("removed-data-missing", title="items", wanted="all rows", measured="21 rows less")
    result = view.result.model_copy(update={"findings": (*view.result.findings, lacking)})
    told = row(view.model_copy(update={"result": result}), "RPO")
    assert told.before == told.now
    assert told.now == "by the canary alone 0.050 s ± 0.000 s (less data came back than the fault removed)"
    assert told.change == "cannot be compared: less data came back than the fault removed"
    loss = LossChange(what="rows of public.chunks in database", before=None, now="at least 9 rows lost", more=None)
    known = changed(gone_findings=(), figures=(change,), losses=(loss,)).model_copy(update={"result": result})
    told = row(known, "RPO")
    assert told.now == "at least 9 rows lost; by the canary alone 0.050 s ± 0.000 s"
    assert told.before == "by the canary alone 0.050 s ± 0.000 s (less data came back than the fault removed)", (
        "an older journal"
    )


def test_lost_rows_are_compared_in_the_table_and_in_the_line() -> None:
    what = "rows of public.chunks in database"
    nine, twelve = "at least 9 rows lost", "at least 12 rows lost"
    worse = changed(gone_findings=(), losses=(LossChange(what=what, before=nine, now=twelve, more=3),))
    assert row(worse, f"Lost: {what}") == changes.ChangeRow(f"Lost: {what}", nine, twelve, "3 more", loud=True)
    assert changes.summary(worse).endswith(f"(failed): {twelve} instead of {nine}")
    for loss, told, quiet in (
        (LossChange(what=what, before=nine, now="", more=-9), (nine, "none lost", "9 fewer"), False),
        (LossChange(what=what, before=nine, now=nine, more=0), (nine, nine, "same"), True),
        (LossChange(what=what, before=None, now=nine, more=None), ("not known", nine, "cannot be compared"), True),
    ):
        view = changed(gone_findings=(), losses=(loss,))
        assert row(view, f"Lost: {what}") == changes.ChangeRow(f"Lost: {what}", *told)
        assert ("instead of" not in changes.summary(view)) is quiet


def test_another_target_is_named() -> None:
    view = changed(
        gone_findings=(),
        targets=(TargetChange(key="rto", before_s=30, now_s=3), TargetChange(key="rpo", before_s=None, now_s=120)),
    )
    assert changes.summary(view).endswith("(failed): RTO target 3 s instead of 30 s, RPO target 2 min instead of none")
    assert row(view, "RTO target") == changes.ChangeRow("RTO target", "30 s", "3 s", "changed", loud=True)
    assert row(view, "RPO target").before == "none"


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


def test_the_durations_of_the_undo_are_not_those_of_the_steps_of_the_drill() -> None:
    """The run was stopped within restore.1; the undo then carried out this step as a whole."""
    stopped = samples.recorded("stopped")
    steps = {"restore.1 postgres.restore on db-1": "restore", "backup.1 postgres.dump on db-1": "backup"}
    paced = tuple(StepChange(step=step, slower=True, now_s=9.0, low_s=1.0, high_s=1.0, runs=1) for step in steps)
    view = stopped.model_copy(update={"comparison": changed(paced=paced).comparison})
    assert [row.what for row in changes.change_rows(view) if row.change.endswith("slower")] == [
        "Step backup.1 postgres.dump on db-1"
    ]
    assert "1 step slower (backup.1 postgres.dump on db-1 by 8.00 s)" in changes.summary(view)


def test_aborted_runs_that_are_not_compared_with_are_named() -> None:
    view = changed(aborted=("20261103T100000Z-sample-2b2b",))
    assert changes.lead(view).endswith(
        "which ended failed. 1 newer run was aborted, and not compared with: 20261103T100000Z-sample-2b2b."
    )
    assert changes.summary(view).startswith("since 2025-10-02 10:00:00 UTC (failed; 1 aborted run since): ")
    for page in (html.render(view), markdown.render(view)):
        assert changes.lead(view) in plain(page)


@pytest.mark.parametrize(
    ("status", "title"),
    [
        ("interrupted", "The service was not proven good again when the run ended"),
        ("failed", "The service was not good again by the end of the verification"),
    ],
)
def test_a_new_finding_has_the_title_that_its_own_report_shows(status: str, title: str) -> None:
    found = finding("not-recovered", wanted="good without a break before the verification ended")
    view = samples.repeated()
    known = view.comparison
    assert known is not None
    phases = tuple(
        phase.model_copy(update={"status": status}) if phase.phase == "verify" else phase for phase in view.result.phases
    )
    result = view.result.model_copy(update={"verdict": Verdict.FAILED, "findings": (found,), "phases": phases})
    new = (FindingChange(code=found.code, title=found.title),)
    view = view.model_copy(update={"result": result, "comparison": known.model_copy(update={"new_findings": new})})
    assert [one.title for one in rows.findings_of(result)] == [title]
    (row,) = [row.what for row in changes.change_rows(view) if row.change == "new"]
    assert row == f"Finding not-recovered: {title}"
    for text in (html.render(view), markdown.render(view)):
        assert plain(text).count(title) >= 2

"""Names of the moments that a timeline marks."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from drillbook.events.runs import RecoveryFinished, SettlementRefused
from drillbook.journal.journal import FILE, read
from drillbook.judge.rpo import OF_BACKUP
from drillbook.report import figures, html, markdown, moments, own_end, rows
from tests.report import samples
from tests.report.test_agreement import plain
from tests.report.test_end_state import RECOVERY, continued


def test_a_service_is_not_called_recovered_when_its_verification_failed() -> None:
    bad = samples.step("verify.1", "http.responds", status="failed").result
    for view, name in (
        (samples.passed(), "recovered"),
        (unproven := samples.view(samples.result(steps=(bad,))), "good again"),
    ):
        assert moments.mark_name(view.result, "recovered") == name
        assert name in [row[0] for row in rows.moment_rows(view)]
    page = html.render(unproven)
    assert ">recovered " not in page
    assert "the recovery is not verified" in page
    assert moments.mark_name(unproven.result, "disruption") == "disruption"


@pytest.mark.parametrize("name", samples.RECORDED)
def test_a_time_of_day_is_that_of_the_event_in_the_journal(name: str) -> None:
    """The first event is written some time after 0 s; its own time of day is not that of 0 s."""
    view = samples.recorded(name)
    for event in read(samples.JOURNALS / f"{name}.jsonl").events:
        if event.kind == "recovery.started":
            break  # it has its own clock
        shown, written = figures.moment(view.zero, event.clock), figures.moment(event.at)
        assert shown
        assert written
        assert abs(shown - written) < timedelta(milliseconds=50), (event.kind, event.clock)


def test_no_moment_of_a_run_is_later_than_its_end() -> None:
    """With the times of a run that ended at 04:44:25 and was told to be verified at 04:44:26."""
    view = samples.passed()
    end = {"started": "2026-11-30T04:44:09.200Z", "finished": "2026-11-30T04:44:25.900Z"}
    timeline = view.timeline.model_copy(
        update={"zero": "2026-11-30T04:44:08.618Z", "marks": {"disruption": 9.25, "verified": 16.87}, "seconds": 17.2}
    )
    page = html.render(view.model_copy(update={"result": view.result.model_copy(update=end), "timeline": timeline}))
    for told in ("was disrupted at 04:44:17 UTC", "04:44:25 UTC", "2026-11-30 04:44:08 UTC"):
        assert told in " ".join(page.replace("\N{NO-BREAK SPACE}", " ").split()), told
    assert "04:44:26" not in page


def test_all_times_of_a_report_count_from_one_zero_and_reach_its_end() -> None:
    """The run began to prepare 0.88 s before its first event, and released its locks 22.58 s after 0 s."""
    view = samples.passed()
    end = {"started": "2026-11-30T07:18:37.750Z", "finished": "2026-11-30T07:18:59.460Z"}
    timeline = view.timeline.model_copy(update={"zero": "2026-11-30T07:18:36.870Z", "seconds": 22.585})
    run = view.model_copy(update={"result": view.result.model_copy(update=end), "timeline": timeline})
    told = moments.course(run)
    assert told.startswith(
        "The run lasted 21.7 s, from its first event, at 0.88 s, to its end, at 22.59 s. All times count from 0 s"
    )
    assert "2026-11-30 07:18:36 UTC, when the program began to prepare the run" in told
    assert told in markdown.render(run)
    for page in (markdown.render(run), plain(html.render(run))):
        assert "from 0 s, when the program began to prepare the run, to the start of the injection" in page
        assert "start of the run" not in page
    assert told in plain(html.render(run))


def test_the_length_of_a_run_says_which_end_it_reaches() -> None:
    for name in ("killed", "recovered"):
        assert "to its last event, at " in moments.course(samples.recorded(name))
    killed = samples.recorded("killed")
    assert killed.result.finished is None
    told = re.match(
        r"The run lasted ([\d.]+) s, from its first event, at ([\d.]+) s, to its last event, at ([\d.]+) s",
        moments.course(killed),
    )
    assert told, moments.course(killed)
    took, first, last = map(float, told.groups())
    assert took == pytest.approx(last - first, abs=0.011)


def test_a_recovered_run_has_its_own_length_and_the_length_until_the_end_of_its_recovery(tmp_path: Path) -> None:
    view = samples.recorded("recovered")
    told = moments.course(view)
    assert told.startswith("The run itself lasted 0.42 s, from its first event, at 0.01 s, to its last event, at 0.43 s. ")
    assert "It was 2026-11-28 05:19:44 UTC when its recovery ended, 2.58 s after the first event by the times of day" in told
    assert round(moments.run_duration(view), 2) == 0.42
    shutil.copy(samples.JOURNALS / "recovered.jsonl", tmp_path / FILE)
    assert figures.lasted(view.result.started, own_end.of(tmp_path)) == moments.run_duration(view), "as the lists have it"
    for page in (markdown.render(view), plain(html.render(view))):
        assert told in plain(page)
    assert moments.ends(view) == [
        ("Controller died", "after 2026-11-28 05:19:42 UTC, its last event"),
        ("Recovery ended", "2026-11-28 05:19:44 UTC"),
    ]
    assert moments.ends(samples.recorded("closed"))[1][0] == "Closed"
    assert [name for name, _ in moments.ends(samples.passed())] == ["Ended"]
    assert moments.ends(samples.recorded("killed")) == [("Ended", "the journal contains no event that ends the run")]


def test_a_refused_closing_after_a_recovery_is_not_its_end(tmp_path: Path) -> None:
    refused = SettlementRefused(by="li.wei", reason="x", changes=(), findings=())
    left = {"step": "inject.1", "host": "a", "what": "pretend.break", "why": "x", "by_hand": "mend door"}
    view = continued("stuck", tmp_path, RECOVERY, RecoveryFinished(residue=(left,)), RECOVERY, refused)
    assert moments.ends(view)[-1][0] == "Recovery ended"
    assert " when its recovery ended, " in moments.course(view)


def test_a_recovery_without_an_end_does_not_hide_the_closing_before_it(tmp_path: Path) -> None:
    view = continued("stuck", tmp_path, RECOVERY, RecoveryFinished(residue=(), kept=()), RECOVERY)
    assert moments.ends(view)[-1][0] == "Closed"
    assert " when a person closed its remaining changes, " in moments.course(view)


def test_a_time_of_day_that_was_set_forward_is_no_recovery() -> None:
    view = samples.passed()
    end = {"finished": "2026-11-30T23:00:00.000Z"}
    assert "to its end, at " in moments.course(view.model_copy(update={"result": view.result.model_copy(update=end)}))


def test_no_report_says_that_one_clock_gives_the_age_of_backed_up_data() -> None:
    lost = samples.step("verify.9", "postgres.loss", facts={"loss_s": 3.0, "error_s": 0.1, "basis": "the server's clock"})
    passed = samples.passed()
    rpo = passed.result.objectives["rpo"].model_copy(update={"clock": OF_BACKUP})
    of_backup = samples.view(samples.result(objectives={**passed.result.objectives, "rpo": rpo}))
    aside = "the age of the data in a backup also depends on the clock"
    for view, named in (
        (passed, False),
        (passed.model_copy(update={"steps": (*passed.steps, lost)}), True),
        (of_backup, True),
    ):
        for page in (plain(html.render(view)), markdown.render(view)):
            assert "Every duration was measured in this run on one clock" in page
            assert (aside in page) is named

"""Names of the moments that a timeline marks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from drillbook.journal.journal import read
from drillbook.report import figures, html, moments, rows
from tests.report import samples


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

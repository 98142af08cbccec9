"""Live view of a campaign: its text with a fake clock, on a terminal of 80 columns and 24 rows."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from drillbook.campaign.attempt import Ending
from drillbook.campaign.campaign_record import CampaignState, Intent
from drillbook.campaign.progress import Progress
from drillbook.campaign.scheduler import SiteState, waves
from drillbook.cli import campaign_view
from drillbook.cli.campaign_view import render, watching
from drillbook.events.campaigns import CampaignStarted

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
STATES = (SiteState.PASSED, SiteState.PASSED, SiteState.PASSED, SiteState.FAILED, SiteState.REFUSED, SiteState.UNKNOWN)


class Campaign:
    """Campaign whose sites begin and end by a clock of the test."""

    def __init__(self, count, **rules):
        sites = tuple({"name": f"site-{number:03}", "path": "i", "inventory": "i"} for number in range(count))
        name = "20260302T120000.000Z-shop-lost-00aa"
        start = CampaignStarted(
            campaign=name, drill="shop-lost", suite=False, rules={"at_most": 50, **rules}, sites=sites, operator="o"
        )
        self.state = CampaignState(start, START)
        self.progress = Progress(count, 0)
        self.now = START

    def at(self, seconds):
        self.now = START + timedelta(seconds=seconds)

    def begin(self, *numbers):
        for number in numbers:
            run = f"{self.now:%Y%m%dT%H%M%S}.000Z-shop-lost-0{number:03x}"
            self.state.intents[f"site-{number:03}"] = Intent(run)

    def end(self, *numbers, state=None):
        for number in numbers:
            ending = Ending(f"site-{number:03}", state or STATES[number % len(STATES)])
            self.state.ends[ending.site] = ending
            self.progress.saw(self.now, drilled=ending.state is not SiteState.REFUSED)

    def text(self, width=80, height=24):
        out = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
        file = self.state.file
        out.print(render(self.state, self.progress, waves(file.rules(), file.scheduled()), self.now, (width, height)))
        lines = out.file.getvalue().splitlines()
        assert len(lines) < height
        assert all(cell_len(line) < width for line in lines)
        return "\n".join(line.rstrip() for line in lines)


def test_the_whole_view_on_80x24():
    one = Campaign(100, waves=("25%",))
    for number in range(12):
        one.at(30 * number)
        one.begin(number)
    for number in range(12):
        one.at(600 + 30 * number)
        one.end(number)
    one.begin(12, 13)
    one.at(1000)
    one.begin(14)
    one.at(1042)
    assert (
        one.text()
        == """\
20260302T120000.000Z-shop-lost-00aa                                       17:22
  ██░░░░░░░░░░░░░░░░░░░░░░  12 of 100 sites, wave 2 of 3
  ✓ 6 passed  ✗ 2 failed  ⊘ 2 refused  ? 2 unknown  3 running
  1.2 drills a minute, the last 10; end between 13:00 and 15:45 UTC
  if this rate stays the same (not counting windows, waves and stops)
    site-013  01:52
    site-012  01:52
    site-014  00:42"""
    )


def test_before_enough_drills_ended_there_is_no_estimate_and_none_of_a_stopped_campaign():
    one = Campaign(20)
    one.begin(0, 1)
    one.at(5)
    one.end(0)
    assert "no estimate of the campaign's end before 8 drills have ended" in one.text()
    one.state.stopped = "the canary site site-000 ended as failed"
    assert "no further site starts: the canary site site-000 ended as failed" in one.text()
    assert "no estimate" not in one.text()


def test_many_running_sites_fill_the_screen_and_are_counted():
    one = Campaign(500)
    one.begin(*range(300))
    text = one.text()
    assert "300 running" in text
    assert len(text.splitlines()) == 22
    assert text.splitlines()[-1].strip() == "and 283 more"
    assert len(one.text(40, 8).splitlines()) == 6


def test_a_campaign_in_which_nothing_runs_says_why():
    assert "no site is running: waiting for a window, a worker or the next wave" in Campaign(3).text()


@pytest.mark.parametrize("terminal", [True, False])
def test_each_end_is_a_line_above_the_view_which_is_gone_at_the_end(monkeypatch, terminal):
    monkeypatch.setattr(campaign_view, "FRAME_S", 0.01)
    out = Console(file=io.StringIO(), width=80, height=24, force_terminal=terminal)
    one = Campaign(2)
    with watching(out, one.state, lambda: one.now) as view:
        one.begin(0, 1)
        for number in (0, 1):
            one.end(number)
            view.saw(replace(one.state.ends[f"site-{number:03}"], message="it\nfailed"))
    lines = out.file.getvalue()
    assert "site-000 passed (1 of 2): it" in lines
    assert "site-001 passed (2 of 2): it" in lines
    assert ("█" in lines) <= terminal
    assert "the live view failed" not in lines
    assert view.progress.ended == 2

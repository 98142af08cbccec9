"""Estimated end of a campaign with its basis, or the reason why there is no estimate."""

from datetime import UTC, datetime, timedelta

from drillbook.campaign.progress import FEWEST, Progress

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


def after(ends, *, total=100, drilled=True, quiet=0):
    """Text after this many sites ended, one a minute, followed by this many minutes without another one."""
    progress = Progress(total, 0)
    for number in range(ends):
        progress.saw(START + timedelta(seconds=60 * number), drilled=drilled)
    return progress.text(START + timedelta(minutes=ends - 1 + quiet))


def test_a_few_ends_give_no_estimate():
    assert after(FEWEST - 1) == f"{FEWEST - 1} of 100; no estimate of the campaign's end before {FEWEST} drills have ended"
    assert "no estimate" in after(50, drilled=False), "refused sites say nothing about the rate"


def test_the_interval_gets_narrower_and_holds_the_end_at_a_steady_rate():
    for ends in (10, 40, 90):
        text = after(ends)
        assert "1.0 a minute" in text
        first, last = text.partition("between ")[2].partition(" UTC")[0].split(" and ")
        assert first < f"{START + timedelta(minutes=100):%H:%M}" <= last or first <= last, text
    early, late = (after(ends).partition("between ")[2][:15] for ends in (40, 90))
    width = lambda text: int(text[10:12]) * 60 + int(text[13:15]) - int(text[:2]) * 60 - int(text[3:5])  # noqa: E731
    assert width(late) < width(early)
    assert "rate of the last 50 drills" in after(90)


def test_a_campaign_that_stands_still_gets_slower_and_its_end_moves_away():
    assert "1.0 a minute" in after(20)
    text = after(20, quiet=19)
    assert "0.5 a minute" in text
    first = text.partition("between ")[2][:5]
    assert first > f"{START + timedelta(minutes=38 + 80):%H:%M}", "80 sites at half the rate, of which chance takes a part"


def test_an_end_on_another_day_has_its_date():
    assert "between 2026-03-04 14:27 and 2026-03-12 12:02 UTC" in after(10, total=5000)


def test_at_the_end_there_is_no_estimate():
    assert after(100) == "100 of 100; 1.0 a minute"

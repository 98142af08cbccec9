"""Windows by the wall clock of a time zone: when they are open, and when the next one opens, also near changes of the clock."""

from datetime import UTC, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillbook.plan.window import DAYS, HORIZON_DAYS, MINUTE, Window, is_open, next_opening
from tests.plan.test_guard import at


def window(text):
    days, start, _, end, zone = text.split()
    return Window.model_validate({"days": days.split(","), "from": start, "to": end, "zone": zone})


@pytest.mark.parametrize(
    ("text", "now", "open_"),
    [
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-20T13:59:59", False),
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-20T14:00", True),
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-20T19:59:59", True),  # Saturday there, in Friday's window
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-20T20:00", False),
        ("fri 22:00 to 04:00 Asia/Shanghai", "2026-11-21T14:00", False),
        ("fri 09:00 to 24:00 UTC", "2026-11-20T23:59:59", True),
        ("fri 09:00 to 24:00 UTC", "2026-11-21T00:00", False),
        ("sat,sun 10:00 to 10:00 UTC", "2026-11-23T09:59", True),  # equal times: a whole day
        ("sat,sun 10:00 to 10:00 UTC", "2026-11-23T10:00", False),
        # New York, 2026-03-08: 01:59 EST is followed by 03:00 EDT
        ("sun 01:00 to 04:00 America/New_York", "2026-03-08T05:59", False),
        ("sun 01:00 to 04:00 America/New_York", "2026-03-08T06:00", True),
        ("sun 01:00 to 04:00 America/New_York", "2026-03-08T07:59", True),
        ("sun 01:00 to 04:00 America/New_York", "2026-03-08T08:00", False),  # two hours long on that day
        ("sun 02:10 to 02:50 America/New_York", "2026-03-08T07:00", False),
        # New York, 2026-11-01: 01:59 EDT is followed by 01:00 EST
        ("sun 01:30 to 02:00 America/New_York", "2026-11-01T05:30", True),
        ("sun 01:30 to 02:00 America/New_York", "2026-11-01T06:00", False),
        ("sun 01:30 to 02:00 America/New_York", "2026-11-01T06:30", True),
        ("sun 01:30 to 02:00 America/New_York", "2026-11-01T07:00", False),
    ],
)
def test_a_window_is_open_by_the_wall_clock(text, now, open_):
    assert is_open(window(text), at(now)) is open_


@pytest.mark.parametrize(
    ("texts", "now", "opens"),
    [
        (["fri 22:00 to 04:00 Asia/Shanghai"], "2026-11-20T20:00", "2026-11-27T14:00"),
        (["fri 22:00 to 04:00 Asia/Shanghai", "tue 01:00 to 02:00 UTC"], "2026-11-20T20:00", "2026-11-24T01:00"),
        (["sun 02:10 to 02:50 America/New_York"], "2026-03-07T12:00", "2026-03-15T06:10"),  # skipped on the 8th
        (["sun 02:30 to 04:00 America/New_York"], "2026-03-07T12:00", "2026-03-08T07:00"),  # opens when the gap is over
        (["sun 02:00 to 04:00 America/New_York"], "2026-11-01T05:30", "2026-11-01T07:00"),  # at 02:00 EST, not before
    ],
)
def test_when_the_next_window_opens(texts, now, opens):
    found = next_opening([window(text) for text in texts], at(now))
    assert found
    assert found[0].astimezone(UTC) == at(opens)


ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Shanghai",
    "Pacific/Apia",
    "America/Scoresbysund",
]


TIMES = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")


CHANGES = [
    "2026-03-29T01:00",
    "2026-03-08T07:00",
    "2026-11-01T06:00",
    "2026-04-04T15:00",
    "2026-04-23T22:00",
    "2011-12-30T10:00",
]


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(DAYS), min_size=1), TIMES, TIMES | st.just("24:00"), st.sampled_from(ZONES)),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from(CHANGES),
    st.integers(-3 * 24 * 60, 24 * 60),
)
@settings(max_examples=150, deadline=None)
def test_the_next_opening_is_the_first_minute_in_which_a_window_is_open(found, change, minutes):
    """Near changes of the clock, compared with a search minute by minute."""
    windows = [Window(**{"days": sorted(days), "from": start, "to": end, "zone": zone}) for days, start, end, zone in found]
    now = at(change) + timedelta(minutes=minutes, seconds=7)
    opening = next_opening(windows, now)
    moment = now.replace(second=0)
    for _ in range(HORIZON_DAYS * 24 * 60):
        moment += MINUTE
        if opened := [one for one in windows if is_open(one, moment)]:
            assert opening
            assert (opening[0].astimezone(UTC), opening[1]) == (moment, opened[0])
            return
    assert opening is None

"""Schedules: moments at which a drill is due and overdue, with and without windows."""

from datetime import UTC, datetime, timedelta

import pytest

from drillbook.plan.schedule import Schedule, State
from drillbook.plan.window import Window
from drillbook.values import Duration

DAY = timedelta(days=1)
SUNDAYS = Window.model_validate({"days": ["sun"], "from": "02:00", "to": "05:00", "zone": "UTC"})
NIGHTS = Window.model_validate({"from": "22:00", "to": "04:00", "zone": "UTC"})


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weekly(*groups, grace=None):
    return Schedule.of(Duration.parse("7d"), Duration.parse(grace) if grace else None, groups)


def test_no_schedule_without_a_time_between_runs():
    assert Schedule.of(None, Duration.parse("1d"), []) is None


def test_due_after_the_time_between_runs_and_overdue_after_the_grace():
    passed, schedule = at("2026-11-01T09:00"), weekly()
    assert schedule.due(passed) == passed + 7 * DAY
    assert schedule.overdue(passed) == passed + 7 * DAY + 0.7 * DAY
    assert weekly(grace="1d").overdue(passed) == passed + 8 * DAY
    assert weekly(grace="0s").overdue(passed) == passed + 7 * DAY


@pytest.mark.parametrize(
    ("passed", "due"),
    [
        ("2026-11-03T09:00", "2026-11-15T02:00"),  # the time ends on a Tuesday: the next Sunday
        ("2026-11-01T02:10", "2026-11-08T02:00"),  # inside the window: its opening, so that runs do not drift
        ("2026-11-01T04:59", "2026-11-08T02:00"),
        ("2026-11-01T05:00", "2026-11-15T02:00"),  # the window is closed at its end
    ],
)
def test_due_at_the_opening_of_a_window(passed, due):
    assert weekly([SUNDAYS]).due(at(passed)) == at(due)


def test_a_window_that_was_open_at_the_pass_does_not_make_it_due_again():
    hourly = Schedule.of(Duration.parse("1h"), None, [[SUNDAYS]])
    assert hourly.due(at("2026-11-01T02:30")) == at("2026-11-01T03:30")


def test_a_suite_waits_until_the_windows_of_all_its_drills_are_open():
    suite = weekly([SUNDAYS], [NIGHTS], [])
    assert suite.due(at("2026-11-03T09:00")) == at("2026-11-15T02:00")
    assert suite.open(at("2026-11-15T03:59"))
    assert not suite.open(at("2026-11-15T04:00"))


def test_windows_that_are_never_open_together_leave_the_plain_moment():
    days = Window.model_validate({"from": "10:00", "to": "11:00", "zone": "UTC"})
    assert weekly([SUNDAYS], [days]).due(at("2026-11-03T09:00")) == at("2026-11-10T09:00")


def test_states_in_their_order():
    passed, schedule = at("2026-11-01T09:00"), weekly(grace="1d")
    states = [schedule.state(passed, passed + hours * timedelta(hours=1)) for hours in (167, 168, 191, 192)]
    assert states == [State.OK, State.DUE, State.DUE, State.OVERDUE]
    assert schedule.state(None, passed) is State.NEVER


def test_the_recorded_form_reads_back():
    schedule = weekly([SUNDAYS], [NIGHTS], grace="90m")
    assert Schedule.model_validate(schedule.as_data()) == schedule

"""Detection time by an alert, computed from recorded events only."""

from types import SimpleNamespace

import pytest

from drillbook.events.event import Event
from drillbook.judge.detection import awaits_alert, by_alert, expected

FIRES, RECEIVED = "prometheus.alert_fires", "alertmanager.received"


def plan(*actions):
    steps = [SimpleNamespace(id=f"detect.{number}", action=action) for number, action in enumerate(actions, 1)]
    return SimpleNamespace(phase=lambda name: steps if name == "detect" else [])


def event(kind, clock, step="detect.1", **data):
    return Event(seq=0, at="", clock=clock, kind=kind, step=step, data={"alert": "A", **data}, prev=None, hash="")


def test_no_alert_is_expected():
    assert by_alert([event("alert.firing", 5.0, ago_s=1.0, error_s=0.1)], plan("http.responds"), 1.0) is None


@pytest.mark.parametrize("action", [FIRES, RECEIVED])
def test_only_an_alert_in_the_detect_phase_is_awaited(action):
    assert awaits_alert([("inject.1", "service.kill"), ("detect.1", action)])
    assert not awaits_alert([("detect.1", "http.responds"), ("verify.1", action)])


def test_time_and_error():
    found = by_alert([event("alert.firing", 9.0, ago_s=2.0, error_s=0.5)], plan(FIRES), 4.0)
    assert (found.seconds, found.error, found.missed) == (3.0, 0.5, False)


def test_of_several_the_last_counts_and_one_that_is_missing_outweighs_them():
    events = [
        event("alert.firing", 9.0, ago_s=2.0, error_s=0.5),
        event("alert.firing", 9.5, "detect.2", ago_s=0.0, error_s=0.5),
    ]
    assert by_alert(events, plan(FIRES, FIRES), 4.0).seconds == 5.5
    assert by_alert(events[:1], plan(FIRES, FIRES), 4.0).seconds is None
    found = by_alert([*events[:1], event("alert.absent", 9.5, "detect.2", message="why")], plan(FIRES, FIRES), 4.0)
    assert (found.missed, found.reason) == (True, "why")


def test_what_was_received_counts_only_where_nothing_waits_for_the_alert_itself():
    assert [step.action for step in expected(plan(RECEIVED, FIRES))] == [FIRES]
    found = by_alert([event("alert.received", 9.0, ago_s=0.0, error_s=None)], plan(RECEIVED), 4.0)
    assert (found.seconds, found.error) == (5.0, 5.0), "it may have been there since the disruption"


@pytest.mark.parametrize(("ago", "seconds"), [(5.2, 0.0), (6.0, None)])
def test_an_alert_that_fired_before_anything_was_broken_detected_nothing(ago, seconds):
    found = by_alert([event("alert.firing", 9.0, ago_s=ago, error_s=0.5)], plan(FIRES), 4.0)
    assert found.seconds == seconds
    assert (found.reason is None) == (seconds is not None)


def test_a_later_try_outweighs_the_one_before():
    events = [event("alert.absent", 5.0, message="why"), event("alert.firing", 9.0, ago_s=1.0, error_s=0.5)]
    assert by_alert(events, plan(FIRES), 4.0).seconds == 4.0


def test_an_alert_that_does_not_clear_misses_the_objective_though_it_came_in_time():
    came = event("alert.firing", 9.0, ago_s=1.0, error_s=0.5)
    found = by_alert([came, event("alert.remains", 30.0, "verify.2", message="it still fires")], plan(FIRES), 4.0)
    assert (found.seconds, found.missed, found.reason) == (4.0, True, "it still fires")
    other = event("alert.remains", 30.0, "verify.2", alert="B", message="it still fires")
    assert by_alert([came, other], plan(FIRES), 4.0).missed is False

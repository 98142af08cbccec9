"""Scheduler of a campaign: waves, limits, windows, and the reasons to stop; no clock, and no site is drilled."""

from datetime import UTC, datetime, timedelta

import pytest

from drillbook.campaign.scheduler import Rules, Scheduler, Site, SiteState, waves, worst
from drillbook.plan.window import Window

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
NIGHT = Window.model_validate({"days": ["tue"], "from": "01:00", "to": "03:00", "zone": "UTC"})


def sites(count, **more):
    return [Site(f"s{number}", **more) for number in range(count)]


def made(count=4, *, windows=(), groups=(), **rules):
    return Scheduler(Rules(**rules), sites(count, windows=windows, groups=groups), NOON)


@pytest.mark.parametrize(
    ("rules", "parts"),
    [
        (Rules(), [10]),
        (Rules(canary=("s3",)), [1, 9]),
        (Rules(waves=(0.2, 0.5)), [2, 3, 5]),
        (Rules(canary=("s3", "s4"), waves=(0.2, 0.5)), [2, 3, 5]),
        (Rules(waves=(0.01, 1.0)), [10]),
    ],
)
def test_sites_are_divided_by_the_shares_of_all(rules, parts):
    divided = waves(rules, sites(10))
    assert [len(part) for part in divided] == parts
    assert sorted(name for part in divided for name in part) == [site.name for site in sites(10)]
    assert not rules.canary or divided[0] == list(rules.canary)


def test_no_more_sites_run_than_are_permitted():
    scheduler = made(at_most=2)
    assert scheduler.due(NOON) == ["s0", "s1"]
    assert (scheduler.due(NOON), scheduler.running) == ([], 2)
    scheduler.ended("s0", SiteState.PASSED)
    assert scheduler.due(NOON) == ["s2"]
    assert scheduler.waiting() == ["s3"]


def test_no_more_sites_of_a_group_run_than_are_permitted():
    scheduler = Scheduler(
        Rules(groups={"north": 1}), [*sites(2, groups=("north",)), Site("t0", ("south",)), Site("t1", ("south",))], NOON
    )
    assert scheduler.due(NOON) == ["s0", "t0", "t1"]
    scheduler.ended("t0", SiteState.PASSED)
    assert scheduler.due(NOON) == []
    scheduler.ended("s0", SiteState.PASSED)
    assert scheduler.due(NOON) == ["s1"]


def test_a_site_that_no_place_can_take_waits_and_holds_up_no_other_kind():
    scheduler = Scheduler(Rules(), [Site("s0", ("north",)), Site("s1", ("south",))], NOON)
    assert scheduler.due(NOON, lambda name: name != "s0") == ["s1"]
    assert scheduler.due(NOON) == ["s0"]


def test_a_wave_begins_when_the_one_before_has_ended():
    scheduler = made(4, waves=(0.5,))
    assert scheduler.due(NOON) == ["s0", "s1"]
    scheduler.ended("s1", SiteState.PASSED)
    assert scheduler.due(NOON) == []
    scheduler.ended("s0", SiteState.PASSED)
    assert scheduler.due(NOON) == ["s2", "s3"]


def test_a_site_starts_in_a_window_of_each_list():
    early = Window.model_validate({"days": ["tue"], "from": "00:00", "to": "02:00", "zone": "UTC"})
    scheduler = made(1, windows=((NIGHT,), (), (early,)))
    assert scheduler.due(NOON) == []
    opening = datetime(2026, 3, 3, 1, tzinfo=UTC)
    assert scheduler.wake() == opening
    assert scheduler.due(opening - timedelta(seconds=1)) == []
    assert scheduler.due(opening) == ["s0"]


def test_without_a_window_in_time_the_deadline_wakes():
    scheduler = made(1, windows=((NIGHT,),), patience_s=3600.0)
    assert scheduler.due(NOON) == []
    assert scheduler.wake() == NOON + timedelta(hours=1)
    assert not scheduler.expired(NOON + timedelta(minutes=59))
    assert scheduler.expired(NOON + timedelta(hours=1))


@pytest.mark.parametrize(
    ("rules", "state", "residue", "why"),
    [
        ({"canary": ("s0",)}, SiteState.REFUSED, False, "the canary site s0 ended as refused"),
        ({"failed_share": 1.0}, SiteState.FAILED, True, "the site s0 was left with changes that could not be undone"),
        ({"failed_share": 1.0, "stop_on_residue": False}, SiteState.FAILED, True, ""),
        ({"failed_share": 0.25}, SiteState.UNKNOWN, False, ""),
        ({"failed_share": 0.2}, SiteState.UNKNOWN, False, "1 of 4 sites in the waves so far have failed or are unknown"),
        ({"waves": (0.5,), "failed_share": 0.25}, SiteState.FAILED, False, "1 of 2 sites in the waves so far"),
        ({"failed_share": 0.0}, SiteState.REFUSED, False, ""),
    ],
)
def test_what_stops_a_campaign(rules, state, residue, why):
    scheduler = made(4, at_most=1, **rules)
    assert scheduler.due(NOON) == ["s0"]
    scheduler.ended("s0", state, residue=residue)
    assert scheduler.stopped.startswith(why)
    assert bool(scheduler.stopped) == bool(why)
    assert scheduler.due(NOON) == ([] if why else ["s1"])
    assert scheduler.over() is bool(why)


def test_the_first_reason_to_stop_is_kept_and_running_sites_are_waited_for():
    scheduler = made(2, at_most=1)
    scheduler.due(NOON)
    scheduler.stop("first")
    scheduler.stop("second")
    assert (scheduler.stopped, scheduler.over()) == ("first", False)
    scheduler.ended("s0", SiteState.PASSED)
    assert scheduler.over()


def test_states_from_a_journal_count_as_if_this_process_had_seen_them():
    scheduler = made(4, at_most=2, groups=("g",))
    scheduler.restore("s0", SiteState.PASSED)
    scheduler.restore("s1", SiteState.RUNNING)
    scheduler.restore("s2", SiteState.WAITING)
    assert (scheduler.due(NOON), scheduler.running) == (["s2"], 2)
    stopped = made(4, canary=("s0",))
    stopped.restore("s0", SiteState.FAILED, residue=True)
    assert stopped.stopped == "the canary site s0 ended as failed"


def test_only_a_running_site_ends():
    scheduler = made(1)
    with pytest.raises(ValueError, match="the site 's0' is waiting, not running"):
        scheduler.ended("s0", SiteState.PASSED)


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["passed", "refused"], "refused"),
        (["passed", "unknown", "refused"], "unknown"),
        (["unknown", "failed"], "failed"),
        (["passed"], "passed"),
        (["passed", "running"], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_worst_state_is_that_of_the_campaign(states, state):
    assert worst(map(SiteState, states)) is SiteState(state)

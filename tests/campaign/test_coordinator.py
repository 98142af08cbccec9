"""Campaigns in simulated time: each site is drilled exactly once, wherever the controllers are killed."""

import random
import time
from collections import Counter
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillbook.campaign import scheduler
from drillbook.campaign.campaign_record import fold
from drillbook.campaign.coordinator import Stopping
from drillbook.campaign.scheduler import SiteState
from drillbook.events.campaigns import CampaignStopped
from drillbook.events.event import contents
from drillbook.plan.window import Window, is_open
from tests.campaign.world import World, sites

ENDS = {SiteState.PASSED, SiteState.FAILED, SiteState.REFUSED, SiteState.UNKNOWN}
MIXED = [SiteState.PASSED] * 6 + [SiteState.FAILED, SiteState.REFUSED, SiteState.UNKNOWN]
WINDOW = {"days": ["tue"], "from": "01:00", "to": "03:00", "zone": "UTC"}


def mixed(site):
    return SiteState.PASSED if site == "s00000" else MIXED[hash_of(site) % len(MIXED)]


def hash_of(site):
    return int(site[1:]) * 7919 % 1009


def test_ten_thousand_sites_and_thirty_killed_controllers():
    deaths = random.Random(1).sample(range(150_000), 30)
    grouped = [{**site, "groups": [f"g{number % 40}"]} for number, site in enumerate(sites(10_000))]
    rules = {"at_most": 50, "groups": {f"g{number}": {"at_most": 3} for number in range(40)}, "abort_if": {"failed": "100%"}}
    world = World(rules, grouped, deaths=deaths, fates=mixed)
    began = time.process_time()
    killed = world.finish()
    spent = time.process_time() - began
    assert killed > 5
    assert set(world.drilled.values()) == {1}
    states = world.states()
    assert set(states) == {site["name"] for site in grouped}
    assert all(states[name] is mixed(name) for name in states)
    assert world.most <= 50
    assert max(world.most_of.values()) <= 3
    assert fold(world.events).finished.sites["passed"] == sum(mixed(name) is SiteState.PASSED for name in states)
    print(f"{spent:.1f} s of CPU time")


@given(
    st.integers(1, 30),
    st.integers(1, 5),
    st.lists(st.integers(0, 200), max_size=12, unique=True),
    st.integers(0, 1000),
    st.sampled_from(["0%", "10%", "50%", "100%"]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_no_site_twice_and_none_forgotten(count, at_most, deaths, seed, failed, waves):
    dice = random.Random(seed)
    fates = {site["name"]: dice.choice([*MIXED, (SiteState.FAILED, 1)]) for site in sites(count)}
    rules = {"at_most": at_most, "abort_if": {"failed": failed}, "waves": ["20%", "60%"] if waves else []}
    world = World(rules, sites(count), seed=seed, deaths=deaths, fates=fates.get)
    world.finish()
    assert max(world.drilled.values()) == 1
    states = world.states()
    assert set(states) == set(fates)
    assert set(states.values()) <= ENDS
    for site, state in states.items():
        fate = fates[site][0] if isinstance(fates[site], tuple) else fates[site]
        assert state is (fate if world.drilled[site] else SiteState.REFUSED)
    assert world.most <= at_most
    assert len(contents(world.events, CampaignStopped)) <= 1


def test_a_canary_that_does_not_pass_stops_the_campaign():
    world = World({}, sites(5), fates=lambda site: SiteState.UNKNOWN)
    world.finish()
    assert dict(world.drilled) == {"s00000": 1}
    assert list(world.states().values()) == [SiteState.UNKNOWN, *[SiteState.REFUSED] * 4]
    assert "canary site s00000 ended as unknown" in fold(world.events).ends["s00001"].message


def test_residue_of_one_site_stops_the_campaign_and_decides_its_exit_status():
    world = World(
        {"at_most": 1}, sites(5), fates=lambda site: (SiteState.FAILED, 2) if site == "s00002" else SiteState.PASSED
    )
    world.finish()
    assert set(world.drilled) == {"s00000", "s00001", "s00002"}
    assert fold(world.events).finished.exit == 5


@pytest.mark.parametrize(("allowed", "drilled"), [("10%", 4), ("40%", 10)])
def test_too_many_failed_sites_stop_the_campaign(allowed, drilled):
    rules = {"at_most": 1, "abort_if": {"failed": allowed}}
    bad = {"s00002", "s00003", "s00005"}
    world = World(rules, sites(10), fates=lambda site: SiteState.FAILED if site in bad else SiteState.PASSED)
    world.finish()
    assert len(world.drilled) == drilled


def test_a_wave_ends_before_the_next_begins_and_its_share_is_of_the_waves_so_far():
    rules = {"waves": ["20%"], "abort_if": {"failed": "10%"}}
    world = World(rules, sites(20), fates=lambda site: SiteState.FAILED if site == "s00003" else SiteState.PASSED)
    world.finish()
    assert sorted(world.drilled) == ["s00000", "s00001", "s00002", "s00003"]


def test_a_site_waits_for_its_window_and_for_that_of_its_group():
    rules = {"groups": {"north": {"windows": [{**WINDOW, "from": "02:00", "to": "04:00"}]}}}
    world = World(rules, [{"name": "first"}, {"name": "later", "groups": ["north"], "windows": [WINDOW]}])
    world.finish()
    assert world.drilled == {"first": 1, "later": 1}
    began = [event.at for event in world.events if event.kind == "site.intended"]
    assert began[0].startswith("2026-03-02T12:00")
    assert began[1].startswith("2026-03-03T02:0")


def test_ten_thousand_sites_with_windows_of_their_own():
    """Each opening is computed once, and a look examines only the sites whose windows are open."""
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    made = [
        {
            **site,
            "windows": [
                {"days": [days[number % 7]], "from": f"{number // 7 % 23:02}:{number % 60:02}", "to": "24:00", "zone": zone}
            ],
        }
        for number, site in enumerate(sites(10_000))
        for zone in [("Europe/Berlin", "Asia/Shanghai", "America/New_York")[number % 3]]
    ]
    made[0].pop("windows")
    world = World({"at_most": 200, "within": "8d"}, made)
    asked = Counter()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            scheduler, "_opening", lambda kind, now, made=scheduler._opening: asked.update([kind]) or made(kind, now)
        )
        world.finish()
    assert set(world.drilled.values()) == {1}
    assert len(world.drilled) == 10_000
    windows = {site["name"]: Window.model_validate(site["windows"][0]) for site in made[1:]}
    for event in world.events:
        if event.kind == "site.intended" and event.data["site"] in windows:
            assert is_open(windows[event.data["site"]], datetime.fromisoformat(event.at))
    assert max(asked.values()) <= 2


def test_a_site_whose_window_opens_too_late_is_refused():
    world = World({"within": "2h"}, [{"name": "first"}, {"name": "later", "windows": [WINDOW]}])
    world.finish()
    assert world.states() == {"first": SiteState.PASSED, "later": SiteState.REFUSED}
    assert "had no open window or no free place in time" in fold(world.events).ends["later"].message


@pytest.mark.parametrize("level", [1, 2])
def test_an_operator_stops_the_campaign_and_another_one_resumes_it(level):
    stopping = Stopping()
    world = World({"at_most": 2}, sites(8), fates=lambda site: SiteState.PASSED)

    def saw(ending):
        stopping.level = level if ending.site == "s00002" else stopping.level

    assert world.controller(stopping=stopping, saw=saw).run() is None
    assert world.children == []
    assert len(world.states()) == len(world.drilled) < 8
    world.finish()
    assert set(world.drilled.values()) == {1}
    assert len(world.states()) == 8


def test_a_drill_that_cannot_be_asked_to_stop_yet_is_asked_again():
    stopping = Stopping()
    world = World({"at_most": 3, "canary": ["s00000", "s00001", "s00002"]}, sites(5), fates=lambda site: SiteState.PASSED)
    asked, cancel = Counter(), world.cancel

    def later(job):
        asked[job.site] += 1
        return asked[job.site] == 3 and cancel(job)

    def saw(ending):
        stopping.level = 2 if ending.site == "s00000" else stopping.level

    world.cancel, world.wait = later, no_end_after("s00000", world)
    assert world.controller(stopping=stopping, saw=saw).run() is None
    assert asked
    assert set(asked.values()) == {3}
    assert {world.states()[site] for site in asked} == {SiteState.UNKNOWN}


def no_end_after(site, world):
    """Let no drill end by itself once ``site`` has ended."""
    wait = world.wait

    def waited(timeout_s):
        if site in world.states():
            found = [world.runs[job.run] for job in world.waited if job.run in world.runs]
            world.waited = [job for job in world.waited if job.run not in world.runs]
            return found
        return wait(timeout_s)

    return waited

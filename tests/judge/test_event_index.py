"""Events by step and host: complete, in order, and without a search of the whole journal for each step."""

import json

import pytest

from drillbook.events.content import Content
from drillbook.events.event import Events, each
from drillbook.events.kinds import KINDS
from drillbook.events.runs import Ended
from drillbook.events.steps import OfFault, OfUndo
from drillbook.hosts.fake import FakeHost, Reply
from drillbook.judge import faultstate
from drillbook.judge.event_index import by_step, merged
from drillbook.judge.figures import session
from drillbook.judge.steps import steps
from tests.machine.small import Small

HOSTS = "environment: lab\nhosts: {a: {address: 127.0.0.1}, b: {address: 127.0.0.1}}\nservices: {app: {kind: process, host: a}}\n"


class Counted(tuple):
    """Events that count the iterations over all of them."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


def recorded(folder, count):
    """Plan and events of a run with ``count`` faults and as many reading steps, on two hosts each."""
    folder.mkdir()
    there = set()
    hosts = {name: FakeHost(name) for name in "ab"}
    for name, host in hosts.items():
        for word in ("sh", "rm", "look"):
            host.on(word, Reply(0))
        host.on("make", lambda call, name=name: (there.add((name, call.argv[1])), Reply(0))[1])
        host.on("mend", lambda call, name=name: (there.discard((name, call.argv[1])), Reply(0))[1])
        host.on("is", lambda call, name=name: Reply(0 if (name, call.argv[1]) in there else 1))
    small = Small(folder, hosts)
    fault = [
        {
            "command.run": {"argv": ["make", n], "effect": "fault", "undo": ["mend", n], "proof": ["is", n]},
            "hosts": ["a", "b"],
        }
        for n in map(str, range(count))
    ]
    look = [{"command.run": {"argv": ["look"], "effect": "read"}, "hosts": ["a", "b"]} for _ in range(count)]
    made = small.plan(f"inject: {json.dumps(fault)}\nverify: {json.dumps(look)}\n", HOSTS)
    small.run(made)
    return made, small.events


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {count: recorded(folder / str(count), count) for count in (2, 12)}


def test_longer_drills_take_no_more_passes_over_the_journal(runs):
    passes = []
    for plan, events in runs.values():
        own, every = Counted(events), Counted(events)
        steps(own, every, plan)
        faultstate.faults(own, every, plan)
        passes.append((own.passes, every.passes))
    assert passes[0] == passes[1]


def test_each_step_has_its_own_events(runs):
    plan, events = runs[12]
    views = {(view.result.id, view.result.host): view for view in steps(events, events, plan)}
    assert len(views) == 48
    for number in range(12):
        for host in "ab":
            view = views[f"inject.{number + 1}", host]
            assert {command.argv[1] for command in view.commands if command.argv[0] in ("make", "is", "mend")} == {
                str(number)
            }
            assert view.undone == "put back: undone"
            assert (view.result.status, views[f"verify.{number + 1}", host].result.status) == ("done", "done")
    states = faultstate.faults(events, events, plan)
    assert [(one.step, one.host) for one in states] == [(f"inject.{n + 1}", host) for n in range(12) for host in "ab"]
    assert {(str(one.injection), one.ended) for one in states} == {("injected", "put back: undone")}


def test_lists_of_events_are_merged_in_the_order_of_the_journal(runs):
    _, events = runs[2]
    index = by_step(events)
    assert set(index) == {event.step for event in events if event.step}
    assert merged([found for hosts in index.values() for found in hosts.values()]) == [e for e in events if e.step]
    assert merged([]) == merged([[], []]) == []


def test_events_of_a_kind_are_found_by_the_index_as_by_a_search(runs):
    """Also events of subclasses, in the order of the journal."""
    _, found = runs[2]
    events = Events(found)
    for kind in (*KINDS.values(), OfUndo, OfFault, Ended, Content):
        assert list(each(events, kind)) == list(each(list(found), kind)), kind
    assert session(events) is events, "there was no recovery"

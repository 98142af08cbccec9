"""Events of a journal, selected by their kind and by their step."""

import pytest

from drillbook.events.content import Unknown
from drillbook.events.event import Event, Events, contents, each, last, of_kinds, readable
from drillbook.events.runs import Ended, PhaseEnded, PhaseStarted, RecoveryFinished, RunFinished
from drillbook.events.steps import Done, OnStep, StepStarted
from tests.contents import filled

STORY = [
    ("run.started", None, None, {}),
    ("phase.started", None, None, {"phase": "inject"}),
    ("step.started", "inject.1", "a", {"action": "first"}),
    ("step.started", "inject.1", "b", {"action": "second"}),
    ("done", "inject.1", "b", {"attempts": 2}),
    ("skipped", "verify.1", None, {}),
    ("phase.started", None, None, {"phase": "verify"}),
    ("run.finished", None, None, {}),
    ("moon.rose", None, None, {"over": "here"}),
    ("recovery.finished", None, None, {}),
]


def event(number, kind, step=None, host=None, data=None):
    return Event(
        seq=number,
        at="2026-11-30T12:00:00.000000Z",
        clock=float(number),
        kind=kind,
        step=step,
        host=host,
        data=filled(kind, data),
        prev=None,
        hash=f"sha256:{number}",
    )


PLAIN = [event(number, *line) for number, line in enumerate(STORY)]
BOTH = pytest.mark.parametrize("events", [PLAIN, Events(PLAIN)], ids=["search", "index"])


def numbers(events):
    return [found.seq for found in events]


@BOTH
def test_events_of_a_kind_come_with_their_contents_oldest_first(events):
    assert [(found.seq, what.phase) for found, what in each(events, PhaseStarted)] == [(1, "inject"), (6, "verify")]
    assert [what.action for what in contents(events, StepStarted)] == ["first", "second"]
    assert list(each(events, PhaseEnded)) == []


@BOTH
def test_a_base_class_selects_the_events_of_all_its_kinds(events):
    assert [found.seq for found, _ in each(events, Ended)] == [7, 9]
    assert [found.seq for found, _ in each(events, OnStep)] == [2, 3, 4]


@BOTH
def test_several_kinds_are_selected_in_the_order_of_the_journal(events):
    assert numbers(of_kinds(events, RecoveryFinished, Done, PhaseStarted)) == [1, 4, 6, 9]
    assert numbers(of_kinds(events, PhaseEnded)) == []


@BOTH
def test_the_newest_event_of_a_kind_is_the_last(events):
    found, what = last(events, PhaseStarted)
    assert (found.seq, what.phase) == (6, "verify")
    assert last(events, RunFinished)[0].seq == 7
    assert last(events, PhaseEnded) is None


def test_events_of_a_step_are_kept_by_host():
    steps = Events(PLAIN).by_step
    assert {step: {host: numbers(found) for host, found in hosts.items()} for step, hosts in steps.items()} == {
        "inject.1": {"a": [2], "b": [3, 4]},
        "verify.1": {None: [5]},
    }


def test_a_kind_of_another_version_is_unknown_and_a_wrong_field_is_an_error():
    assert PLAIN[8].what == Unknown(name="moon.rose", content={"over": "here"})
    wrong = event(1, "phase.started", data={"phase": 7})
    with pytest.raises(ValueError, match=r"phase\.started: phase: Input should be a valid string"):
        _ = wrong.what
    assert readable(wrong) == Unknown(name="phase.started", content={"phase": 7})
    assert readable(PLAIN[1]) == PhaseStarted(phase="inject")

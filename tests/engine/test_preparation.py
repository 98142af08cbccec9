"""Preparation of a run on in-memory hosts: each unmet precondition ends the run before anything is changed."""

import pytest

from drillbook.engine import preparation
from drillbook.engine.runner import Runner
from drillbook.errors import CouldNotVerify, HostUnreachable, Locked, NotReady
from drillbook.findings import finding
from drillbook.hosts.fake import FakeHost, Reply
from tests.machine.small import Small

HEADER = {"tool": "test", "operator": "nobody", "controller": "here"}
BROKEN = "inject:\n  - command.run: {argv: [make, it], effect: fault, undo: [mend, it], proof: [is, it]}\n    hosts: a\n"
READY = "ready:\n  - command.run: {argv: [try, it], effect: read}\n    hosts: b\n"
PROBE = "probes:\n  - http.available: {url: 'http://127.0.0.1:1/', every: 100ms, timeout: 1s}\n"


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


def ended(small, text, *, closed=lambda names: {}, hold=None, **more):
    """Reason, codes of the findings and executed commands of a run that ended in its preparation."""
    stage = small.stage(small.plan(text))
    stage.hold = hold
    Runner(stage, closed, small.stop, header=HEADER, **more).run()
    stage.journal.close()
    (early,) = [event.data for event in small.events if event.kind == "ended.early"]
    assert not [event for event in small.events if event.kind == "intent"], "nothing was announced"
    codes = [one["code"] for one in early["findings"]]
    return early["why"], early["message"], codes, [*small.acts("a"), *small.acts("b")]


def test_a_finding_from_before_the_run_refuses_it(small):
    wrong = finding("not-ready", title="window", wanted="an open window", measured="it is closed")
    why, message, codes, acts = ended(small, BROKEN, refusals=[wrong])
    assert (why, codes, acts) == ("refused", ["not-ready"], [])
    assert "it is closed" in message


def test_a_host_that_cannot_be_reached_refuses_the_run(small):
    away = {"b": HostUnreachable("b: cannot connect", host="b", hint="look at its network")}
    why, message, codes, acts = ended(small, READY + BROKEN, closed=lambda names: away)
    assert (why, message) == ("refused", "some hosts cannot be reached: b: cannot connect")
    assert (codes, acts) == (["not-ready"], [])


class Taken:
    """Hold of a run that cannot take its locks."""

    def __init__(self, error):
        self.error = error

    def take(self):
        raise self.error

    def __getattr__(self, name):
        return lambda *words, **more: ({}, {})


def test_a_lock_of_another_run_refuses_the_run(small):
    why, message, codes, acts = ended(small, BROKEN, hold=Taken(Locked("app is locked by the run other", hint="wait")))
    assert (why, message, codes, acts) == ("refused", "app is locked by the run other", ["locked"], [])


@pytest.mark.parametrize(
    ("error", "why"), [(CouldNotVerify("the lock is unreadable"), "inconclusive"), (NotReady("no folder"), "refused")]
)
def test_locks_that_cannot_be_taken_end_the_run_and_an_unreadable_one_leaves_it_open(small, error, why):
    ended_with, message, codes, acts = ended(small, BROKEN, hold=Taken(error))
    assert (ended_with, message) == (why, f"the run could not take its locks: {error}")
    assert (codes, acts) == (["not-ready"], [])


def test_a_step_of_the_phase_ready_that_fails_refuses_the_run(small):
    small.hosts["b"].on("try", Reply(1))
    why, message, _, acts = ended(small, READY + BROKEN)
    assert (why, message) == ("refused", "the system is not ready for the drill; nothing was changed")
    assert acts == ["try"]


def test_a_probe_that_is_never_good_ends_the_run_before_the_fault(small, monkeypatch):
    monkeypatch.setattr(preparation, "BASELINE_S", 0.5)
    small.hosts["controller"] = FakeHost("controller")
    why, message, codes, acts = ended(small, PROBE + BROKEN)
    assert (why, message) == ("inconclusive", "no fault was injected, because the probe probe.1 was never good")
    assert (codes, acts) == (["probe-never-good"], [])


def test_a_run_that_is_stopped_while_it_prepares_injects_nothing(small):
    small.hosts["b"].on("try", lambda call: small.stop.ask("somebody stopped it") and "")
    why, message, _, acts = ended(small, READY + BROKEN)
    assert (why, message, acts) == ("aborted", "somebody stopped it", ["try"])

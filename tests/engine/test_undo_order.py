"""Order of undos: newest step first, its hosts at the same time, one after another on a host, and no endless wait."""

import threading

import pytest

from drillbook.engine import undo_order
from drillbook.engine.undo_order import Turn, in_turns

LONG_S = 60


def test_steps_are_carried_out_in_their_order_and_results_are_in_it():
    order = []

    def work(name):
        return lambda: (order.append(name), name)[1]

    turns = [Turn(host, step, work((step, host))) for step in (3, 2, 1) for host in "abc"]
    assert in_turns(turns, LONG_S) == [(step, host) for step in (3, 2, 1) for host in "abc"]
    assert [step for step, _ in order] == [3] * 3 + [2] * 3 + [1] * 3


def test_a_thousand_hosts_take_few_threads(monkeypatch):
    monkeypatch.setattr(undo_order, "AT_ONCE", 4)
    seen = set()

    def work():
        seen.add(threading.current_thread().name)

    in_turns([Turn(f"h{number}", step, work) for step in (2, 1) for number in range(1000)], LONG_S)
    assert 1 <= len(seen) <= 4


def test_a_host_that_hangs_delays_only_its_own_older_undos():
    free, done = threading.Event(), []

    def hang():
        assert free.wait(LONG_S)
        done.append("a newest")

    turns = [
        Turn("a", 2, hang),
        Turn("b", 2, lambda: done.append("b newest")),
        Turn("a", 1, lambda: done.append("a oldest")),
        Turn("b", 1, lambda: (done.append("b oldest"), free.set())),
    ]
    in_turns(turns, 0.05)
    assert done == ["b newest", "b oldest", "a newest", "a oldest"]


def test_an_error_of_one_turn_keeps_no_other_from_its_work():
    done = []

    def fail():
        raise RuntimeError("broken")

    turns = [Turn("a", 2, fail), Turn("a", 1, lambda: done.append("a")), Turn("b", 1, lambda: done.append("b"))]
    with pytest.raises(RuntimeError, match="broken"):
        in_turns(turns, LONG_S)
    assert sorted(done) == ["a", "b"]
    assert in_turns([], LONG_S) == []

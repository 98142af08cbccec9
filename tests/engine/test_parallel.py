"""The same work on many hosts: results in the order of the hosts, and every call ends before an error is raised."""

import threading

import pytest

from drillbook.engine import parallel
from drillbook.engine.parallel import on_each

PATIENCE_S = 20


def test_the_results_have_the_order_of_the_items_whichever_call_ends_first():
    last = threading.Event()

    def work(item):
        if item == "b":
            last.set()
        elif not last.wait(PATIENCE_S):
            raise AssertionError("the calls do not run at the same time")
        return item.upper()

    assert on_each(work, ["a", "b"], name="test") == ["A", "B"]
    assert on_each(work, [], name="test") == []


def test_the_first_error_is_raised_after_every_call_has_ended():
    failed, ended = threading.Event(), []

    def work(number):
        if number == 2:
            failed.set()
            raise ValueError("later")
        failed.wait(PATIENCE_S)
        ended.append(number)
        if number == 1:
            raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        on_each(work, [0, 1, 2], name="test")
    assert sorted(ended) == [0, 1]


def test_no_more_threads_run_than_the_limit(monkeypatch):
    monkeypatch.setattr(parallel, "AT_ONCE", 2)
    names = on_each(lambda number: threading.current_thread().name, list(range(20)), name="few")
    assert set(names) <= {"few_0", "few_1"}

"""Many locks at once: runs with common locks never deadlock, and one of them gets all of its locks."""

import random
import threading

import pytest

from drillbook.engine import lock_order
from drillbook.engine.lock_order import take_all, take_over
from drillbook.errors import HostUnreachable, Locked
from drillbook.sdk.identity import LockName

LONG_S = 60


class Table:
    """Locks in memory, with their holders."""

    def __init__(self):
        self.holder, self.changed = {}, threading.Condition()


class Run:
    """Run that takes locks of the table; ``before`` is called before each attempt."""

    def __init__(self, table, before=lambda named: None):
        self.table, self.before, self.asked = table, before, []

    def take_one(self, named, patience):
        self.before(named)
        self.asked.append(named.name)
        with self.table.changed:
            free = self.table.changed.wait_for(lambda: self.table.holder.get(named, self) is self, timeout=patience)
            if not free:
                raise Locked(f"{named.name} is locked")
            self.table.holder[named] = self

    def give_back(self, named):
        with self.table.changed:
            assert self.table.holder.pop(named) is self
            self.table.changed.notify_all()

    def is_new(self, named):
        return True

    def end(self):
        for named in [one for one, run in self.table.holder.items() if run is self]:
            self.give_back(named)

    @property
    def held(self):
        return sorted(named.name for named, run in self.table.holder.items() if run is self)


def locks(names):
    return [LockName(name, "a") for name in names]


def test_the_first_is_taken_alone_and_the_others_at_the_same_time():
    both = threading.Barrier(2)
    run = Run(Table(), lambda named: named.name != "1" and both.wait(LONG_S))
    take_all(locks("123"), run)
    assert run.held == ["1", "2", "3"]
    assert run.asked[0] == "1"
    take_all([], run)


def test_the_locks_of_a_dead_run_are_taken_at_the_same_time_and_none_is_given_back():
    both, table = threading.Barrier(2), Table()
    other = Run(table)
    take_all(locks("3"), other)

    def meet(named):
        if named.name in "45" and named.name not in run.asked:
            both.wait(LONG_S)
        if named.name == "3" and "3" in run.asked:
            assert run.held == ["1", "2", "4", "5"]
            other.end()

    run = Run(table, meet)
    take_over(locks("12345"), run.take_one, LONG_S)
    assert run.held == ["1", "2", "3", "4", "5"]
    assert (run.asked[0], run.asked[-1], len(run.asked)) == ("1", "3", 6)


def test_a_lock_that_another_run_keeps_ends_a_recovery_that_waited_for_it():
    table = Table()
    take_all(locks("3"), Run(table))
    run = Run(table)
    with pytest.raises(Locked, match="3 is locked"):
        take_over(locks("1234"), run.take_one, 0.2)
    assert run.held == ["1", "2", "4"]


def test_a_host_that_cannot_be_used_ends_the_taking_over():
    def before(named):
        if named.name == "2":
            raise HostUnreachable("a: no answer", host="a")

    with pytest.raises(HostUnreachable):
        take_over(locks("123"), Run(Table(), before).take_one, 0.0)


def test_a_run_that_lacks_one_gives_back_what_comes_later_and_is_refused(monkeypatch):
    monkeypatch.setattr(lock_order, "GRACE_S", 0.0)
    table = Table()
    other, run = Run(table), Run(table)
    take_all(locks("3"), other)
    with pytest.raises(Locked, match="3 is locked"):
        take_all(locks("12345"), run)
    assert run.held == ["1", "2"]


def test_an_error_of_a_host_comes_before_locks_of_others():
    def away(named):
        if named.name == "3":
            raise HostUnreachable("away", host="a")

    table = Table()
    take_all(locks("2"), Run(table))
    with pytest.raises(HostUnreachable):
        take_all(locks("123"), Run(table, away))


def test_of_two_runs_that_hold_what_the_other_needs_the_one_with_the_earlier_lock_goes_on():
    """Each run takes a lock that the other needs: 3 goes to the run of 1, and 2 to the other one."""
    table, mine, theirs = Table(), threading.Event(), threading.Event()

    def before(named):
        if named.name == "2" and not theirs.is_set():
            assert theirs.wait(LONG_S)
        if named.name == "3":
            mine.set()

    def other(named):
        if named.name == "2":
            assert mine.wait(LONG_S)
        if named.name == "3":
            theirs.set()

    early, late = Run(table, before), Run(table, other)
    refused = []

    def go(run, names):
        try:
            take_all(locks(names), run)
        except Locked:
            refused.append(run)
            run.end()

    threads = [threading.Thread(target=go, args=given) for given in ((early, "123"), (late, "23"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert late.held == ["2", "3"]
    assert refused == [early]


@pytest.mark.parametrize("seed", range(3))
def test_of_many_runs_with_common_locks_one_gets_all_and_none_hangs(seed, monkeypatch):
    monkeypatch.setattr(lock_order, "GRACE_S", 0.5)
    drawn = random.Random(seed)
    table, got, threads = Table(), [], []
    begin = threading.Barrier(6)

    def go(names):
        run = Run(table)
        begin.wait(LONG_S)
        try:
            take_all(locks(names), run)
            got.append(names)
        except Locked:
            run.end()

    for _ in range(6):
        names = sorted({"4", *drawn.sample("1235678", 3)})  # all need the lock 4
        threads.append(threading.Thread(target=go, args=(names,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert not any(thread.is_alive() for thread in threads)
    assert len(got) <= 1


def test_of_ten_runs_with_the_same_locks_exactly_one_gets_them():
    table, got, refused = Table(), [], []
    begin = threading.Barrier(10)

    def go():
        run = Run(table)
        begin.wait(LONG_S)
        try:
            take_all(locks("1234"), run)
            got.append(run)
        except Locked:
            refused.append(run)
            assert run.held == []

    threads = [threading.Thread(target=go) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert (len(got), len(refused)) == (1, 9)

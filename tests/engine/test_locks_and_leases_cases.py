"""Holds that are renewed, adopted, unreachable for a while, or given back late, with this machine as target."""

import shutil
import threading
import time

import pytest

from drillbook.engine import locks_and_leases as holding
from drillbook.engine import unreachable
from drillbook.engine.host_locks import Grip, renewal_pause
from drillbook.engine.leases import Lease, Lock, Owner, was_fenced
from drillbook.engine.liveness import controller
from drillbook.errors import Fenced, HostUnreachable, Locked
from drillbook.journal.journal import salvage
from drillbook.sdk.host import Deadline
from tests.engine import test_locks_and_leases
from tests.engine.test_locks_and_leases import died, soon
from tests.waiting import nothing_happens_for, until

place = test_locks_and_leases.place


def told(hold, kind):
    """Events of a hold, none when its journal does not exist yet."""
    return [event for event in salvage(hold.journal.path)[0].events if event.kind == kind]


def steal(place, name, host="a"):
    shutil.rmtree(Lock(place.hosts[host], name, 20).folder)
    return Lock(place.hosts[host], name, 20).take(Owner(run="run-9"), deadline=soon()).token


def threads(*names):
    return {thread.name for thread in threading.enumerate() if thread.name in names and thread.is_alive()}


@pytest.fixture
def often(monkeypatch):
    """Renew leases three times a second."""
    monkeypatch.setattr(holding, "RENEWALS", 1000)


def test_what_is_held_is_renewed_again_and_again_by_itself(place, often):
    hold = place.hold("run-1")
    hold.take()
    before = {host: grip.renewed for host, grip in hold._grips.items()}
    until(lambda: all(grip.renewed > before[host] for host, grip in hold._grips.items()))
    again = {host: grip.renewed for host, grip in hold._grips.items()}
    until(lambda: all(grip.renewed > again[host] for host, grip in hold._grips.items()))
    mine = [thread for thread in threading.enumerate() if thread.name in ("hold-a", "hold-b")]
    assert {thread.name for thread in mine} == {"hold-a", "hold-b"}
    assert all(thread.daemon for thread in mine), "no process waits for them"
    hold.end()
    assert threads("hold-a", "hold-b") == set()
    hold.take()
    assert threads("hold-a", "hold-b") == set(), "nothing is renewed once it was given back"


def test_a_lock_that_is_lost_ends_the_run_and_its_renewals_by_itself(place, often):
    hold = place.hold("run-1")
    hold.take()
    steal(place, place.names()[0])
    until(hold.stop.flag.is_set)
    until(lambda: threads("hold-a") == set())
    assert threads("hold-b") == {"hold-b"}, "what is still held is renewed, so that an undo finds it"
    title = next(one.title for one in place.plan.locks() if one.host == "a" and one.name == place.names()[0])
    assert hold.stop.message == f"the lock of {title} on a now belongs to another run"
    (lost,) = place.events(hold, "lock.lost")
    assert lost.data == {"message": hold.stop.message, "names": [place.names()[0]]}


def test_a_host_that_answers_again_is_renewed_again(place, often):
    hold = place.hold("run-1")
    hold.take()
    place.away.add("a")
    asked = place.refused
    until(lambda: place.refused > asked + 1)
    missed = hold._grips["a"].renewed
    place.away.clear()
    until(lambda: hold._grips["a"].renewed > missed)
    assert not hold.stop.flag.is_set()


@pytest.mark.parametrize("armed", [[7], []])
def test_what_a_recovery_adopts_is_renewed_from_then_on_and_only_that(place, armed, often):
    dead = place.hold("run-1", who=died())
    if armed:
        dead.arm(7, "command.run", "a", [["true"]])
    dead._halt.set()
    until(lambda: threads("hold-a") == set())
    again = place.hold("run-1", over="run-1")
    again.adopt("a", [7])
    assert (again._grips["a"].armed, again._grips["a"].leased) == (set(armed), bool(armed))
    assert [event.data for event in told(again, "lease.adopted")] == ([{"armed": [7], "reverted": False}] if armed else [])
    if armed:
        first = again._grips["a"].renewed
        until(lambda: again._grips["a"].renewed > first)
    assert threads("hold-a") == ({"hold-a"} if armed else set())


def still_reverting(place):
    """Target that reverts the changes of a dead run until a file exists: its thread, and the file."""
    dead = place.hold("run-1", who=died())
    go_on, mark = place.root / "go-on", place.root / "mark"
    dead.arm(7, "command.run", "a", [["sh", "-c", f"touch {mark}; while [ ! -e {go_on} ]; do sleep 0.05; done"]])
    dead._halt.set()
    reverting = threading.Thread(target=lambda: Lease(place.hosts["a"], "run-1", 20).revert(deadline=soon()))
    reverting.start()
    until(mark.exists)
    return reverting, go_on


def test_a_recovery_waits_while_the_target_still_reverts(place):
    """Two concurrent undos of the same change could destroy each other's work."""
    reverting, go_on = still_reverting(place)
    again = place.hold("run-1", over="run-1")
    adopting = threading.Thread(target=again.adopt, args=("a", [7]))
    adopting.start()
    nothing_happens_for(0.7, lambda: told(again, "lease.adopted") or not adopting.is_alive())
    go_on.touch()
    adopting.join(30)
    reverting.join(30)
    (adopted,) = place.events(again, "lease.adopted")
    assert adopted.data["reverted"] is True
    assert again._grips["a"].armed == set()


def test_a_target_that_reverts_for_ever_is_not_waited_for(place, monkeypatch):
    monkeypatch.setattr(holding, "REVERT_S", 0.4)
    reverting, go_on = still_reverting(place)
    again = place.hold("run-1", over="run-1")
    again.adopt("a", [7])
    assert reverting.is_alive(), "nobody waited for it"
    go_on.touch()
    reverting.join(30)


def test_of_a_lock_that_is_waited_for_the_patience_counts_from_the_beginning(place, monkeypatch):
    monkeypatch.setattr(holding, "POLL_S", 0.05)
    place.hold("run-1").take()
    begun = time.monotonic()
    with pytest.raises(Locked):
        place.hold("run-2").take(patience=0.6)
    assert time.monotonic() - begun >= 0.6


@pytest.mark.parametrize(
    ("over", "who", "taken"),
    [("run-1", None, True), ("run-1", "somewhere 1", False), ("run-2", None, False), ("", None, False)],
)
def test_only_the_lock_of_a_run_whose_controller_is_dead_is_taken_over(place, over, who, taken):
    dead = place.hold("run-1", who=who or died())
    dead.take()
    dead._halt.set()
    again = place.hold(over or "run-3", over=over)
    if taken:
        again.take()
        assert again.others() != [], "it is its own, and held"
    else:
        with pytest.raises(Locked, match="run-1"):
            again.take()


def test_a_lock_that_its_holder_did_not_renew_is_nobodys(place):
    name = place.names()[0]
    lock = Lock(place.hosts["a"], name, 1)
    lock.take(Owner(run="run-9"), deadline=soon())
    assert any("run-9" in one for one in place.hold("run-1").others())
    until(lambda: not lock.state(deadline=soon()).held)
    assert place.hold("run-1").others() == {}


def test_a_lock_is_told_with_what_it_protects_and_whose_it_was(place):
    dead = place.hold("run-1", who=died())
    dead.take()
    dead._halt.set()
    again = place.hold("run-1", over="run-1")
    again.take()
    for hold, before in ((dead, None), (again, "run-1")):
        for event in place.events(hold, "lock.taken"):
            named = next(one for one in place.plan.locks() if (one.host, one.name) == (event.host, event.data["name"]))
            assert event.data["services"] == list(named.services)
            assert (
                event.data["token"] == Lock(place.hosts[event.host], named.name, 20).state(deadline=soon()).token
                or before is None
            )
            assert (event.data["taken_from"] or {}).get("run") == before


def test_a_check_of_a_host_without_a_lock_asks_all_that_have_one(place):
    place.away.add("b")
    hold = place.hold("run-1")
    hold.take(lenient=True)
    place.away.clear()
    place.commands.clear()
    for grip in hold._grips.values():
        grip.renewed -= 11
    hold.check("b")
    assert set(place.commands) == {"a"}
    assert hold._grips["b"].tokens == {}


@pytest.mark.parametrize(("age", "asked"), [(9, False), (11, True)])
def test_a_check_asks_when_half_of_the_lease_has_gone_by(place, age, asked):
    hold = place.hold("run-1")
    hold.take()
    place.commands.clear()
    hold._grips["a"].renewed -= age
    before = hold._grips["a"].renewed
    hold.check("a")
    assert ("a" in place.commands) is asked
    assert (hold._grips["a"].renewed > before) is asked


def test_a_check_that_gets_no_answer_says_so(place):
    hold = place.hold("run-1")
    hold.take()
    place.away.add("a")
    hold.check("a")
    hold._grips["a"].renewed -= 11
    hold.check("b")
    with pytest.raises(HostUnreachable):
        hold.check("a")
    with pytest.raises(HostUnreachable):
        hold.check()


def lapsed(place):
    hold = place.hold("run-1")
    hold.take()
    hold.arm(7, "command.run", "a", [["true"]])
    Lease(place.hosts["a"], "run-1", 20).revert(deadline=soon())
    return hold


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (lambda hold: None, True),
        (lambda hold: hold._halt.set(), False),
        (lambda hold: hold._grips["a"].armed.clear(), False),
    ],
)
def test_a_lease_that_ended_is_told_while_something_is_armed_and_the_run_goes_on(place, change, ends):
    hold = lapsed(place)
    change(hold)
    hold.affirm()
    assert hold.stop.flag.is_set() is ends
    assert [
        (event.host, "undid the changes by itself" in event.data["message"]) for event in place.events(hold, "lease.lapsed")
    ] == ([("a", True)] if ends else [])
    if ends:
        assert [(one.code, one.host) for one in hold.stop.findings] == [("lease-lapsed", "a")]


def test_a_lock_that_is_lost_while_all_is_given_back_is_not_told(place):
    hold = place.hold("run-1")
    hold.take()
    hold._halt.set()
    steal(place, place.names()[0])
    hold.affirm()
    assert (hold.stop.flag.is_set(), hold._grips["a"].lost) == (False, "")


def test_the_reason_of_a_stop_stays_the_first_and_a_lost_lock_is_recorded_once(place):
    hold = place.hold("run-1")
    hold.take()
    hold.stop.ask("stopped before")
    steal(place, place.names()[0])
    hold.affirm()
    hold.affirm()
    assert hold.stop.message == "stopped before"
    assert len(place.events(hold, "lock.lost")) == 1
    with pytest.raises(Fenced):
        hold.check()


def test_only_a_fault_is_fenced_by_the_lease_and_only_while_something_is_armed(place):
    hold = place.hold("run-1")
    hold.take()
    run = place.hosts["a"].run
    assert hold.fence("c") is None
    fenced = hold.fence("a", fault=True)
    assert run(fenced(["true"]), deadline=soon()).ok, "nothing is armed yet"
    hold.arm(7, "command.run", "a", [["true"]])
    assert run(fenced(["true"]), deadline=soon()).ok
    Lease(place.hosts["a"], "run-1", 20).revert(deadline=soon())
    assert was_fenced(run(fenced(["true"]), deadline=soon()))
    assert run(hold.fence("a")(["true"]), deadline=soon()).ok


def test_a_target_that_has_just_armed_something_has_just_been_heard(place):
    hold = place.hold("run-1")
    hold._grip("a").renewed -= 30
    hold.arm(7, "command.run", "a", [["true"]])
    hold._silent(hold._grips["a"], HostUnreachable("a: cannot connect", host="a"))
    assert not hold.stop.flag.is_set()
    assert hold._grips["a"].leased is True
    hold._grips["a"].renewed -= 30
    hold._silent(hold._grips["a"], HostUnreachable("a: cannot connect", host="a"))
    assert hold.stop.message.startswith("the locks and the lease on a could not be renewed for 3")


def test_what_was_disarmed_is_not_asked_for_again(place):
    hold = place.hold("run-1")
    hold.take()
    hold.arm(7, "command.run", "a", [["true"]])
    hold.undone(7, "a")
    hold.disarm()
    place.commands.clear()
    for intent, host in ((7, "a"), (8, "a"), (7, "b")):
        hold.undone(intent, host)
    hold.disarm()
    assert place.commands == []


def test_all_undone_changes_of_a_host_are_disarmed_by_one_command(place, monkeypatch):
    hold = place.hold("run-1")
    hold.take()
    for intent in (7, 8, 9):
        hold.arm(intent, "command.run", "a", [["true"]])
    asked, disarm = [], Lease.disarm
    monkeypatch.setattr(
        Lease, "disarm", lambda lease, *seqs, deadline: asked.append(seqs) or disarm(lease, *seqs, deadline=deadline)
    )
    hold.undone(9, "a")
    hold.undone(7, "a")
    hold.disarm()
    hold.disarm()
    assert asked == [(7, 9)]
    assert Lease(place.hosts["a"], "run-1", 20).state(deadline=soon()).armed == (8,)


def test_an_undone_change_that_could_not_be_disarmed_does_not_stay_armed_beside_one_that_is_open(place, monkeypatch):
    hold = place.hold("run-1")
    hold.take()
    for intent in (7, 8):
        hold.arm(intent, "command.run", "a", [["true"]])
    hold.undone(7, "a")

    def away(lease, *seqs, deadline):
        raise HostUnreachable("a: cannot connect", host="a")

    with monkeypatch.context() as patched:
        patched.setattr(Lease, "disarm", away)
        hold.disarm()
    assert Lease(place.hosts["a"], "run-1", 20).state(deadline=soon()).armed == (7, 8)
    assert hold.end(keep=[8]) == ({}, {})
    lease = Lease(place.hosts["a"], "run-1", 20)
    assert lease.state(deadline=soon()).armed == (8,)
    lease.end(deadline=soon())


def test_what_a_dead_controller_had_undone_but_not_disarmed_does_not_stay_armed(place):
    dead = place.hold("run-1")
    dead.take()
    for intent in (7, 8):
        dead.arm(intent, "command.run", "a", [["true"]])
    dead.undone(7, "a")
    dead._halt.set()
    again = place.hold("run-1", over="run-1")
    again.take()
    again.adopt("a", [7, 8])
    assert again.end(keep=[8]) == ({}, {})
    lease = Lease(place.hosts["a"], "run-1", 20)
    assert lease.state(deadline=soon()).armed == (8,)
    lease.end(deadline=soon())


def test_a_host_that_is_away_at_the_end_for_a_while_is_given_back_once_it_answers(place, monkeypatch):
    monkeypatch.setattr(unreachable, "AGAIN_S", 0.05)
    hold = place.hold("run-1")
    hold.take()
    hold.arm(7, "command.run", "a", [["true"]])
    place.away.add("a")
    back = threading.Timer(0.5, place.away.clear)
    back.start()
    logs, failed = hold.end(keep=[], reach=Deadline.after(60))
    back.join()
    assert (set(logs), failed) == ({"a"}, {})
    assert place.hold("run-2").others() == {}
    assert Lease(place.hosts["a"], "run-1", 20).state(deadline=soon()) is None


def test_without_anything_to_keep_named_all_that_is_armed_stays(place):
    hold = place.hold("run-1")
    hold.take()
    hold.arm(7, "command.run", "a", [["true"]])
    logs, failed = hold.end()
    assert (logs, failed) == ({}, {})
    assert Lease(place.hosts["a"], "run-1", 20).state(deadline=soon()).armed == (7,)
    Lease(place.hosts["a"], "run-1", 20).end(deadline=soon())


def test_a_lease_is_looked_at_the_end_only_where_there_is_one(place):
    hold = place.hold("run-1")
    hold.take()
    hold.arm(7, "command.run", "a", [["true"]])
    hold.undone(7, "a")
    hold.disarm()
    logs, _ = hold.end(keep=[])
    assert set(logs) == {"a"}, "b never had one"
    assert {(event.host, event.data["name"]) for event in place.events(hold, "lock.released")} == {
        (one.host, one.name) for one in place.plan.locks()
    }


def test_a_lock_left_by_a_dead_controller_of_this_run_is_removed_at_the_end_but_not_that_of_a_living_one(place):
    name = next(named.name for named in place.plan.locks() if named.host == "b")
    for who, left in ((died(), False), (controller().rpartition(" ")[0] + " 1", True)):
        place.away.clear()
        Lock(place.hosts["b"], name, 20).take(Owner(run="run-1", controller=who), deadline=soon())
        place.away.add("b")
        again = place.hold("run-1", over="run-1")
        again.take(lenient=True)
        place.away.clear()
        assert again.end() == ({}, {})
        assert (Lock(place.hosts["b"], name, 20).state(deadline=soon()) is not None) is left


def test_a_recovery_of_an_older_run_takes_its_locks_too(place):
    also = place.plan.locks()[0]
    other = also._replace(name="older", services=("older",))
    hold = place.hold("run-1")
    hold.also = (other, also)
    hold.take()
    names = [(event.host, event.data["name"]) for event in place.events(hold, "lock.taken")]
    assert ("a", "older") in names
    assert len(names) == len(set(names)) == len(place.plan.locks()) + 1


def test_a_renewal_that_failed_on_one_of_many_hosts_is_tried_again_soon(place, monkeypatch):
    hold = place.hold("run-1")
    answers = iter([None, HostUnreachable("a: no answer", host="a"), HostUnreachable("a: no answer", host="a"), None])
    pauses = []

    def beat(self, grip):
        if error := next(answers):
            raise error

    class Pauses:
        def wait(self, seconds):
            pauses.append(seconds)
            return len(pauses) == 5

        def is_set(self):
            return True

    monkeypatch.setattr(holding.Hold, "_beat", beat)
    hold._threads.update(dict.fromkeys(range(5000)))
    hold._halt = Pauses()
    lease_s = hold.lease_s
    hold._renew(Grip("a", renewed=time.monotonic()))
    short, long = renewal_pause(lease_s, holding.RENEWALS, 1), renewal_pause(lease_s, holding.RENEWALS, 5000)
    assert short < long
    assert pauses == [long, long, short, short, long]

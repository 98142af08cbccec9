"""Locks and leases that a run holds on its targets: taken, shared, lost, armed and given back, with this machine as
target.
"""

import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from drillbook.engine.leases import Lease, Lock, Owner, was_fenced
from drillbook.engine.liveness import controller
from drillbook.engine.locks_and_leases import Hold
from drillbook.engine.stop_requests import Stop
from drillbook.errors import Fenced, HostUnreachable, Locked, NotReady
from drillbook.hosts.local import LocalHost
from drillbook.journal.journal import Journal, read
from drillbook.judge.locks import locks
from drillbook.redact import Redactor
from drillbook.sdk.host import Deadline, LeaseConfig, Target
from tests.machine.small import Small

TEXT = """\
guard: {lease: 20s}
inject:
  - command.run: {argv: [make, it], effect: fault, undo: [mend, it], proof: [is, it]}
    hosts: [a, b]
"""


def soon():
    return Deadline.after(60)


class Place:
    """Two targets on this machine with separate scratch folders, and runs that take their locks."""

    def __init__(self, root):
        self.root, self.away, self.commands, self.refused = root, set(), [], 0
        self.hosts = {}
        for name in ("a", "b"):
            (root / name).mkdir()
            self.hosts[name] = LocalHost(
                target=Target(name=name, local=True, scratch=str(root / name), lease=LeaseConfig(boot="none"))
            )
        (root / "plan").mkdir()
        self.plan = Small(root / "plan").plan(TEXT)
        self.journals, self.holds = {}, []

    def host(self, name):
        if name in self.away:
            self.refused += 1
            raise HostUnreachable(f"{name}: cannot connect", host=name)
        self.commands.append(name)
        return self.hosts[name]

    def hold(self, run, over="", who=None, plan=None):
        folder = self.root / f"{run}-{len(self.holds)}"
        folder.mkdir()
        journal = Journal(folder, Redactor(()), origin=time.monotonic())
        owner = Owner(run=run, operator="ann", controller=who or controller(), drill="sample")
        hold = Hold(plan or self.plan, journal, self.host, owner, Stop(), over=over)
        self.holds.append(hold)
        return hold

    def events(self, hold, *kinds):
        return [event for event in read(hold.journal.path).events if event.kind in kinds]

    def names(self):
        """Names of the plan's locks on ``a``."""
        return [name.name for name in self.plan.locks() if name.host == "a"]

    def end(self):
        self.away.clear()
        for hold in self.holds:
            hold.end()
            hold.journal.close()


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.end()
    for name in ("a", "b"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)


def died():
    """Identity of a controller whose process has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return controller().rpartition(" ")[0] + f" {child.pid}"


def test_who_holds_a_target_keeps_others_off_until_it_ends(place):
    first, second = place.hold("run-1"), place.hold("run-2")
    first.take()
    with pytest.raises(Locked, match="run-1"):
        second.take()
    assert {event.host for event in place.events(first, "lock.taken")} == {"a", "b"}
    assert [one for one in second.others() if "run-1" in one and one.startswith("a: ")] != []
    assert second.others() == first.others()
    assert first.end() == ({}, {})
    assert {event.host for event in place.events(first, "lock.released")} == {"a", "b"}
    assert second.others() == {}
    second.take()


def test_waiting_for_a_lock_ends_with_the_patience_or_with_the_lock(place):
    first, second = place.hold("run-1"), place.hold("run-2")
    first.take()
    with pytest.raises(Locked):
        second.take(patience=0.5)
    assert second.stop.flag.is_set() is False
    ends = threading.Timer(0.5, first.end)
    ends.start()
    second.take(patience=60)
    ends.join()
    assert {event.host for event in place.events(second, "lock.taken")} == {"a", "b"}


def test_a_recovery_takes_over_from_a_dead_controller_at_once_and_from_nobody_else(place):
    dead = place.hold("run-1", who=died())
    dead.take()
    dead._halt.set()  # it renews no lease any more
    with pytest.raises(Locked):
        place.hold("run-2", over="run-2").take()
    again = place.hold("run-1", over="run-1")
    again.take()
    taken = place.events(again, "lock.taken")
    assert {event.data["taken_from"]["run"] for event in taken} == {"run-1"}
    assert {event.host for event in taken} == {"a", "b"}


def test_a_recovery_does_not_take_over_from_a_controller_that_lives(place):
    alive = place.hold("run-1", who=controller().rpartition(" ")[0] + f" {os.getppid()}")
    alive.take()
    with pytest.raises(Locked):
        place.hold("run-1", over="run-1", who="elsewhere 1").take()


def test_a_recovery_leaves_out_a_host_that_is_away_and_releases_its_lock_when_it_is_back(place):
    dead = place.hold("run-1", who=died())
    dead.take()
    dead._halt.set()
    place.away.add("b")
    with pytest.raises(HostUnreachable):
        place.hold("run-1", over="run-1").take()
    again = place.hold("run-1", over="run-1")
    again.take(lenient=True)
    assert {event.host for event in place.events(again, "lock.failed")} == {"b"}
    place.away.clear()
    assert again.end() == ({}, {})
    assert place.hold("run-2").others() == {}


def test_a_lenient_recovery_is_refused_all_the_same_where_somebody_else_is_at_work(place):
    place.hold("run-2").take()
    with pytest.raises(Locked):
        place.hold("run-1", over="run-1").take(lenient=True)


def stolen(place, name, hold):
    """Let another run take the lock, as after a lease expired while the controller was frozen."""
    shutil.rmtree(Lock(place.hosts["a"], name, 20).folder)
    return Lock(place.hosts["a"], name, 20).take(Owner(run="run-9"), deadline=soon()).token


def test_a_run_that_lost_its_lock_changes_nothing_more(place):
    hold = place.hold("run-1")
    hold.take()
    run = place.hosts["a"].run
    assert run(hold.fence("a")(["true"]), deadline=soon()).ok
    name, title = next((one.name, one.title) for one in place.plan.locks() if one.host == "a" and one.title != one.name)
    token = stolen(place, name, hold)
    assert was_fenced(run(hold.fence("a")(["true"]), deadline=soon())), "the target itself does not let it start"
    hold.affirm()
    assert hold.stop.flag.is_set()
    assert hold.stop.message == f"the lock of {title} on a now belongs to another run"
    assert [(one.code, one.host) for one in hold.stop.findings] == [("lock-lost", "a")]
    (lost,) = place.events(hold, "lock.lost")
    assert lost.host == "a"
    for host in ("a", "b", ""):
        with pytest.raises(Fenced, match="now belongs to another run"):
            hold.check(host)
    hold.end()
    state = Lock(place.hosts["a"], name, 20).state(deadline=soon())
    assert (state.owner.run, state.token) == ("run-9", token), "what is not ours is not released"


def test_a_lock_that_is_lost_while_the_run_stops_is_recorded_and_is_no_reason(place):
    hold = place.hold("run-1")
    hold.take()
    hold.stop.ask("the run was stopped by SIGTERM")
    stolen(place, place.names()[0], hold)
    hold.affirm()
    hold.affirm()
    assert (hold.stop.message, hold.stop.findings) == ("the run was stopped by SIGTERM", ())
    (lost,) = place.events(hold, "lock.lost")
    assert lost.data["names"] == [place.names()[0]]
    hold.end()
    events = read(hold.journal.path).events
    lost = [(one.host, one.title) for one in locks(events, events) if one.status == "lost"]
    assert lost == [("a", place.plan.locks()[0].title)]


def test_each_lost_lock_of_a_host_is_recorded_and_none_of_them_as_released(place):
    hold = place.hold("run-1")
    hold.take()
    names = place.names()
    for name in names:
        stolen(place, name, hold)
        hold.affirm()
    assert [event.data["names"] for event in place.events(hold, "lock.lost")] == [[name] for name in names]
    hold.end()
    events = read(hold.journal.path).events
    assert {(one.host, one.status) for one in locks(events, events)} == {("a", "lost"), ("b", "released")}
    assert {event.host for event in place.events(hold, "lock.released")} == {"b"}


def test_a_check_asks_only_when_the_last_answer_is_old_and_only_the_host_that_is_changed(place):
    hold = place.hold("run-1")
    hold.take()
    place.commands.clear()
    hold.check("a")
    assert place.commands == []
    for grip in hold._grips.values():
        grip.renewed -= 11
    hold.check("a")
    assert set(place.commands) == {"a"}
    hold.check()
    assert set(place.commands) == {"a", "b"}


def test_a_check_finds_a_lock_that_was_lost_while_the_controller_stood_still(place):
    hold = place.hold("run-1")
    hold.take()
    stolen(place, place.names()[0], hold)
    hold.check("a")
    hold._grips["a"].renewed -= 11
    with pytest.raises(Fenced, match="on a now belongs to another run"):
        hold.check("a")


def test_a_stop_that_was_asked_for_at_the_target_is_heard_once(place):
    hold = place.hold("run-1")
    hold.take()
    Lock(place.hosts["a"], place.names()[0], 20).request_stop("bob", deadline=soon())
    hold.affirm()
    assert hold.stop.message == "the run was stopped by a request on the target: bob"
    hold.affirm()
    (asked,) = place.events(hold, "stop.requested")
    assert (asked.data, asked.host) == ({"by": "bob", "from": "lock"}, "a")


def test_what_is_armed_is_renewed_disarmed_and_given_back_with_its_log(place):
    hold = place.hold("run-1")
    hold.take()
    hold.ready()
    assert [(event.host, event.data["boot"]) for event in place.events(hold, "lease.ready")] == [
        ("a", "none"),
        ("b", "none"),
    ]
    mark = place.root / "mark"
    hold.arm(7, "command.run", "a", [["touch", str(mark)]])
    (armed,) = place.events(hold, "lease.armed")
    assert (armed.host, armed.data) == ("a", {"intent": 7, "what": "command.run", "lease_s": 20})
    state = Lease(place.hosts["a"], "run-1", 20).state(deadline=soon())
    assert state.armed == (7,)
    assert "20 s" in hold.promise(7, "a")
    assert (hold.promise(8, "a"), hold.promise(7, "b"), hold.promise(7, "c")) == ("", "", "")
    hold.affirm()
    assert not hold.stop.flag.is_set()
    hold.undone(8, "a")
    hold.disarm()
    assert Lease(place.hosts["a"], "run-1", 20).state(deadline=soon()).armed == (7,)
    hold.undone(7, "a")
    hold.disarm()
    assert Lease(place.hosts["a"], "run-1", 20).state(deadline=soon()).armed == ()
    assert hold.promise(7, "a") == ""
    logs, failed = hold.end(keep=[])
    assert ("a" in logs, failed) == (True, {})
    assert Lease(place.hosts["a"], "run-1", 20).state(deadline=soon()) is None
    assert not mark.exists()


def test_what_could_not_be_undone_stays_armed_and_the_rest_ends(place):
    hold = place.hold("run-1")
    hold.take()
    for host, intent in (("a", 7), ("b", 8)):
        hold.arm(intent, "command.run", host, [["true"]])
    logs, failed = hold.end(keep=[7])
    assert (set(logs), failed) == ({"b"}, {})
    state = Lease(place.hosts["a"], "run-1", 20).state(deadline=soon())
    assert (state.armed, state.reverted) == ((7,), False)
    assert place.hold("run-2").others() == {}, "its lock is given back all the same"
    assert hold.end() == ({}, {}), "nothing happens a second time"
    Lease(place.hosts["a"], "run-1", 20).end(deadline=soon())


def test_a_lease_that_the_target_has_reverted_ends_the_run(place):
    hold = place.hold("run-1")
    hold.take()
    mark = place.root / "mark"
    hold.arm(7, "command.run", "a", [["touch", str(mark)]])
    fault = hold.fence("a", fault=True)
    assert place.hosts["a"].run(fault(["true"]), deadline=soon()).ok
    Lease(place.hosts["a"], "run-1", 20).revert(deadline=soon())
    assert mark.exists()
    assert was_fenced(place.hosts["a"].run(fault(["true"]), deadline=soon())), "no fault begins there any more"
    assert place.hosts["a"].run(hold.fence("a")(["true"]), deadline=soon()).ok, "an undo does"
    hold.affirm()
    assert [one.code for one in hold.stop.findings] == ["lease-lapsed"]
    assert [event.host for event in place.events(hold, "lease.lapsed")] == ["a"]


def test_without_a_lock_on_it_nothing_fences_a_host(place):
    hold = place.hold("run-1")
    assert hold.fence("a") is None
    hold.lease_on("a")
    assert hold.fence("a") is None


def test_a_host_that_does_not_answer_at_the_end_is_told_and_the_others_are_released(place):
    hold = place.hold("run-1")
    hold.take()
    place.away.add("a")
    logs, failed = hold.end()
    assert (logs, failed) == ({}, {"a": "a: cannot connect"})
    assert {event.host for event in place.events(hold, "lock.released")} == {"b"}


@pytest.mark.parametrize(("age", "ends"), [(12, False), (14, True)])
def test_renewals_without_an_answer_end_the_run_before_the_target_reverts(place, age, ends):
    hold = place.hold("run-1")
    hold.take()
    grip = hold._grips["a"]
    grip.renewed -= age
    hold._silent(grip, HostUnreachable("a: cannot connect", host="a"))
    assert hold.stop.flag.is_set() is ends
    if ends:
        (told,) = place.events(hold, "lease.unrenewed")
        assert told.host == "a"
        assert told.data["age_s"] == pytest.approx(age, abs=5)
        assert "a: cannot connect" in hold.stop.message


def test_what_breaks_a_renewal_is_told_by_its_kind(place):
    hold = place.hold("run-1")
    hold.take()
    grip = hold._grips["a"]
    grip.renewed -= 30
    hold._silent(grip, OSError("no route"))
    assert "OSError: no route" in hold.stop.message


def test_a_recovery_adopts_what_the_target_says_is_armed(place):
    dead = place.hold("run-1", who=died())
    dead.take()
    dead.arm(7, "command.run", "a", [["true"]])
    dead._halt.set()
    again = place.hold("run-1", over="run-1")
    again.take()
    again.adopt("a", [7, 9])
    (adopted,) = place.events(again, "lease.adopted")
    assert (adopted.host, adopted.data) == ("a", {"armed": [7], "reverted": False})
    assert again.promise(7, "a")
    assert again.promise(9, "a") == ""
    again.adopt("b", [8])
    assert again.promise(8, "b") == "", "there is no lease"
    again.undone(7, "a")
    logs, failed = again.end(keep=[])
    assert ("a" in logs, failed) == (True, {})
    assert Lease(place.hosts["a"], "run-1", 20).state(deadline=soon()) is None


def test_a_recovery_of_what_the_target_has_reverted_has_nothing_armed(place):
    dead = place.hold("run-1", who=died())
    dead.take()
    dead.arm(7, "command.run", "a", [["true"]])
    dead._halt.set()
    Lease(place.hosts["a"], "run-1", 20).revert(deadline=soon())
    again = place.hold("run-1", over="run-1")
    again.take()
    again.adopt("a", [7])
    (adopted,) = place.events(again, "lease.adopted")
    assert adopted.data["reverted"] is True
    assert again.promise(7, "a") == ""
    assert not again.stop.flag.is_set()


def test_a_host_that_cannot_be_asked_is_taken_to_hold_what_the_journal_says(place):
    again = place.hold("run-1", over="run-1")
    place.away.add("a")
    again.adopt("a", [7])
    assert again.promise(7, "a")
    (failed,) = place.events(again, "lease.failed")
    assert (failed.host, failed.data) == ("a", {"message": "a: cannot connect"})


def test_a_target_that_cannot_keep_a_lease_is_not_ready(place):
    place.hosts["b"] = LocalHost(
        target=Target(name="b", local=True, scratch=str(place.root / "b"), lease=LeaseConfig(kind="systemd", boot="none"))
    )
    hold = place.hold("run-1")
    if shutil.which("systemctl") is None:
        with pytest.raises(NotReady):
            hold.ready()


def test_two_names_of_one_machine_share_a_lock_of_the_same_run(place):
    place.hosts["b"] = LocalHost(target=place.hosts["a"].target.model_copy(update={"name": "b"}))
    hold = place.hold("run-1")
    hold.take()
    taken = place.events(hold, "lock.taken")
    assert {event.host for event in taken} == {"a", "b"}
    tokens = [event.data["token"] for event in taken if event.data["name"] == "host"]
    assert len(set(tokens)) == 1
    with pytest.raises(Locked):
        place.hold("run-2").take()
    assert hold.end() == ({}, {})
    assert place.hold("run-2").others() == {}


def test_a_lock_that_could_not_be_taken_over_and_belongs_to_another_run_now_stays(place):
    place.away.add("b")
    again = place.hold("run-1", over="run-1")
    again.take(lenient=True)
    place.away.clear()
    name = next(named.name for named in place.plan.locks() if named.host == "b")
    Lock(place.hosts["b"], name, 20).take(Owner(run="run-9", controller=died()), deadline=soon())
    assert again.end() == ({}, {})
    assert Lock(place.hosts["b"], name, 20).state(deadline=soon()).owner.run == "run-9"


def test_a_lock_that_is_given_back_can_be_taken_and_its_absence_is_no_loss(place):
    first, second = place.hold("run-1"), place.hold("run-2")
    first.take()
    for named in place.plan.locks():
        assert second.is_new(named)
        first.give_back(named)
        first.give_back(named)  # safe to repeat
    second.take()
    first.affirm()
    assert not first.stop.flag.is_set()
    assert {event.host for event in place.events(first, "lock.released")} == {"a", "b"}


def test_a_lock_with_two_names_stays_when_one_of_them_is_given_back(place):
    place.hosts["b"] = place.hosts["a"]
    hold = place.hold("run-1")
    hold.take()
    here, there = (next(one for one in place.plan.locks() if (one.host, one.name) == (host, "host")) for host in "ab")
    hold.give_back(there)
    assert Lock(place.hosts["a"], here.name, 20).state(deadline=soon()).owner.run == "run-1"

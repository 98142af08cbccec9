import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drillbook.engine.leases import Lease, Lock, Owner, beat, fence, listed, was_fenced
from drillbook.engine.locks_and_leases import Hold
from drillbook.engine.stop_requests import Stop
from drillbook.errors import Fenced, Locked, NotReady
from drillbook.hosts.open import open_host
from drillbook.journal.journal import Journal
from drillbook.redact import Redactor
from drillbook.sdk.host import Target
from tests.engine.leases.conftest import names, owner, soon, until
from tests.plan.test_planner import HOSTS, made
from tests.plan.test_spec import GOOD
from tests.systems.refusals import refused_until


def taken(lock, run, **more):
    """Take ``lock`` as soon as it is free."""

    def attempt():
        try:
            return lock.take(owner(run), deadline=soon(), **more)
        except Locked:
            return None

    return until(attempt, "the lock could be taken")


def test_one_has_it_and_the_other_learns_who(here, any_shell, scratch):
    first, second = Lock(here, "api", 30), Lock(here, "api", 30)
    held = first.take(owner(), deadline=soon())
    assert held.taken_from is None
    with pytest.raises(Locked, match="run run-1 of postgres-lost by ann on desk") as error:
        second.take(owner("run-2"), deadline=soon())
    assert "drill.stop run-1" in error.value.hint
    assert error.value.exit_status == 4
    assert first.renew(held.token, deadline=soon()) == ""
    state = second.state(deadline=soon())
    assert (state.owner, state.token, state.held, state.lease_s) == (owner(), held.token, True, 30)
    first.release(held.token, deadline=soon())
    first.release(held.token, deadline=soon())
    assert second.state(deadline=soon()) is None
    assert names(scratch) == []


def test_names_of_any_kind_are_kept_apart(here):
    names = ["api", "a/pi", "../api", ".hidden", "数据库", "two words", "it's $HOME"]
    held = {name: Lock(here, name, 30).take(owner(), deadline=soon()).token for name in names}
    assert sorted(listed(here, deadline=soon()).locks) == sorted(names)
    assert beat(here, held, None, deadline=soon()).fenced == ()
    for name, token in held.items():
        Lock(here, name, 30).release(token, deadline=soon())
    assert listed(here, deadline=soon()).locks == ()


def test_a_stop_is_asked_for_through_the_lock(here, any_shell):
    lock = Lock(here, "api", 30)
    assert lock.request_stop("bob", deadline=soon()) is None
    token = lock.take(owner(), deadline=soon()).token
    assert Lock(here, "api", 5).request_stop("bob\non\x1b[31m his phone", deadline=soon()) == owner()
    asked = lock.renew(token, deadline=soon())
    assert asked.startswith("bob on")
    assert "\x1b" not in asked
    assert lock.state(deadline=soon()).stop == asked
    assert beat(here, {"api": token}, None, deadline=soon()).stop == asked
    lock.release(token, deadline=soon())
    again = lock.take(owner("run-2"), deadline=soon())
    assert lock.renew(again.token, deadline=soon()) == "", "the request was for the run before"


def test_an_expired_lock_is_taken_over_and_the_old_token_never_wins_again(here, any_shell, scratch):
    lock = Lock(here, "api", 1)
    old = lock.take(owner("old"), deadline=soon())
    new = taken(lock, "new")
    assert new.taken_from == owner("old")
    assert new.token > old.token
    for after in ("while it is held", "when it is free", "when another run has it"):
        with pytest.raises(Fenced):
            lock.renew(old.token, deadline=soon())
        late = here.run(fence(["touch", str(scratch / "late")], lock.folder, old.token), deadline=soon())
        assert (was_fenced(late), late.exit) == (True, 97), after
        lock.release(old.token, deadline=soon())
        if after == "while it is held":
            assert lock.state(deadline=soon()).token == new.token
            assert here.run(fence(["echo", "a b"], lock.folder, new.token), deadline=soon()).text == "a b"
            lock.release(new.token, deadline=soon())
        elif after == "when it is free":
            third = lock.take(owner("third"), deadline=soon())
            assert third.token > new.token
            assert third.taken_from is None
    assert not (scratch / "late").exists()


def test_only_the_named_run_can_be_taken_over_early(here):
    lock = Lock(here, "api", 60)
    old = lock.take(owner("dead"), deadline=soon())
    with pytest.raises(Locked):
        lock.take(owner("new"), over="other", deadline=soon())
    new = lock.take(owner("new"), over="dead", deadline=soon())
    assert new.taken_from == owner("dead")
    assert beat(here, {"api": old.token}, None, deadline=soon()).fenced == ("api",)


def test_a_takeover_that_died_half_way_has_taken_over(here):
    """The new entry exists, and the old one is not removed yet: the entry with the highest number holds the lock."""
    lock = Lock(here, "api", 60)
    token = lock.take(owner("old"), deadline=soon()).token
    entry = Path(lock.folder, str(token))
    Path(lock.folder, str(token + 1)).write_text(entry.read_text().replace('"old"', '"new"'))
    assert was_fenced(here.run(fence(["true"], lock.folder, token), deadline=soon()))
    with pytest.raises(Fenced):
        lock.renew(token, deadline=soon())
    lock.release(token, deadline=soon())
    assert lock.state(deadline=soon()).owner == owner("new")
    assert names(lock.folder) == [str(token + 1)]


def test_a_token_counts_on_when_the_clock_of_the_controller_went_back(here, monkeypatch):
    lock = Lock(here, "api", 60)
    old = lock.take(owner("old"), deadline=soon())
    monkeypatch.setattr("drillbook.engine.leases.lock._seed", lambda: 5)
    assert lock.take(owner("new"), over="old", deadline=soon()).token == old.token + 1


def test_a_reboot_of_the_target_ends_every_lock(here, tmp_path, monkeypatch):
    boot = tmp_path / "boot_id"
    boot.write_text("first-boot\n")
    monkeypatch.setenv("DRILLBOOK_BOOT_ID", str(boot))
    lock = Lock(here, "api", 3600)
    old = lock.take(owner("old"), deadline=soon())
    boot.write_text("second-boot\n")
    assert not lock.state(deadline=soon()).held
    lock.renew(old.token, deadline=soon())  # no other run took the lock: it is still held, and valid again
    assert lock.state(deadline=soon()).held
    boot.write_text("third-boot\n")
    assert lock.take(owner("new"), deadline=soon()).taken_from == owner("old")


def test_a_folder_of_somebody_else_is_refused(here, scratch):
    (scratch / "drillbook").mkdir(mode=0o777)
    (scratch / "drillbook").chmod(0o777)
    with pytest.raises(NotReady, match="open to others") as error:
        Lock(here, "api", 5).take(owner(), deadline=soon())
    assert "scratch" in error.value.hint
    (scratch / "drillbook").rmdir()
    (scratch / "elsewhere").mkdir(mode=0o700)
    (scratch / "drillbook").symlink_to(scratch / "elsewhere")
    with pytest.raises(NotReady, match="drillbook belongs to somebody else"):
        Lock(here, "api", 5).take(owner(), deadline=soon())
    (scratch / "drillbook").unlink()
    Lock(here, "api", 5).take(owner(), deadline=soon())


@pytest.mark.parametrize("server", ["openssh", "asyncssh_server"])
def test_two_controllers_race_and_never_both_hold_it(server, request, scratch):
    rounds = 200 if server == "openssh" else 20
    target = request.getfixturevalue(server).target(scratch=str(scratch))
    barrier = threading.Barrier(2, timeout=60)
    winners = [[None] * rounds, [None] * rounds]

    def controller(number):
        host = open_host(target, targets={})
        lock = Lock(host, "api", 60)
        try:
            for turn in range(rounds):
                barrier.wait()
                try:
                    token = lock.take(owner(f"run-{number}"), deadline=soon()).token
                except Locked:
                    token = None
                winners[number][turn] = token
                barrier.wait()
                if token:
                    lock.release(token, deadline=soon())
        except BaseException:
            barrier.abort()
            raise
        finally:
            host.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(controller, range(2)))
    pairs = list(zip(*winners, strict=True))
    assert [pair for pair in pairs if (pair[0] is None) == (pair[1] is None)] == []
    tokens = [pair[0] or pair[1] for pair in pairs]
    assert tokens == sorted(set(tokens))
    assert names(scratch) == []


WITNESS = 'mkdir "$1" || exit 1; sleep 0.01; rmdir "$1"'
"""Fails when another run is inside at the same time."""


def test_takes_meet_releases_and_takeovers_without_two_holders(openssh, scratch):
    """Takes compete with releases and with takeovers of abandoned locks, without waiting."""
    target = openssh.target(scratch=str(scratch))

    def controller(number):
        host = open_host(target, targets={})
        lock, tokens = Lock(host, "api", 60), []
        for turn in range(15):
            token = taken(lock, f"run-{number}", over="left").token
            tokens.append(token)
            inside = fence(["sh", "-c", WITNESS, "sh", str(scratch / "inside")], lock.folder, token)
            host.run(inside, deadline=soon()).check()
            if turn % 3 == 0:
                tokens.append(lock.take(owner("left"), over=f"run-{number}", deadline=soon()).token)
            else:
                lock.release(token, deadline=soon())
        host.close()
        return tokens

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(controller, range(2))
    assert one == sorted(set(one))
    assert two == sorted(set(two))
    assert not set(one) & set(two)


HOLDER = """
import sys
from drillbook.errors import Fenced
from drillbook.sdk.host import Deadline, Target
from drillbook.hosts.open import open_host
from drillbook.engine.leases import Lock, Owner, fence, was_fenced

host = open_host(Target.model_validate_json(sys.argv[1]), targets={})
lock = Lock(host, "api", 2)
token = lock.take(Owner(run="frozen"), deadline=Deadline.after(30)).token
print(token, flush=True)
try:
    while True:
        lock.renew(token, deadline=Deadline.after(30))
        Deadline.after(30).wait(0.2)
except Fenced:
    print("fenced", flush=True)
late = host.run(fence(["touch", sys.argv[2]], lock.folder, token), deadline=Deadline.after(30))
print(was_fenced(late), late.exit, flush=True)
lock.release(token, deadline=Deadline.after(30))
host.close()
print("released", flush=True)
"""


def test_a_controller_frozen_for_longer_than_its_lease_is_fenced_off(openssh, scratch):
    target = openssh.target(scratch=str(scratch))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, target.model_dump_json(), str(scratch / "late")], stdout=subprocess.PIPE, text=True
    )
    host = open_host(target, targets={})
    try:
        token = int(holder.stdout.readline())
        lock = Lock(host, "api", 60)
        with pytest.raises(Locked):
            lock.take(owner(), deadline=soon())
        holder.send_signal(signal.SIGSTOP)
        held = taken(lock, "run-1")
        assert held.taken_from == Owner(run="frozen")
        assert held.token > token
        holder.send_signal(signal.SIGCONT)
        assert holder.communicate(timeout=60)[0].split("\n")[:3] == ["fenced", "True 97", "released"]
        assert not (scratch / "late").exists()
        assert lock.state(deadline=soon()).token == held.token
    finally:
        holder.kill()
        holder.wait()
        host.close()


class Counting:
    """Host that counts its commands."""

    def __init__(self, host):
        self.host, self.commands = host, 0

    def __getattr__(self, name):
        return getattr(self.host, name)

    def run(self, argv, **how):
        self.commands += 1
        return self.host.run(argv, **how)


def test_each_call_is_one_command(here):
    host = Counting(here)
    lock = Lock(host, "api", 5)
    token = lock.take(owner(), deadline=soon()).token
    lock.renew(token, deadline=soon())
    beat(host, {"api": token, "db": 7}, "no-lease", deadline=soon())
    lock.release(token, deadline=soon())
    assert host.commands == 4


def test_without_flock_the_host_is_not_ready(here, tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "mkdir", "rm", "ls", "sed", "rmdir"):
        (folder / tool).symlink_to(shutil.which(tool))
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(folder))
    refused_until(
        lambda: Lock(here, "api", 5).take(owner(), deadline=soon()),
        r"flock is missing \(package util-linux, or busybox\)",
        lambda: monkeypatch.setenv("PATH", path),
    )


def test_a_target_is_described_with_its_lease():
    assert Target(name="x").lease.boot == "auto"


def test_a_fault_does_not_start_once_its_target_has_begun_to_revert(here, scratch):
    """The lock is still held, but nobody could undo a fault that starts now."""
    lock, lease = Lock(here, "api", 60), Lease(here, "run-1", 60)
    token = lock.take(owner(), deadline=soon()).token
    lease.arm(1, "a fault", [["true"]], deadline=soon())
    early = fence(["touch", str(scratch / "early")], lock.folder, token, lease.folder)
    assert here.run(early, deadline=soon()).ok
    lease.revert(deadline=soon())
    late = fence(["touch", str(scratch / "late")], lock.folder, token, lease.folder)
    assert was_fenced(here.run(late, deadline=soon()))
    assert names(scratch) == ["drillbook", "early"]
    assert here.run(fence(["true"], lock.folder, token), deadline=soon()).ok, "an undo starts all the same"
    lease.end(deadline=soon())
    lock.release(token, deadline=soon())


def hold_of(folder, here, run, drill=GOOD, hosts=HOSTS):
    folder.mkdir()
    journal = Journal(folder, Redactor(()), origin=0.0)
    return Hold(made(folder, drill, hosts), journal, lambda name: here, owner(run), Stop())


def test_one_thing_under_two_names_is_locked_once(here, scratch, tmp_path):
    """Two projects with different names for the service and its host."""
    first = hold_of(tmp_path / "first", here, "run-1")
    named = HOSTS.replace("  api:", "  frontend:").replace("app-1", "web")
    drill = GOOD.replace("service: api", "service: frontend").replace("services.api", "services.frontend")
    second = hold_of(tmp_path / "second", here, "run-2", drill, named)
    try:
        first.take()
        with pytest.raises(Locked, match=r"frontend \(unit-api\) is locked by run run-1 "):
            second.take()
        assert list(second.others()) == [f"web: frontend (unit-api) is locked by {owner('run-1')}"]
        first.end()
        second.take()
        assert list(first.others()) == [f"app-1: api (unit-api) is locked by {owner('run-2')}"]
    finally:
        first.end()
        second.end()
    assert names(scratch) == []


def test_a_plan_with_two_names_of_one_host_does_not_wait_for_itself(here, scratch, tmp_path):
    twice = HOSTS.replace("  db-1:", "  web: {address: 127.0.0.1, port: 2201}\n  db-1:").replace(
        "  backups:", "  frontend: {kind: process, host: web, unit: api}\n  backups:"
    )
    hold = hold_of(
        tmp_path / "run",
        here,
        "run-1",
        GOOD.replace("restore:\n", "restore:\n  - service.start: {service: frontend}\n"),
        twice,
    )
    try:
        hold.take()
        hold.affirm()
        assert [one.host for one in hold.plan.locks()] == ["app-1", "web"]
        for host in ("app-1", "web"):
            argv = hold.fence(host)(("true",))
            assert here.run(argv, deadline=soon()).ok
    finally:
        assert hold.end()[1] == {}
    assert names(scratch) == []

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from drillbook.engine.leases import Lease, beat, listed
from drillbook.engine.leases import lease as lease_module
from drillbook.engine.leases.backends import FILES
from drillbook.engine.leases.script import program_of, source
from drillbook.engine.locks_and_leases import Hold
from drillbook.engine.stop_requests import Stop
from drillbook.errors import CommandFailed, CommandTimedOut, Lapsed, NotReady
from drillbook.hosts.open import open_host
from drillbook.journal.journal import Journal
from drillbook.redact import Redactor
from drillbook.sdk.host import Deadline, LeaseConfig
from tests.engine.leases.conftest import names, owner, soon, until
from tests.needs import need
from tests.plan.test_planner import made

NO_BOOT = LeaseConfig(boot="none")


def watcher_of(lease):
    """Pid of the watcher; 0 when there is none."""
    path = Path(lease.folder, "watcher")
    pid = int(path.read_text().split()[0]) if path.exists() else 0
    return pid if pid and runs(pid) else 0


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def over(lease):
    """State of the lease after the target has reverted and all its processes have ended."""

    def look():
        state = lease.state(deadline=soon())
        return state if state.claim == "reverted" and not state.busy else None

    return until(look, "the target reverted")


def test_a_recovery_waits_while_the_target_still_reverts(here, scratch, tmp_path):
    """Two reverts at the same time could undo each other: one would stop a unit that the other has just started."""
    done = scratch / "done"
    lease = Lease(here, "run-1", 1)
    lease.arm(5, "slow", [["sh", "-c", 'sleep 2; : > "$1"', "sh", str(done)]], deadline=soon())
    until(lambda: lease.state(deadline=soon()).busy, "the target begins to revert")
    assert not done.exists()
    journal = Journal(tmp_path, Redactor(()), origin=0.0)
    hold = Hold(made(tmp_path), journal, lambda name: here, owner(), Stop(), over="run-1")
    try:
        hold.adopt("app-1", [5])
        assert done.exists()
    finally:
        hold.end()
        journal.close()


def test_an_armed_undo_is_done_by_the_target_when_nobody_renews(here, any_shell, scratch):
    lease = Lease(here, "run-1", 1)
    assert lease.ready(deadline=soon()) == ("watcher", "none")
    note = scratch / "order"
    for seq, word in (5, "first"), (12, "it's $(second)\nof `two`"), (40, "third"):
        lease.arm(seq, f"say {word}", [["sh", "-c", 'printf "%s;" "$1" >> "$2"', "sh", word, str(note)]], deadline=soon())
    lease.disarm(40, deadline=soon())
    lease.disarm(40, deadline=soon())
    state = lease.state(deadline=soon())
    assert (state.armed, state.watcher, state.claim) == ((5, 12), True, "open")
    assert state.whats[5] == "say first"
    state = over(lease)
    assert note.read_text() == "it's $(second)\nof `two`;first;", "newest first"
    assert (state.armed, state.undone, state.failed, state.reverted) == ((), (5, 12), (), True)
    with pytest.raises(Lapsed) as error:
        lease.renew(deadline=soon())
    assert error.value.exit_status == 4
    with pytest.raises(Lapsed):
        lease.arm(50, "late", [["touch", str(scratch / "late")]], deadline=soon())
    assert beat(here, {}, "run-1", deadline=soon()).lapsed
    until(lambda: not watcher_of(lease), "the watcher ended by itself")
    log = lease.end(deadline=soon()).decode()
    for words in ("no renewal since", "undo 12 done", "all reverted"):
        assert words in log
    assert sorted(names(scratch)) == ["order"]
    assert lease.end(deadline=soon()) == b""


def test_a_renewed_lease_reverts_nothing_and_ends_without_a_trace(here, scratch):
    lease = Lease(here, "run-1", 2)
    lease.arm(1, "x", [["touch", str(scratch / "undone")]], deadline=soon())
    pid = watcher_of(lease)
    began = time.monotonic()
    while time.monotonic() < began + 4:
        lease.renew(deadline=soon())
        Deadline.after(60).wait(0.1)
    assert watcher_of(lease) == pid
    assert listed(here, deadline=soon()).leases == ("run-1",)
    lease.end(deadline=soon())
    assert not runs(pid)
    assert names(scratch) == []


def test_what_is_armed_is_private_and_on_disk_before_arm_returns(here, tmp_path, scratch, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sync").write_text(f'#!/bin/sh\nfor one; do echo "$PWD/$one"; done >> "{tmp_path}/synced"\n')
    (folder / "sync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    lease = Lease(here, "run-1", 60)
    lease.arm(3, "x", [["touch", "a b"], ["true"]], deadline=soon())
    synced = (tmp_path / "synced").read_text()
    for name in (".new/11", ".new/12", ".new/what", "watch.sh", "beat", "armed"):
        assert f"{lease.folder}/{name}\n" in synced
    for path in Path(scratch, "drillbook").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert Path(lease.folder, "armed/3/11").read_text() == "exec touch 'a b'\n"
    lease.end(deadline=soon())


def test_a_failing_and_a_hanging_undo_do_not_keep_the_others(here, any_shell, scratch):
    hang, allow = scratch / "hang", scratch / "allow"
    hang.touch()
    lease = Lease(here, "run-1", 1)
    lease.arm(1, "works", [["touch", str(scratch / "works")]], deadline=soon())
    lease.arm(
        2, "fails until it is allowed", [["test", "-e", str(allow)], ["touch", str(scratch / "second")]], deadline=soon()
    )
    lease.arm(3, "hangs", [["sh", "-c", 'while [ -e "$1" ]; do sleep 0.1; done', "sh", str(hang)]], deadline=soon())
    until((scratch / "works").exists, "the first undo was done")
    assert hang.exists()
    assert not (scratch / "second").exists(), "a command follows only one that succeeded"
    state = lease.state(deadline=soon())
    assert (3 in state.armed, state.claim, state.busy) == (True, "reverting", True)
    until(lambda: b"undo 2 (11) failed: status 1" in lease.state(deadline=soon()).log, "the log tells the failure")
    allow.touch()
    hang.unlink()
    assert over(lease).undone == (1, 2, 3)
    assert (scratch / "second").exists()
    lease.end(deadline=soon())


@pytest.mark.parametrize("place", [None, "", "60\nwatcher\n"])
def test_the_end_of_a_damaged_lease_clears_its_boot_hook(here, any_shell, tmp_path, monkeypatch, place):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "crontab").write_text(
        f'#!/bin/sh\ncase $1 in -l) echo "@reboot x # drillbook-run-1" ;; *) echo "$1" >> {tmp_path}/crontab ;; esac\n'
    )
    (folder / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    lease = Lease(here, "run-1", 60)
    lease.arm(1, "x", [["true"]], deadline=soon())
    os.kill(watcher_of(lease), 9)
    stored = Path(lease.folder, "place")
    stored.unlink() if place is None else stored.write_text(place)
    lease.end(deadline=soon())
    assert (tmp_path / "crontab").read_text() == "-r\n"
    assert not Path(lease.folder).exists()


def test_a_lease_is_not_armed_in_a_folder_that_was_exchanged(here, scratch):
    lease = Lease(here, "run-1", 60)
    lease.arm(1, "x", [["true"]], deadline=soon())
    root, moved, robbed = scratch / "drillbook", scratch / "moved", scratch / "robbed"
    root.rename(moved)
    (root / "leases/run-1").mkdir(parents=True, mode=0o777)
    root.chmod(0o777)
    (root / "leases/run-1/watch.sh").write_text(f"touch '{robbed}'\n")
    (root / "leases/run-1/durable").symlink_to(moved / "leases/run-1/durable")
    with pytest.raises(NotReady, match="is open to others"):
        lease.arm(2, "x", [["true"]], deadline=soon())
    assert not robbed.exists()
    shutil.rmtree(root)
    moved.rename(root)
    lease.end(deadline=soon())


def test_an_undo_that_hangs_is_ended_with_all_that_it_started(here, any_shell, scratch, monkeypatch):
    quick = source("watch.sh").replace("limit=20 rounds=4", "limit=1 rounds=1")
    monkeypatch.setattr(lease_module, "source", lambda name: quick)
    started = scratch / "started"
    lease = Lease(here, "run-1", 60)
    lease.arm(1, "hangs", [["sh", "-c", 'sleep 600 & echo $! >> "$1"; wait', "sh", str(started)]], deadline=soon())
    assert b"it was ended after 1 s" in lease.revert(deadline=soon()).log
    for pid in map(int, started.read_text().split()):
        until(lambda pid=pid: not runs(pid), "the command that the undo started has ended")
    lease.end(deadline=soon())


def test_the_end_of_a_lease_ends_all_processes_of_its_watcher(here, any_shell, monkeypatch):
    monkeypatch.setattr(
        lease_module, "source", lambda name: source(name).replace("nap=5", "nap=600").replace('"$left" -gt "$nap"', "1 = 1")
    )
    lease = Lease(here, "run-1", 60)
    lease.arm(1, "x", [["true"]], deadline=soon())
    pid = watcher_of(lease)
    children = Path(f"/proc/{pid}/task/{pid}/children")
    sleeps = int(until(lambda: children.read_text().split(), "the watcher sleeps")[0])
    lease.end(deadline=soon())
    assert not runs(pid)
    until(lambda: not runs(sleeps), "its last process has ended")


def test_an_undo_that_never_works_is_kept_and_told_and_can_be_tried_again(here, scratch):
    lease = Lease(here, "run-1", 1)
    allow = scratch / "allow"
    lease.arm(7, "close the door", [["test", "-e", str(allow)]], deadline=soon())
    state = over(lease)
    assert state.failed == (7,)
    assert state.whats == {7: "close the door"}
    assert state.log.count(b"undo 7 (11) failed") == 4
    allow.touch()
    assert lease.revert(deadline=soon()).failed == ()
    lease.end(deadline=soon())


@pytest.mark.parametrize("server", ["openssh", "asyncssh_server"])
def test_the_watcher_outlives_its_connection(server, request, scratch):
    host = open_host(request.getfixturevalue(server).target(scratch=str(scratch)), targets={})
    lease = Lease(host, "run-1", 2, NO_BOOT)
    lease.arm(1, "x", [["touch", str(scratch / "undone")]], deadline=soon())
    host.close()
    until((scratch / "undone").exists, "the target reverted")
    again = open_host(request.getfixturevalue(server).target(scratch=str(scratch)), targets={})
    assert b"undo 1 done" in Lease(again, "run-1", 2, NO_BOOT).end(deadline=soon())
    again.close()


def test_the_watcher_outlives_the_end_of_the_command_that_started_it(openssh, scratch):
    """The command is ended with all its descendants; by then the watcher has moved out of its process group."""
    host = open_host(openssh.target(scratch=str(scratch)), targets={})
    lease = Lease(host, "run-1", 60, NO_BOOT)
    words = [f"{scratch}/drillbook", "run-1", "60", "watcher", "none", "system", source("watch.sh"), "1", "x", "true"]
    argv = [
        "sh",
        "-c",
        '"$@"; exec sleep 100',
        "sh",
        "sh",
        "-c",
        program_of("leased"),
        "drillbook",
        "lease_arm",
    ]
    with pytest.raises(CommandTimedOut):
        host.run([*argv, *words], deadline=Deadline.after(3))
    pid = watcher_of(lease)
    assert pid
    assert os.getsid(pid) == os.getpgid(pid) == pid
    state = lease.state(deadline=soon())
    assert (state.watcher, state.armed) == (True, (1,))
    lease.end(deadline=soon())
    assert not runs(pid)
    host.close()


def test_a_dead_watcher_is_replaced_at_the_next_renewal(here):
    lease = Lease(here, "run-1", 30)
    lease.arm(1, "x", [["true"]], deadline=soon())
    first = watcher_of(lease)
    os.kill(first, signal.SIGKILL)
    until(lambda: not runs(first))
    assert lease.state(deadline=soon()).watcher is False
    lease.renew(deadline=soon())
    second = watcher_of(lease)
    assert second not in (0, first)
    os.kill(second, signal.SIGSTOP)
    lease.arm(2, "y", [["true"]], deadline=soon())
    third = watcher_of(lease)
    assert third not in (0, second), "a stopped one is as good as dead"
    os.kill(second, signal.SIGKILL)
    lease.end(deadline=soon())
    assert not runs(third)


def test_two_never_revert_at_once(here, scratch):
    """A reverting process holds a kernel lock; a second one, such as another controller's recovery, ends at once."""
    go = scratch / "go"
    lease = Lease(here, "run-1", 1)
    script = (
        'mkdir "$1/inside" || exit 1; while ! [ -e "$1/go" ]; do sleep 0.1; done; rmdir "$1/inside"; echo . >> "$1/times"'
    )
    lease.arm(1, "once", [["sh", "-c", script, "sh", str(scratch)]], deadline=soon())
    until((scratch / "inside").exists, "the watcher reverts")
    assert lease.revert(deadline=soon()).busy
    with pytest.raises(CommandFailed, match="still reverting"):
        lease.end(deadline=Deadline.after(3))
    go.touch()
    assert over(lease).undone == (1,)
    assert (scratch / "times").read_text() == ".\n"
    lease.end(deadline=soon())


def test_beats_need_no_space(here, scratch):
    """A beat overwrites its file in place: the file keeps its inode and its length."""
    lease = Lease(here, "run-1", 30)
    lease.arm(1, "x", [["true"]], deadline=soon())
    beats = Path(lease.folder, "beat")
    before = beats.stat()
    text = beats.read_text()

    def renewed():
        lease.renew(deadline=soon())
        return beats.read_text() != text

    until(renewed, "a beat of another second")
    after = beats.stat()
    assert (before.st_ino, before.st_size, before.st_blocks) == (after.st_ino, after.st_size, after.st_blocks)
    for name in ("lock.sh", "lease.sh", "watch.sh", *FILES):
        cut = [line for line in source(name).split("\n") if re.search(r"""(?<!<)> *("?\$\w+\.)?(beat|watcher)\b""", line)]
        assert [line for line in cut if "$new.beat" not in line] == [], name
    lease.end(deadline=soon())


FULL = """
import subprocess, sys, time
from pathlib import Path
from drillbook.errors import CommandFailed, Locked
from drillbook.sdk.host import Deadline, LeaseConfig, Target
from drillbook.hosts.local import LocalHost
from drillbook.engine.leases import Lease, Lock, Owner, beat

scratch = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", scratch], check=True)
host = LocalHost(target=Target(name="here", local=True, scratch=scratch))
lease, lock, soon = Lease(host, "run-1", 3, LeaseConfig(boot="none")), Lock(host, "api", 3), lambda: Deadline.after(60)
token = lock.take(Owner(run="run-1"), deadline=soon()).token
filler = Path(scratch, "filler")
lease.arm(1, "empty the disk", [["rm", str(filler)]], deadline=soon())
try:
    with filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
except OSError as error:
    print(error.strerror)
try:
    Lock(host, "other", 3).take(Owner(run="run-2"), deadline=soon())
except CommandFailed as error:
    print("cannot write" in error.message)
try:
    lease.arm(2, "more", [["true"]], deadline=soon())
except CommandFailed as error:
    print("cannot write" in error.message)
until = time.monotonic() + 6
while time.monotonic() < until:
    found = beat(host, {"api": token}, "run-1", deadline=soon())
    assert not found.fenced and not found.lapsed, found
    soon().wait(0.2)
print("kept", filler.exists(), lease.state(deadline=soon()).claim)
while filler.exists() or lease.state(deadline=soon()).claim != "reverted":
    soon().wait(0.1)
print("reverted", lease.state(deadline=soon()).undone)
lock.release(token, deadline=soon())
lease.end(deadline=soon())
print([path.name for path in Path(scratch).iterdir()])
"""


def test_a_full_disk_hinders_neither_renewal_nor_revert(scratch):
    """The disk is a small one in a mount namespace of its own."""
    alone = [need("unshare"), "-rm"]
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", str(scratch)], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount in a namespace")
    done = subprocess.run(
        [*alone, sys.executable, "-c", FULL, str(scratch)], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["No space left on device", "True", "True", "kept True open", "reverted (1,)", "[]"]


def test_a_reboot_without_a_hook_reverts_when_the_controller_comes_back(here, tmp_path, scratch, monkeypatch):
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setenv("DRILLBOOK_BOOT_ID", str(boot))
    lease = Lease(here, "run-1", 3600)
    lease.arm(1, "x", [["touch", str(scratch / "undone")]], deadline=soon())
    pid = watcher_of(lease)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(pid))
    boot.write_text("second\n")
    with pytest.raises(Lapsed):
        lease.renew(deadline=soon())
    assert over(lease).undone == (1,)
    assert (scratch / "undone").exists()
    lease.end(deadline=soon())


def test_the_wall_clock_decides_nothing():
    """The only call of `date` is in the line that writes the log."""
    for name in ("shared_functions.sh", "lock.sh", "lease.sh", "watch.sh", *FILES):
        lines = [line for line in source(name).split("\n") if re.search(r"\b(date|EPOCH\w*|touch|find|-nt|-ot)\b", line)]
        assert all(line.lstrip().startswith("printf '%s up=%s %s\\n' \"$(date") for line in lines), (name, lines)


@pytest.fixture
def nobodys():
    """Folder that an ordinary user owns and can reach."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chown(folder, 65534, 65534)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests show it")
def test_an_ordinary_user_can_keep_a_lease(nobodys):
    def as_nobody(function, *words):
        argv = ["sh", "-c", program_of("leased"), "drillbook", function, *words]
        done = subprocess.run(
            argv,
            check=False,
            user=65534,
            group=65534,
            extra_groups=[],
            cwd="/",
            text=True,
            capture_output=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", "HOME": nobodys},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    root, undone = f"{nobodys}/drillbook", Path(nobodys, "undone")
    assert (
        as_nobody("lease_arm", root, "r", "1", "auto", "none", "system", source("watch.sh"), "1", "x", f"touch {undone}")
        == f"armed {root}/leases/r\n"
    )
    until(undone.exists, "the target reverted")
    assert "undo 1 done" in as_nobody("lease_end", root, "r", "30", "system")
    assert names(nobodys) == ["undone"]


def test_a_target_without_a_hook_for_reboots_has_to_be_accepted(here, tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "setsid", "flock", "mkdir", "ls", "cat", "grep", "id"):
        (tools / tool).symlink_to(
            until(lambda tool=tool: next(filter(os.path.exists, (f"/usr/bin/{tool}", f"/bin/{tool}")), None))
        )
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(NotReady, match="nothing here can revert at boot: no usable systemd, no crontab") as error:
        Lease(here, "run-1", 5, LeaseConfig()).ready(deadline=soon())
    assert "lease: {boot: none}" in error.value.hint
    assert Lease(here, "run-1", 5, NO_BOOT).ready(deadline=soon()) == ("watcher", "none")
    (tools / "setsid").unlink()
    with pytest.raises(NotReady, match="neither setsid nor nohup is there"):
        Lease(here, "run-1", 5, NO_BOOT).ready(deadline=soon())

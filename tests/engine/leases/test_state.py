"""Folders of leases: not removed by cleanup of old files, and not created by another user.

Real users, real crontab lines.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from drillbook.engine.leases import Lease, Lock, fence, listed
from drillbook.engine.leases.script import program_of, source
from drillbook.errors import NotReady
from drillbook.hosts.local import LocalHost
from drillbook.sdk import target_folders
from drillbook.sdk.host import LeaseConfig, Target
from tests.engine.leases.conftest import names, owner, soon
from tests.engine.leases.test_hooks import CRONTAB, fakes, program, reboot
from tests.needs import missing, need

__all__ = ["fakes"]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
NOBODY = 65534


@pytest.fixture
def street():
    """Sticky folder such as /var/tmp, which all users can reach."""
    with tempfile.TemporaryDirectory(prefix="drillbook-street-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


def as_nobody(*argv, home="/", check=True):
    return subprocess.run(
        argv,
        check=check,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        text=True,
        capture_output=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
    )


def here(folder, **more):
    return LocalHost(
        target=Target(name="here", local=True, scratch=str(folder), **{"lease": LeaseConfig(boot="none"), **more})
    )


def test_an_ordinary_user_has_leases_in_the_state_folder(street):
    home = street / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)

    def leased(function, *words):
        argv = (
            "sh",
            "-c",
            program_of("leased"),
            "drillbook",
            "leased",
            function,
            f"{street}/drillbook",
            "",
            "run-1",
        )
        return as_nobody(*argv, *words, home=home).stdout

    assert leased("lease_ready", "watcher", "none", "system") == "watcher none\n"
    folder = home / ".local/state/drillbook"
    assert leased("lease_arm", "60", "watcher", "none", "system", source("watch.sh"), "1", "x", "true") == (
        f"armed {folder}/leases/run-1\n"
    )
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "claim open" in leased("lease_state")
    leased("lease_end", "10", "system")
    assert names(home / ".local/state") == []
    assert names(street) == ["home"]


def test_a_user_without_a_home_is_told_before_anything_is_touched(street):
    argv = (
        "sh",
        "-c",
        program_of("leased"),
        "drillbook",
        "leased",
        "lease_ready",
        f"{street}/drillbook",
        "",
        "run-1",
        "watcher",
        "none",
        "system",
    )
    for home, said in (("", "no lease can be kept: this user has no home folder"), ("/nonexistent", "may not write in /")):
        done = as_nobody(*argv, home=home, check=False)
        assert done.returncode == 90, done.stderr
        assert said in done.stderr
    (street / "home").mkdir()
    os.chown(street / "home", NOBODY, NOBODY)
    done = as_nobody(*argv, home=street / "home", check=False)
    assert done.returncode == 0, done.stderr


def test_locks_and_leases_in_two_folders_work_together(street):
    host = here(street / "tmp", state=str(street / "state" / "ours"))
    lock, lease = Lock(host, "api", 60), Lease(host, "run-1", 60)
    token = lock.take(owner(), deadline=soon()).token
    lease.arm(1, "x", [["true"]], deadline=soon())
    assert lease.folder == f"{street}/state/ours/leases/run-1"
    lock.renew(token, deadline=soon())
    lease.renew(deadline=soon())
    found = listed(host, deadline=soon())
    assert (found.locks, found.leases) == (("api",), ("run-1",))
    argv = fence(["echo", "it ran"], lock.folder, token, lease.folder)
    assert host.run(argv, deadline=soon()).text == "it ran"
    lease.end(deadline=soon())
    assert host.run(argv, deadline=soon()).exit == 97
    lock.release(token, deadline=soon())
    assert (names(street / "tmp"), names(street / "state")) == ([], [])


def test_a_lease_of_a_version_before_is_found_where_that_one_left_it(street):
    """The older version stored leases next to the locks, whatever the inventory said about leases."""
    before = Lease(here(street), "run-1", 60)
    before.arm(1, "x", [["true"]], deadline=soon())
    host = here(street, state=f"{street}/state")
    now = Lease(host, "run-1", 60)
    assert now.state(deadline=soon()).armed == (1,)
    assert listed(host, deadline=soon()).leases == ("run-1",)
    now.renew(deadline=soon())
    now.disarm(1, deadline=soon())
    assert now.state(deadline=soon()).armed == ()
    now.end(deadline=soon())
    assert names(street) == []


def test_a_hook_runs_nothing_that_another_user_put_in_its_place(fakes, street):
    """The folder was removed, as old files in /var/tmp are, and another user created it again."""
    program(fakes, "crontab", CRONTAB)
    lease = Lease(here(street, lease=LeaseConfig(kind="watcher", boot="cron")), "run-1", 3600)
    lease.arm(1, "x", [["true"]], deadline=soon())
    (line,) = (fakes / "tab").read_text().splitlines()
    command = line.removeprefix("@reboot ").replace("\\%", "%")
    reboot(fakes, lease)
    shutil.rmtree(street / "drillbook")
    robbed = street / "robbed"
    folder = street / "drillbook/leases/run-1"
    for made in (f"mkdir -p {folder}", f"ln -s {street} {folder}"):
        as_nobody(
            "sh",
            "-c",
            f"umask 0; mkdir -p {folder.parent}; {made}; echo 'touch {robbed}' > {folder}/watch.sh; "
            f"chmod 700 {folder} {folder}/watch.sh; :",
        )
        subprocess.run(["/bin/sh", "-c", command], check=False, timeout=60)
        assert not robbed.exists()
        as_nobody("rm", "-rf", str(street / "drillbook"))


@pytest.mark.parametrize("wrong", ["made", "inherited"])
def test_an_access_list_that_lets_others_in_is_told(street, wrong):
    """An access list of the folder itself is refused; an inherited one is removed."""
    need("setfacl")
    lock = Lock(here(street), "api", 5)
    if wrong == "inherited":
        if subprocess.run(["setfacl", "-d", "-m", "u:nobody:rwx", street], check=False).returncode:
            missing("this disk keeps no access lists")
        lock.take(owner(), deadline=soon())
        assert subprocess.run(
            ["getfacl", "-cp", street / "drillbook"], capture_output=True, text=True, check=True
        ).stdout.split() == ["user::rwx", "group::---", "other::---"]
        return
    (street / "drillbook").mkdir(mode=0o700)
    if subprocess.run(["setfacl", "-m", "u:nobody:rwx,m::-", street / "drillbook"], check=False).returncode:
        missing("this disk keeps no access lists")
    with pytest.raises(NotReady, match="access control list"):
        lock.take(owner(), deadline=soon())


def test_files_of_a_run_of_a_version_before_are_used_and_removed(street):
    host = here(street)
    former = Path(target_folders.scratch_of(host, "run-1", former=True))
    assert former == street / "drillbook-run-1"
    assert not target_folders.is_former(host, "run-1", deadline=soon())
    as_nobody("mkdir", "-m", "700", str(former))
    assert not target_folders.is_former(host, "run-1", deadline=soon()), "somebody else made it"
    former.rmdir()
    Path(f"{former}.inject.1").mkdir(mode=0o700)
    assert target_folders.is_former(host, "run-1", deadline=soon()), "what an undo has to know lies there"
    assert Path(target_folders.make(host, str(former), "wal", deadline=soon())).is_dir()
    ours = Path(target_folders.make(host, target_folders.scratch_of(host, "run-1"), "wal", deadline=soon()))
    assert ours.is_dir()
    words = (str(street / "drillbook"), "run-1", str(former))
    host.run(("sh", "-c", target_folders.REMOVE, "sh", *words), deadline=soon()).check()
    assert names(street) == ["drillbook-run-1.inject.1"], "only its own undo removes it"

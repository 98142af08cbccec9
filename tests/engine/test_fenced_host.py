"""Fenced host: once another run has taken over the lock, no command starts and no file is written; reading goes on."""

import shutil

import pytest

from drillbook.engine.fenced_host import FencedHost, fenced
from drillbook.engine.leases import Lock, Owner, fence
from drillbook.errors import Fenced
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Deadline, LeaseConfig, Target


def soon():
    return Deadline.after(60)


def owner(run):
    return Owner(run=run, operator="ann", controller="desk", drill="sample")


@pytest.fixture
def host(tmp_path):
    yield LocalHost(
        target=Target(name="here", local=True, scratch=str(tmp_path / "scratch"), lease=LeaseConfig(boot="none"))
    )
    shutil.rmtree(tmp_path / "scratch", ignore_errors=True)


def test_a_host_without_a_fence_is_the_host_itself(host):
    assert fenced(host, None) is host


def test_after_the_lock_is_lost_nothing_starts_and_nothing_is_written(host, tmp_path):
    lock, file = Lock(host, "app", 600), tmp_path / "file"
    token = lock.take(owner("run-1"), deadline=soon()).token
    guarded = fenced(host, lambda argv: fence(argv, lock.folder, token))
    assert isinstance(guarded, FencedHost)
    assert guarded.run(("echo", "held"), deadline=soon()).stdout == b"held\n"
    guarded.put(b"before", str(file))
    lock.take(owner("run-1"), deadline=soon(), over="run-1")
    with pytest.raises(Fenced, match="here: the command was not started, because the run lost its lock"):
        guarded.run(("touch", str(tmp_path / "started")), deadline=soon())
    with pytest.raises(Fenced):
        guarded.put(b"after", str(file))
    assert not (tmp_path / "started").exists()
    assert guarded.get(str(file)) == b"before", "reading needs no lock"

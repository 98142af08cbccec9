"""Disks, memory and the log of the kernel of this machine."""

from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, HostError
from drillbook.systems.linux.actions.host import Disk, Memory, OomKills
from tests.diagnosis.test_trees import Site
from tests.e2e.field import fill, small_disk
from tests.systems.ground import path_without
from tests.systems.refusals import refused_until


def test_a_path_that_is_absent_refuses_a_look_at_its_disk(ground):
    action = Disk(path=f"{ground.root}/mounted")
    with pytest.raises(HostError, match="No such file"):
        action.run(ground.ctx())
    told = []
    action.ready(replace(ground.ctx(), changed=True, doubt=told.append))
    assert ["an earlier step may change this" in text for text in told] == [True]
    make = (ground.root / "mounted").mkdir
    refused_until(lambda: action.ready(ground.ctx()), "`df` cannot examine .*/mounted: .*No such file", make)
    assert action.run(ground.ctx())["filesystems"]
    Disk().ready(ground.ctx())


def test_disk(ground):
    found = Disk(path=str(ground.scratch)).run(ground.ctx())
    assert len(found["filesystems"]) == 1
    one = found["filesystems"][0]
    assert one["bytes"] > one["free_bytes"] > 0
    assert found["free_bytes"] == one["free_bytes"]
    assert 0 <= found["used_percent"] <= 100


def test_what_no_service_writes_to_is_not_full(tmp_path):
    """An image of a package is always full, which is normal; a full /boot does not affect a service, either."""
    site = Site(tmp_path)
    host = site.hosts["controller"]
    rows = {
        "-k": (
            "/dev/sda 1000 400 600 40% /",
            "/dev/loop0 500 500 0 100% /snap",
            "/dev/sdb 90 89 1 99% /boot",
            "shm 9 9 0 100% /dev/shm",
        ),
        "-i": ("/dev/sda 10 2 8 20% /", "/dev/loop0 5 5 0 100% /snap", "/dev/sdb 9 2 7 22% /boot"),
    }
    for word, lines in rows.items():
        host.on(("env", "LC_ALL=C", "df", "-P", word), "\n".join(["heading", *lines]))
    host.on(("cat", "/proc/mounts"), "/dev/sda / ext4 rw,errors=remount-ro 0 0\n/dev/loop0 /snap squashfs ro,nodev 0 0\n")
    found = Disk().run(site.ctx())
    assert [(one["mount"], one["read_only"]) for one in found["filesystems"]] == [
        ("/", False),
        ("/snap", True),
        ("/boot", False),
    ]
    assert (found["fullest"], found["used_percent"], found["inodes_percent"]) == ("/", 40, 20)


def test_memory_that_is_mounted_is_no_disk_of_a_service(tmp_path, ground):
    """A small file system in memory is filled, with any device name: this affects no service."""
    with small_disk(tmp_path / "a small disk", 1) as folder:
        fill(folder)
        found = Disk().run(ground.ctx())
        assert str(folder) not in [one["mount"] for one in found["filesystems"]], found
        assert Disk(path=str(folder)).run(ground.ctx())["used_percent"] == 100, "whoever names it is told"


def test_a_path_that_is_not_there(ground):
    with pytest.raises(Exception, match="No such file"):
        Disk(path="/nowhere/at/all").run(ground.ctx())


def test_memory(ground):
    found = Memory().run(ground.ctx())
    assert found["total_bytes"] > found["available_bytes"] > 0


def test_oom_kills(ground):
    try:
        found = OomKills().run(ground.ctx())
    except CouldNotVerify:
        return  # neither counter nor log may be read here, and it says so
    assert found["kills"] is None or found["kills"] >= 0
    assert OomKills(process="no-such-process-name").run(ground.ctx())["events"] == []


def test_a_kernel_log_that_cannot_be_read_is_not_verified(ground, monkeypatch):
    monkeypatch.setenv("PATH", path_without(ground.root / "bin", "dmesg", "journalctl"))
    told = []
    context = replace(ground.ctx(), doubt=told.append)
    OomKills().ready(context)
    assert ["the kernel's log, which cannot be read: install dmesg" in text for text in told] == [True]
    assert OomKills().run(ground.ctx())["log_read"] is False
    (ground.root / "bin" / "dmesg").write_text("#!/bin/sh\necho '[    1.5] Killed process 7 (it)'\n")
    (ground.root / "bin" / "dmesg").chmod(0o755)
    told.clear()
    OomKills().ready(context)
    assert told == []
    assert OomKills().run(ground.ctx())["log_read"] is True

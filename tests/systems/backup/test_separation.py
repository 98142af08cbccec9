"""Separation of backups from the data that they protect: reported by each check, and a finding if a drill requires it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.host import Target
from drillbook.sdk.service import S3
from drillbook.systems.backup.separation import separation
from tests.needs import missing
from tests.systems.backup.test_actions import archive
from tests.systems.estate import HERE, Estate, codes
from tests.systems.postgres.site import secret


def estate(root, backups, data, **more):
    root.mkdir(exist_ok=True)
    archive(Path(backups), "day.tar", "text", 60)
    return Estate(
        root,
        services={"files": {"kind": "folder", "path": str(data)}, **more.pop("services", {})},
        backups={"daily": {"kind": "tar", "service": "files", "at": str(backups)}, **more.pop("backups", {})},
    )


@pytest.fixture
def elsewhere():
    """A folder on another file system than that of temporary files."""
    folder = Path("/dev/shm") / f"drillbook-apart-{os.getpid()}"
    if not folder.parent.is_dir() or folder.parent.stat().st_dev == Path("/var/tmp").stat().st_dev:
        missing("there is no second file system at /dev/shm")
    folder.mkdir()
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()


def test_backups_on_the_disk_of_the_data_are_told_and_fail_a_check_that_demands_another(tmp_path):
    place = estate(tmp_path, tmp_path / "backups", tmp_path)
    told = place.run("backup.check", service="daily")["apart"]
    assert told.startswith(f"no: {tmp_path}/backups and {tmp_path} are on one file system of here: ")
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="daily", apart=True)
    assert codes(failure) == ["backup-beside-data"]


def test_a_second_file_system_is_apart(tmp_path, elsewhere):
    place = estate(tmp_path, elsewhere / "backups", tmp_path)
    facts = place.run("backup.check", service="daily", apart=True)
    assert facts["apart"] == f"yes: {elsewhere}/backups and {tmp_path} are on two file systems of here"


def test_the_host_of_the_backups_is_compared_with_that_of_the_service(tmp_path):
    place = estate(tmp_path, tmp_path / "backups", tmp_path)
    ctx, daily = place.ctx(), place.inventory.services["daily"]
    keys = {"access_key": secret("key", "APART_KEY"), "secret_key": secret("key", "APART_SECRET")}
    store = S3(name="store", host=HERE, endpoint="http://127.0.0.1:1", bucket="nightly", **keys)
    there = {**place.inventory.services, "store": store}

    hosts = {**ctx.hosts, "other": Target(name="other", address="192.0.2.7")}

    def told(services=there, **fields):
        return str(separation(replace(ctx, services=services, hosts=hosts), daily.model_copy(update=fields)))

    assert told(at="s3://nightly/www/") == "no: the backups are on here, the host of files"
    assert told(at="s3://nowhere/www/") == "unknown: the inventory does not tell on which host the backups are"
    assert told(at="sftp://other/backups") == "yes: the backups are on other, and files on here"
    assert told(at=("cat", "/dev/null")) == "unknown: the inventory does not tell on which host the backups are"
    assert told(service="") == "unknown: the backup source names no service"

"""Physical backups of a real server: intact ones restore from a copy, and each kind of damage has exactly one finding."""

import hashlib
import re
import subprocess
from dataclasses import replace

import pytest

from drillbook.errors import StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Target
from drillbook.systems.mariadb import copied_files
from drillbook.values import Secret
from tests.artefacts import exact
from tests.needs import need
from tests.systems.estate import codes
from tests.systems.mariadb import artefacts, site
from tests.systems.mariadb.artefacts import PHYSICAL_CORPUS, between_parts, folders, packed, stream
from tests.systems.mariadb.test_dump_source import wrong
from tests.systems.refusals import refused_until


@pytest.fixture(scope="module")
def both(server, tmp_path_factory):
    return artefacts.take(server, tmp_path_factory.mktemp("taken"))


@pytest.fixture
def taken(both):
    """Full backup, incremental backup on it, and a stream."""
    return both.folder


@pytest.mark.parametrize("artefact", [*PHYSICAL_CORPUS.parameters(), *PHYSICAL_CORPUS.whole()])
def test_each_backup_has_exactly_its_findings(tmp_path, both, artefact):
    exact(artefact.lay(both, tmp_path), artefact)


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}


def whole(place):
    """Restore, check every table, and compare with the server."""
    facts = place.restore("nightly", "copy")
    try:
        place.inventory.services["database"] = place.inventory.services["database"].model_copy(update={"database": ""})
        place.run("mariadb.intact", service="copy")
        place.run("mariadb.matches", service="copy", **{"with": "database"})
        counted = place.run("mariadb.sql", service="copy", query="SELECT COUNT(*) FROM other.t")
        assert counted["value"] == 500
        return facts
    finally:
        place.remove("nightly", "copy")


def test_a_full_backup_and_its_increment_restore_from_a_copy(tmp_path, server, taken):
    place = folders(tmp_path, server, taken, "full", "step")
    before = digests(tmp_path / "backups")
    listed = place.run("backup.list", service="nightly")
    assert [(one["id"], one["type"]) for one in listed["backups"]] == [("step", "incremental"), ("full", "full-backuped")]
    for name in ("full", "step"):
        checked = place.run("backup.check", service="nightly", at=name)
        assert ("the checksum of every page of InnoDB" in checked["covered"]) is (name == "full")
    assert whole(place)["prepared"] == ["full", "step"]
    assert digests(tmp_path / "backups") == before


@pytest.mark.parametrize("end", ["mb", "mb.zst"])
def test_a_stream_restores(tmp_path, server, taken, end):
    place = stream(tmp_path, server, packed((taken / "stream").read_bytes(), end.rpartition(".")[2]), end)
    assert place.run("backup.check", service="nightly")["type"] == "full-backuped"
    if end == "mb.zst":
        whole(place)


def test_mbstream_itself_takes_a_stream_that_ends_between_two_parts_for_whole(tmp_path, taken):
    data = between_parts((taken / "stream").read_bytes())
    done = subprocess.run(["mbstream", "-x", "-C", tmp_path], input=data, capture_output=True, check=False)
    assert done.returncode == 0


def test_an_increment_whose_base_is_gone_restores_nothing(tmp_path, server, taken):
    place = folders(tmp_path, server, taken, "step")
    assert wrong(place.run, "backup.check", service="nightly") == ["backup-missing"]
    try:
        assert wrong(place.restore, "nightly", "copy") == ["backup-missing"]
    finally:
        place.remove("nightly", "copy")


@pytest.mark.parametrize("by_secret", [False, True])
def test_folders_need_a_sandbox_on_their_own_host(tmp_path, server, taken, monkeypatch, by_secret):
    place = folders(tmp_path, server, taken, "full")
    source, copy = (place.inventory.services[name] for name in ("nightly", "copy"))
    monkeypatch.setenv("NIGHTLY_AT", f"sftp://elsewhere{source.at}")
    other = {"at": Secret(source="env", name="NIGHTLY_AT")} if by_secret else {"host": "elsewhere"}
    sources = [source.model_copy(update=other), source]
    ctx = replace(place.ctx(), host_named=lambda name: LocalHost(name, target=Target(name=name, local=True)))
    said = "the folders of nightly are on elsewhere, but the sandbox copy is on here"
    refused_until(lambda: sources[0].ready_sandbox(ctx, copy), said, lambda: sources.pop(0))


def test_a_server_of_another_series_is_told_before(tmp_path, server, taken):
    place = folders(tmp_path, server, taken, "full")
    info = next((tmp_path / "backups").rglob("*_info"))
    text = info.read_text()
    former = re.sub(r"(?m)^(server_version = )\d+\.\d+", r"\g<1>10.3", text)
    assert former != text
    info.write_text(former)
    restore = place.action("backup.restore", service="copy", **{"from": "nightly"})
    said = "has MariaDB .*, but the backup is from MariaDB 10.3"
    refused_until(lambda: restore.ready(place.ctx()), said, lambda: info.write_text(text))


def test_a_stream_of_another_series_is_told_before(tmp_path, server, taken):
    """Only the end of the stream is read by the check; mbstream verifies the changed part during the restore."""
    data = (taken / "stream").read_bytes()
    place = stream(tmp_path, server, re.sub(rb"(\nserver_version = )\d+\.\d+", rb"\g<1>10.3", data))
    restore = place.action("backup.restore", service="copy", **{"from": "nightly"})
    said = "has MariaDB .*, but the backup is from MariaDB 10.3"
    refused_until(lambda: restore.ready(place.ctx()), said, lambda: (tmp_path / "backups" / "shop.mb").write_bytes(data))


@pytest.mark.parametrize("end", ["gz", "zst"])
def test_a_compressed_stream_of_another_series_is_told_before(tmp_path, server, taken, end):
    """It is decompressed up to its end, where the version stands; nothing is written."""
    data = (taken / "stream").read_bytes()
    older = re.sub(rb"(\nserver_version = )\d+\.\d+", rb"\g<1>10.3", data)
    place = stream(tmp_path, server, packed(older, end), f"mb.{end}")
    restore = place.action("backup.restore", service="copy", **{"from": "nightly"})
    (file,) = (tmp_path / "backups").iterdir()
    said = "has MariaDB .*, but the backup is from MariaDB 10.3"
    refused_until(lambda: restore.ready(place.ctx()), said, lambda: file.write_bytes(packed(data, end)))
    assert list((tmp_path / "scratch").rglob("*")) == []


@pytest.mark.parametrize("end", ["gz", "zst"])
def test_a_stream_that_does_not_decompress_to_its_end_is_a_doubt(tmp_path, server, taken, end):
    """Its last bytes are the checksum; all data with the version come before it."""
    data = packed((taken / "stream").read_bytes(), end)
    place = stream(
        tmp_path, server, data[:-6] + bytes([data[-6] ^ 1]) + data[-5:] if end == "gz" else data[:-2], f"mb.{end}"
    )
    doubts = []
    place.action("backup.restore", service="copy", **{"from": "nightly"}).ready(replace(place.ctx(), doubt=doubts.append))
    assert doubts == [f"the backup shop.mb.{end} of nightly, because this backup does not decompress to its end"]


def test_the_series_of_a_long_compressed_stream_is_not_known_before(tmp_path, server, taken, monkeypatch):
    """Its end is not reached in time; the step itself compares the series of versions, before it prepares the files."""
    monkeypatch.setattr(copied_files, "VERSION_S", 0.0)
    place = stream(tmp_path, server, packed((taken / "stream").read_bytes(), "zst"), "mb.zst")
    copy = place.inventory.services["copy"]
    older = tmp_path / "older"
    older.mkdir()
    for tool in ("mariadbd", "mariadb", "mariadb-backup", "mbstream"):
        says = "echo 'mariadbd  Ver 10.3.39-MariaDB for Linux'; exit 0" if tool == "mariadbd" else ""
        (older / tool).write_text(f'#!/bin/sh\n{says}\nexec {need(tool)} "$@"\n')
        (older / tool).chmod(0o755)
    place.inventory.services["copy"] = copy.model_copy(update={"bin": str(older)})
    doubts = []
    place.action("backup.restore", service="copy", **{"from": "nightly"}).ready(replace(place.ctx(), doubt=doubts.append))
    assert doubts == ["the MariaDB version of the backup shop.mb.zst of nightly, which could not be read before the drill"]
    try:
        with pytest.raises(
            StepFailed, match=r"has MariaDB 10.3.39, but the backup is from MariaDB .*only a server of the same"
        ):
            place.restore("nightly", "copy")
    finally:
        place.remove("nightly", "copy")


def test_a_place_that_is_no_folder_holds_no_backup(tmp_path, server):
    place = site.estate(tmp_path, server, {"kind": "mariabackup", "at": f"{tmp_path}/none"})
    with pytest.raises(StepFailed) as failure:
        place.run("backup.list", service="nightly")
    assert codes(failure) == ["backup-missing"]

"""Checks before a drill examine the backup that the step selects, not the newest one."""

import os
import tarfile

import pytest

from drillbook.errors import NotReady
from drillbook.sdk.action import find
from drillbook.sdk.host_needs import BASE
from drillbook.systems.redis.service import Redis
from tests.sdk.test_backup_places import served
from tests.systems.backup.test_refused import put
from tests.systems.estate import Estate
from tests.systems.ground import path_without
from tests.systems.refusals import refused_until

OLD, NEW = "saved-1.gz", "saved-2.xz"
KINDS = [
    ("tar", "folder", ["tar"]),
    ("mariadb_dump", "mariadb", ["mariadbd", "mariadb", "mariadb-install-db"]),
    ("redis_rdb", "redis", ["redis-server", "redis-check-rdb"]),
]


def estate(tmp_path, monkeypatch, kind, box, others, *missing):
    """A source with two backups that need different programs, on a host without some of them."""
    place = Estate(
        tmp_path,
        services={"copy": {"kind": box, "sandbox": {"isolation": "none"}}},
        backups={"saved": {"kind": kind, "at": str(tmp_path / "backups"), "pattern": "saved*"}},
    )
    (tmp_path / "backups").mkdir()
    for number, (name, head) in enumerate(((OLD, b"\x1f\x8b"), (NEW, b"\xfd7zXZ"))):
        path = tmp_path / "backups" / name
        path.write_bytes(head + bytes(100))
        os.utime(path, (1_700_000_000 + number * 86400,) * 2)
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin", *missing))
    for name in {*BASE, "bash", "gzip", "timeout", "uniq", "xz"} - {*missing}:
        put(tmp_path / "bin", name, "")
    for name in others:
        put(tmp_path / "bin", name, "exit 0")
    return place


def steps(place, **selected):
    """Check of the backups, and check of a restore, each with a selected backup."""
    yield place.action("backup.restore", service="copy", **{"from": "saved"}, **selected)
    if "backup" not in selected:
        yield place.action("backup.check", service="saved", **selected)


@pytest.mark.parametrize(("kind", "box", "others"), KINDS)
@pytest.mark.parametrize(
    "selected", [{"at": OLD}, {"at": "2023-11-15T00:00:00Z"}, {"backup": OLD}], ids=["id", "time", "backup"]
)
def test_a_program_that_only_the_newest_backup_needs_is_not_asked_for(tmp_path, monkeypatch, kind, box, others, selected):
    place = estate(tmp_path, monkeypatch, kind, box, others, "xz")
    for step in steps(place, **selected):
        step.ready(place.ctx())


@pytest.mark.parametrize(("kind", "box", "others"), KINDS)
@pytest.mark.parametrize(
    "selected", [{"at": OLD}, {"at": "2023-11-15T00:00:00Z"}, {"backup": OLD}], ids=["id", "time", "backup"]
)
def test_a_program_that_only_the_selected_backup_needs_is_asked_for(tmp_path, monkeypatch, kind, box, others, selected):
    place = estate(tmp_path, monkeypatch, kind, box, others, "gzip")
    for step in steps(place, **selected):
        refused_until(lambda step=step: step.ready(place.ctx()), "has no gzip", lambda: put(tmp_path / "bin", "gzip", ""))
        (tmp_path / "bin" / "gzip").unlink()


@pytest.mark.parametrize(("kind", "box", "others"), KINDS)
@pytest.mark.parametrize("there", ["gzip", "xz"])
def test_a_selection_that_an_earlier_step_makes_needs_one_backup_that_fits(tmp_path, monkeypatch, kind, box, others, there):
    """The host lacks the program for one backup; the step may select the other one, whichever is newer."""
    place = estate(tmp_path, monkeypatch, kind, box, others, "gzip", "xz")
    for step in unknown(place):
        refused_until(lambda step=step: step.ready(place.ctx()), "has no xz", lambda: put(tmp_path / "bin", there, ""))
        (tmp_path / "bin" / there).unlink()


def unknown(place):
    """Check of the backups, and check of a restore, with a backup that an earlier step selects."""
    fields = {"backup.restore": {"service": "copy", "from": "saved"}, "backup.check": {"service": "saved"}}
    for name, known in fields.items():
        yield find(name).with_unknown({**known, "at": "${ earlier.at }"}, {"at"})


@pytest.mark.parametrize("kind", ["tar", "mariadb_dump", "redis_rdb", "mariabackup"])
def test_a_backup_that_a_host_cannot_decompress_is_not_called_damaged(tmp_path, monkeypatch, kind):
    """An earlier step selected a backup that the host cannot read."""
    place = estate(tmp_path, monkeypatch, kind, "folder", ["mbstream", "redis-check-rdb"], "gzip")
    put(tmp_path / "bin", "tar", "")
    source = place.inventory.services["saved"].model_copy(update={"form": "stream"} if kind == "mariabackup" else {})
    place.inventory.services["saved"] = source
    with pytest.raises(NotReady, match=f"has no gzip, which the backup {OLD} needs") as told:
        place.action("backup.check", service="saved", at=OLD).run(place.ctx())
    assert told.value.hint


def test_an_archive_that_a_sandbox_cannot_decompress_is_not_called_damaged(tmp_path, monkeypatch):
    place = estate(tmp_path, monkeypatch, "tar", "folder", [], "gzip")
    put(tmp_path / "bin", "tar", "")
    with tarfile.open(tmp_path / "backups" / OLD, "w:gz") as archive:
        archive.add(__file__, "file")
    restore = place.action("backup.restore", service="copy", **{"from": "saved"}, at=OLD)

    def mend():
        place.remove("saved", "copy")
        put(tmp_path / "bin", "gzip", "")

    try:
        refused_until(lambda: restore.run(place.ctx()), f"has no gzip, which the backup {OLD} needs", mend)
    finally:
        place.remove("saved", "copy")


POSTGRES = {"kind": "postgres", "database": "shop", "user": "postgres", "admin": {"user": "postgres"}}
PROGRAM = "echo 'postgres (PostgreSQL) 17.2'"


def dumps(tmp_path, monkeypatch, **source):
    """Source of dumps, and a sandbox, on a host without zstd."""
    (tmp_path / "backups").mkdir()
    box = {**POSTGRES, "data_directory": "/set/by/drillbook", "run_as": "", "bin": "", "sandbox": {"isolation": "none"}}
    place = Estate(tmp_path, services={"copy": box}, backups={"saved": {"kind": "pg_dump", **source}})
    monkeypatch.setenv("PATH", path_without(tmp_path / "bin"))
    for name in (*BASE, "curl"):
        put(tmp_path / "bin", name, "")
    for name in ("initdb", "pg_ctl", "psql", "pg_restore"):
        put(tmp_path / "bin", name, PROGRAM)
    put(tmp_path / "bin", "age", "exit 0")
    return place


def test_a_selection_of_dumps_that_an_earlier_step_makes_needs_one_dump_that_fits(tmp_path, monkeypatch):
    place = dumps(tmp_path, monkeypatch, at=str(tmp_path / "backups"))
    for number, (name, head) in enumerate((("old.sql", b"\x04\x22\x4d\x18"), ("new.sql", b"\x28\xb5\x2f\xfd"))):
        (tmp_path / "backups" / name).write_bytes(head + bytes(100))
        os.utime(tmp_path / "backups" / name, (1_700_000_000 + number * 86400,) * 2)
    for step in unknown(place):
        for program in ("lz4", "zstd"):
            refused_until(
                lambda step=step: step.ready(place.ctx()),
                "has no zstd, which the dump new.sql needs",
                lambda program=program: put(tmp_path / "bin", program, "exit 0"),
            )
            (tmp_path / "bin" / program).unlink()


def refused_without_zstd(place, tmp_path):
    source, copy = (place.inventory.services[name] for name in ("saved", "copy"))
    for check in (lambda: source.ready(place.ctx()), lambda: source.ready_sandbox(place.ctx(), copy)):
        refused_until(check, "has no zstd, which the dump", lambda: put(tmp_path / "bin", "zstd", "exit 0"))
        (tmp_path / "bin" / "zstd").unlink()


def test_the_name_of_an_encrypted_dump_tells_how_it_is_compressed(tmp_path, monkeypatch):
    place = dumps(tmp_path, monkeypatch, at=str(tmp_path / "backups"), pattern="*.age")
    (tmp_path / "backups" / "shop.sql.zst.age").write_bytes(b"age-encryption.org/v1\n" + bytes(100))
    refused_without_zstd(place, tmp_path)


def test_the_name_of_a_dump_on_a_web_server_tells_how_it_is_compressed(tmp_path, monkeypatch):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "shop.sql.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with served(tmp_path / "web") as url:
        refused_without_zstd(dumps(tmp_path, monkeypatch, at=f"{url}/shop.sql.zst?signature=secret"), tmp_path)


def test_a_compressed_file_of_roles_needs_its_program_too(tmp_path, monkeypatch):
    place = dumps(tmp_path, monkeypatch, at=str(tmp_path / "backups"), globals="roles*")
    (tmp_path / "backups" / "shop.sql").write_text("-- PostgreSQL database dump\n")
    (tmp_path / "backups" / "roles").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    refused_without_zstd(place, tmp_path)


LOST = [
    ("tar", "folder", ["tar"], "wc", "has no wc"),
    ("mariadb_dump", *KINDS[1][1:], "tee", "has no tee"),
    ("redis_rdb", *KINDS[2][1:], "tail", "has no tail"),
    ("tar", "folder", ["tar"], "du", "has no du, which the sandbox copy needs"),
    ("tar", "folder", ["tar"], "bash", "has no bash, which the sandbox copy needs"),
]


@pytest.mark.parametrize(("kind", "box", "others", "program", "said"), LOST, ids=[f"{row[0]} {row[3]}" for row in LOST])
def test_a_program_in_the_scripts_of_a_restore_is_asked_for(tmp_path, monkeypatch, kind, box, others, program, said):
    place = estate(tmp_path, monkeypatch, kind, box, others)
    place.inventory.services["cache"] = Redis(name="cache", host="here", port=1)
    restore = place.action("backup.restore", service="copy", **{"from": "saved"})
    restore.ready(place.ctx())
    (tmp_path / "bin" / program).unlink()
    refused_until(lambda: restore.ready(place.ctx()), said, lambda: put(tmp_path / "bin", program, ""))


@pytest.mark.parametrize("program", ["awk", "od", "sed"])
def test_a_program_that_reads_a_dump_is_asked_for(tmp_path, monkeypatch, program):
    place = dumps(tmp_path, monkeypatch, at=str(tmp_path / "backups"))
    (tmp_path / "backups" / "shop.sql").write_text("-- PostgreSQL database dump\n")
    (tmp_path / "bin" / program).unlink()
    steps = (
        place.action("backup.check", service="saved"),
        place.action("backup.restore", service="copy", **{"from": "saved"}),
    )
    for step in steps:
        refused_until(
            lambda step=step: step.ready(place.ctx()), f"has no {program}", lambda: put(tmp_path / "bin", program, "")
        )
        (tmp_path / "bin" / program).unlink()


def test_a_dump_in_tar_format_needs_tar(tmp_path, monkeypatch):
    place = dumps(tmp_path, monkeypatch, at=str(tmp_path / "backups"))
    (tmp_path / "backups" / "shop.tar").write_bytes(b"toc.dat\0" + bytes(504) + b"PGDMP\1\17\0\4\10\1" + bytes(100))
    source, copy = (place.inventory.services[name] for name in ("saved", "copy"))
    for check in (lambda: source.ready(place.ctx()), lambda: source.ready_sandbox(place.ctx(), copy)):
        refused_until(check, "has no tar, which the dump shop.tar needs", lambda: put(tmp_path / "bin", "tar", ""))
        (tmp_path / "bin" / "tar").unlink()


def test_a_host_that_can_download_nothing(tmp_path, monkeypatch):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "shop.sql").write_bytes(b"-- PostgreSQL database dump\n")
    with served(tmp_path / "web") as url:
        place = dumps(tmp_path, monkeypatch, at=f"{url}/shop.sql")
        source, copy = (place.inventory.services[name] for name in ("saved", "copy"))
        for name in ("curl", "python3"):
            (tmp_path / "bin" / name).unlink()
        said = "needs curl or python3 to download the backup files, but has neither"
        refused_until(lambda: source.ready_sandbox(place.ctx(), copy), said, lambda: put(tmp_path / "bin", "curl", ""))


def test_a_host_that_cannot_list_a_folder(tmp_path, monkeypatch):
    place = dumps(tmp_path, monkeypatch, at=str(tmp_path / "backups"))
    (tmp_path / "bin" / "stat").unlink()
    listing = place.action("backup.list", service="saved")
    said = "has no stat, needed to list or transfer the backup files"
    refused_until(lambda: listing.ready(place.ctx()), said, lambda: put(tmp_path / "bin", "stat", ""))

"""Beginnings of dumps: they tell when a dump began, and which files are dumps at all."""

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drillbook.sdk import backup_files
from drillbook.sdk.store import Store
from drillbook.systems.backup.list_problems import schedule_problems
from drillbook.systems.postgres import dump_start
from drillbook.systems.postgres.source import PgDumpSource
from tests import waiting
from tests.systems.postgres import artefacts, dumps
from tests.systems.postgres.site import BUCKET


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    with artefacts.opened(tmp_path_factory.mktemp("shelf")) as made:
        yield made


def test_the_beginning_of_each_dump_is_read_once_also_of_a_compressed_table_of_contents(shelf, tmp_path, monkeypatch):
    path = dumps.copied(shelf.take("directory.gzip"), tmp_path)
    (path / "toc.dat.gz").write_bytes(dumps.packed((path / "toc.dat").read_bytes(), "gzip"))
    (path / "toc.dat").unlink()
    (tmp_path / "globals.sql").write_bytes(shelf.take("globals").read_bytes())
    doubts, names = [], []
    real = backup_files.beginning_of
    monkeypatch.setattr(backup_files, "beginning_of", lambda *given, **more: names.append(given[2]) or real(*given, **more))
    programs = shelf.source.cluster.service.bin
    source = PgDumpSource(name="nightly", host="db-1", at=str(tmp_path), database="shop", bin=programs, globals="globals*")
    source.ready(replace(shelf.place.context(), doubt=doubts.append))
    assert (doubts, names) == ([], [f"{path.name}/toc.dat.gz", "globals.sql"])


TELLING = ["custom.gzip", "custom.none.gzip", "custom.none", "directory.gzip", "tar", "tar.gzip"]


def listed(shelf, folder, **fields):
    source = PgDumpSource(name="nightly", host="db-1", at=str(folder), **fields)
    (backup,) = source.backups(shelf.place.context())
    return backup


def aged(path, seconds):
    """Set the modification time of the file or the folder's files ``seconds`` later, as of a dump that took this long."""
    for file in path.iterdir() if path.is_dir() else (path,):
        os.utime(file, (time.time() + seconds,) * 2)


@pytest.mark.parametrize("name", TELLING)
def test_the_error_of_a_dump_holds_the_time_that_it_took(shelf, tmp_path, name):
    path = dumps.copied(shelf.take(name), tmp_path)
    started = datetime.fromisoformat(listed(shelf, tmp_path).facts["started_at"])
    assert 0 <= time.time() - started.timestamp() < 3600
    aged(path, 7200)
    backup = listed(shelf, tmp_path)
    took = (backup.taken_at - started).total_seconds()
    assert took > 7200 - 60
    assert backup.error_s == pytest.approx(took + 1)
    assert f"the dump began {took:.0f} s earlier" in backup.basis
    assert "not included in the error of this time" not in backup.basis


@pytest.mark.parametrize("name", TELLING)
def test_a_dump_that_was_copied_with_a_new_time_is_as_old_as_its_own_record(shelf, tmp_path, name):
    """The newest file is a copy of an old dump: its modification time is new, and its data is not."""
    path = dumps.copied(shelf.take(name), tmp_path)
    started = datetime.fromisoformat(listed(shelf, tmp_path).facts["started_at"])
    waiting.until(lambda: (datetime.now(UTC) - started).total_seconds() > 4, "a dump that began more than 4 s ago")
    aged(path, 0)
    source = PgDumpSource(name="nightly", host="db-1", at=str(tmp_path), max_age="4s")
    (backup,) = source.backups(shelf.place.context())
    (problem,) = schedule_problems(source, [backup])
    assert (problem.code, backup.began) == ("backup-too-old", started)
    assert f"begun at {started:%Y-%m-%dT%H:%M:%S}.000Z, by its own record" in problem.measured
    assert [one.code for one in schedule_problems(source.model_copy(update={"max_age": None, "every": 2.0}), [backup])] == [
        "backup-too-old"
    ]
    assert schedule_problems(source.model_copy(update={"max_age": 3600.0}), [backup]) == []


@pytest.mark.parametrize("how", ["", "gzip", "xz"])
def test_a_plain_dump_tells_its_begin_when_it_was_verbose(shelf, tmp_path, how):
    data = shelf.source.dump("--verbose")
    (tmp_path / "shop.sql").write_bytes(dumps.packed(data, how) if how else data)
    aged(tmp_path / "shop.sql", 600)
    assert listed(shelf, tmp_path).error_s == pytest.approx(600, abs=60)


@pytest.mark.parametrize("name", ["plain", "plain.zstd", "cluster"])
def test_of_other_dumps_the_duration_is_told_to_be_unknown(shelf, tmp_path, name):
    dumps.copied(shelf.take(name), tmp_path)
    backup = listed(shelf, tmp_path)
    assert (backup.error_s, backup.facts["started_at"]) == (1.0, None)
    assert (
        "the end of the dump; the duration of the backup job is unknown, and is not included in the error of this time"
        in backup.basis
    )


def test_a_begin_after_the_end_is_not_believed(shelf, tmp_path):
    aged(dumps.copied(shelf.take("custom.gzip"), tmp_path), -86400)
    backup = listed(shelf, tmp_path)
    assert "not included in the error of this time; the dump's own record says that it began later, at 20" in backup.basis
    assert backup.began is None


def test_a_time_in_the_name_is_compared_with_the_begin(shelf, tmp_path):
    named = f"shop-{datetime.now(UTC) - timedelta(days=1):%Y%m%d-%H%M%S}"
    dumps.copied(shelf.take("custom.gzip"), tmp_path).rename(tmp_path / named)
    assert listed(shelf, tmp_path, newest="name").error_s == pytest.approx(86400, abs=3600)


def test_a_newer_file_of_roles_is_no_dump_although_the_pattern_matches_it(shelf, tmp_path):
    dump = dumps.copied(shelf.take("custom.gzip"), tmp_path)
    os.utime(dump, (time.time() - 60,) * 2)
    (tmp_path / "globals-1.sql").write_bytes(shelf.take("globals").read_bytes())
    dumps.copied(shelf.take("cluster"), tmp_path)
    source = PgDumpSource(name="nightly", host="db-1", at=str(tmp_path))
    names = {backup.id for backup in source.backups(shelf.place.context())}
    assert dump.name in names
    assert "globals-1.sql" not in names
    assert len(names) == 2, "a dump of pg_dumpall is a dump"


ROLES = b"--\n-- PostgreSQL database cluster dump\n--\n\n" + b"CREATE ROLE clerk;\n" * 3200
END = b"--\n-- PostgreSQL database cluster dump complete\n--\n\n"


def laid(folder, name, data, ago):
    (folder / name).write_bytes(data)
    os.utime(folder / name, (time.time() - ago,) * 2)


def names_in(shelf, folder, **fields):
    source = PgDumpSource(name="nightly", host="db-1", at=str(folder), **fields)
    return [backup.id for backup in source.backups(shelf.place.context())]


def test_many_small_files_are_listed(shelf, tmp_path):
    for number in range(400):
        laid(tmp_path, f"shop-{number}.dump", b"PGDMP" + bytes(60 << 10), number)
    assert len(names_in(shelf, tmp_path)) == 400


def test_many_small_dumps_of_pg_dumpall_are_listed(shelf, tmp_path):
    whole = ROLES + b"--\n-- Databases\n--\n\n" + END
    for number in range(400):
        laid(tmp_path, f"all-{number}.sql", whole, number)
    laid(tmp_path, "roles.sql", ROLES + END, -60)
    assert len(names_in(shelf, tmp_path)) == 400


def test_nothing_but_many_files_of_roles_is_listed(shelf, tmp_path):
    for number in range(400):
        laid(tmp_path, f"roles-{number}.sql", ROLES + END, number)
    assert len(names_in(shelf, tmp_path)) == 400
    (tmp_path / "shop.dump").write_bytes(b"PGDMP" + bytes(100))
    os.utime(tmp_path / "shop.dump", (time.time() - 900,) * 2)
    assert names_in(shelf, tmp_path) == ["shop.dump"]


def test_the_time_in_the_name_tells_which_files_of_roles_are_newer_than_the_dump(shelf, tmp_path):
    laid(tmp_path, "all-20260102.sql", ROLES + END, 900)
    laid(tmp_path, "shop-20260101.dump", b"PGDMP" + bytes(100), 0)
    assert names_in(shelf, tmp_path, newest="name") == ["shop-20260101.dump"]


def test_of_objects_only_the_beginnings_and_the_newest_files_like_roles_are_read(shelf, monkeypatch):
    asked = []
    real = Store.beginning
    monkeypatch.setattr(Store, "beginning", lambda store, key, limit: asked.append((key, limit)) or real(store, key, limit))
    s3 = shelf.place.s3()
    dump = b"PGDMP" + bytes(60 << 10)
    made = {f"many/shop-202601{day:02}.dump": dump for day in range(2, 22)}
    made |= {f"many/roles-202601{day:02}.sql": ROLES + END for day in (1, 30)}
    for key, data in made.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    source = PgDumpSource(name="nightly", host="db-1", at=f"s3://{BUCKET}/many/", newest="name")
    names = {backup.id for backup in source.backups(shelf.place.context())}
    assert names == {key.removeprefix("many/") for key in made} - {"roles-20260130.sql"}
    heads = [(key, dump_start.BEGINNING) for key in made]
    assert sorted(asked) == sorted([*heads, ("many/roles-20260130.sql", dump_start.GLOBALS_LIMIT)])

"""Checks of dumps in their folder: the list, and the findings for intact, damaged and misleading ones."""

import os
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.backup_source import newest
from drillbook.systems.postgres import dump_reading
from drillbook.systems.postgres.source import PgDumpSource
from tests.artefacts import exact
from tests.systems.postgres import artefacts, dumps, majors
from tests.systems.postgres.artefacts import CORPUS, CORPUS_17
from tests.systems.postgres.dumps import Shelf, cut, largest


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    with artefacts.opened(tmp_path_factory.mktemp("shelf")) as made:
        yield made


@pytest.fixture(scope="module")
def shelf_17(tmp_path_factory):
    with artefacts.opened_17(tmp_path_factory.mktemp("shelf-17")) as made:
        yield made


def checked(shelf: Shelf, folder: Path, **fields):
    """Result of the check of the newest dump in a folder."""
    service = shelf.source.cluster.service
    given = {"database": "shop", "bin": service.bin, **fields}
    source = PgDumpSource(name="nightly", host="db-1", at=str(folder), **given)
    ctx = shelf.place.context()
    source.ready(ctx)
    return source.check(ctx, newest(source, source.backups(ctx)))


def begins(shelf: Shelf, folder: Path) -> bool | None:
    """True if the newest file in a folder begins like a dump; None if it has no beginning."""
    source = PgDumpSource(name="nightly", host="db-1", at=str(folder))
    ctx = shelf.place.context()
    return source.is_of_kind(ctx, max(source.backups(ctx), key=lambda backup: (folder / backup.id).stat().st_mtime_ns))


def codes(shelf: Shelf, folder: Path, **fields) -> list[str]:
    return [found.code for found in checked(shelf, folder, **fields).findings]


def test_the_check_finds_the_begin_of_a_dump_whose_beginning_the_list_cannot_read(shelf, tmp_path):
    """The list decompresses only what Python's standard library can decompress."""
    path = tmp_path / "shop.dump.zst"
    path.write_bytes(dumps.packed(shelf.take("custom.none").read_bytes(), "zstd"))
    os.utime(path, (time.time() + 7200,) * 2)
    (problem,) = checked(shelf, tmp_path, max_age="1h").findings
    assert problem.code == "backup-too-old"
    assert "by its own record (its time in the list is " in problem.measured
    assert checked(shelf, tmp_path, max_age="26h").findings == ()
    assert codes(shelf, tmp_path, every="30m") == ["backup-too-old"]


@pytest.mark.parametrize("artefact", CORPUS.whole())
def test_a_whole_dump_gives_no_finding(shelf, tmp_path, artefact):
    name = artefact.name.removeprefix("whole: ")
    facts = artefact.lay(shelf, tmp_path).run("backup.check", service="nightly")
    rows, unseen = facts["rows_by_table"], str(facts["not_covered"])
    if name != "inserts":
        assert (rows["public.wide"], rows["public.words"], rows['public."none"']) == (20000, 20000, 1)
    assert facts["rows"] > 40000
    assert ("checksum" in unseen) == (
        name in ("custom.none", "directory.none", "tar", "plain", "named", "inserts", "cluster")
    )
    assert ("does not name a database" in unseen) == (name.startswith(("plain", "inserts")))


@pytest.mark.parametrize("artefact", CORPUS_17.whole())
def test_a_whole_dump_of_17_gives_no_finding(shelf_17, tmp_path, artefact):
    facts = artefact.lay(shelf_17, tmp_path).run("backup.check", service="nightly")
    compression = artefact.name.partition(".")[2]
    assert facts["compression"] == compression
    assert ("contains no checksum" in str(facts["not_covered"])) == (compression != "gzip")


@pytest.mark.parametrize("artefact", CORPUS.parameters())
def test_a_broken_dump_gives_its_finding_and_no_other(shelf, tmp_path, artefact):
    exact(artefact.lay(shelf, tmp_path), artefact)


@pytest.mark.parametrize("artefact", CORPUS_17.parameters())
def test_a_broken_dump_of_17_gives_its_finding_and_no_other(shelf_17, tmp_path, artefact):
    exact(artefact.lay(shelf_17, tmp_path), artefact)


def test_pg_restore_takes_a_cut_directory_for_whole(shelf, tmp_path):
    """Reason why rows are read: the tool itself exits with status 0."""
    path = dumps.copied(shelf.take("directory.none"), tmp_path)
    largest(cut(0.5))(path)
    done = subprocess.run(
        [shelf.source.program("pg_restore"), "--file=/dev/null", str(path)], check=False, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["custom.gzip", "tar", "plain", "plain.gzip", "plain.zstd"])
def test_a_truncated_dump_begins_like_a_dump(shelf, tmp_path, name):
    path = dumps.copied(shelf.take(name), tmp_path)
    cut(0.5)(path)
    assert begins(shelf, tmp_path) is True


def test_a_file_of_roles_and_a_note_do_not_begin_like_a_dump(shelf, tmp_path):
    dumps.copied(shelf.take("globals"), tmp_path)
    assert begins(shelf, tmp_path) is False
    (tmp_path / "backup.log").write_text("backup finished\n")
    assert begins(shelf, tmp_path) is False
    (tmp_path / "nothing").touch()
    assert begins(shelf, tmp_path) is None, "an empty file has no beginning"


def test_a_dump_of_another_database(shelf, tmp_path):
    dumps.copied(shelf.take("custom.gzip"), tmp_path)
    assert codes(shelf, tmp_path, database="billing") == ["backup-of-another"]
    assert codes(shelf, tmp_path, database="") == []


def test_roles_that_the_file_beside_the_dump_lacks(shelf, tmp_path):
    dumps.copied(shelf.take("custom.gzip"), tmp_path)
    roles = shelf.take("globals").read_text()
    (tmp_path / "globals.sql").write_text(roles)
    assert codes(shelf, tmp_path, globals="globals*") == []
    (tmp_path / "globals.sql").write_text(roles.replace("CREATE ROLE auditor;", ""))
    result = checked(shelf, tmp_path, globals="globals*")
    assert [(found.code, found.measured) for found in result.findings] == [
        ("backup-incomplete", "roles that the file of roles does not create: auditor")
    ]
    (tmp_path / "globals.sql").unlink()
    (found,) = checked(shelf, tmp_path, globals="globals*").findings
    assert (found.code, found.measured) == (
        "backup-incomplete",
        f"no file in {tmp_path} matches 'globals*' of `backups.nightly.globals`",
    )
    assert "pg_dumpall --globals-only" in found.remedy
    (told,) = foreseen(shelf, tmp_path, database="shop", globals="globals*")
    assert told.startswith(
        f"the roles of the backup {next(tmp_path.iterdir()).name}: no file in {tmp_path} matches 'globals*'"
    )


@pytest.mark.parametrize("form", ["custom.gzip", "directory.gzip", "tar"])
def test_a_tool_that_is_too_old_is_refused_before_and_is_no_damage_of_the_dump(shelf, tmp_path, form):
    old = majors.programs(15, tmp_path.with_name(f"{tmp_path.name}-bin"))
    dumps.copied(shelf.take(form), tmp_path)
    source = PgDumpSource(name="nightly", host="db-1", at=str(tmp_path), database="shop", bin=old)
    ctx = shelf.place.context()
    with pytest.raises(NotReady, match=r"pg_restore is too old for the dump .* unsupported version"):
        source.ready(ctx)
    with pytest.raises(CouldNotVerify, match="unsupported version"):
        source.check(ctx, newest(source, source.backups(ctx)))
    source.model_copy(update={"bin": shelf.source.cluster.service.bin}).ready(ctx)


def test_text_that_is_no_dump_is_a_doubt_of_a_check(shelf, tmp_path):
    doubts = []
    (tmp_path / "shop.sql").write_text("unknown")
    source = PgDumpSource(name="nightly", host="db-1", at=str(tmp_path), database="shop")
    source.ready(replace(shelf.place.context(), doubt=doubts.append))
    assert doubts == [
        (
            "the version of the backup shop.sql of nightly, which does not begin like a dump of pg_dump or pg_dumpall; if it is "
            "not a backup, narrow `backups.nightly.pattern`"
        )
    ]


def test_a_function_with_the_text_of_a_dump_misleads_nobody(shelf, tmp_path):
    body = "\nCOPY public.wide (id) FROM stdin;\n-- PostgreSQL database dump\nGRANT ALL ON x TO nobody_there;\n"
    shelf.source.cluster.sql(f"CREATE FUNCTION misleading() RETURNS text LANGUAGE sql AS $f$ SELECT '{body}' $f$")
    (tmp_path / "shop.sql").write_bytes(shelf.source.dump())
    shelf.source.cluster.sql("DROP FUNCTION misleading()")
    result = checked(shelf, tmp_path)
    assert (result.findings, result.facts["rows_by_table"]["public.wide"]) == ((), 20000)


@pytest.mark.parametrize("form", ["custom", "directory", "tar", "plain"])
def test_tables_whose_rows_the_dump_leaves_out_are_named(shelf, tmp_path, form):
    """Views, sequences, foreign and partitioned tables never have rows in a dump, and are not named."""
    shelf.source.cluster.sql(
        "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER there FOREIGN DATA WRAPPER far",
        "CREATE FOREIGN TABLE foreign_orders (id int) SERVER there; CREATE VIEW shown AS SELECT id FROM orders",
    )
    dumps.copied(shelf.take(f"excluded.{form}"), tmp_path)
    shelf.source.cluster.sql("DROP VIEW shown; DROP FOREIGN DATA WRAPPER far CASCADE")
    lacking = ['Odd Schema.Table "x".%s', "public.orders", "public.parts_1"]
    result = checked(shelf, tmp_path)
    (found,) = result.findings
    assert (found.code, found.measured) == (
        "backup-incomplete",
        f"only the definitions of 3 tables: {', '.join(lacking)}",
    )
    assert "`backups.nightly.without_data`" in found.remedy
    assert result.facts["without_data"] == lacking
    assert "the rows of unlogged tables: public.unlogged" in str(result.not_covered)
    some = checked(shelf, tmp_path, without_data={"public.*": "rebuilt from the archive"})
    assert [found.measured for found in some.findings] == [f"only the definitions of 1 table: {lacking[0]}"]
    every = checked(shelf, tmp_path, without_data={"public.*": "rebuilt from the archive", lacking[0]: "a log"})
    assert (every.findings, every.facts["without_data"]) == ((), lacking)
    unseen = str(every.not_covered)
    assert "the rows of public.orders, which are not in the dump (rebuilt from the archive)" in unseen
    assert f"the rows of {lacking[0]}, which are not in the dump (a log)" in unseen


def test_a_table_that_the_dump_lacks_as_a_whole_cannot_be_noticed(shelf, tmp_path):
    (tmp_path / "shop.dump").write_bytes(shelf.source.dump("--format=custom", "--exclude-table=orders"))
    result = checked(shelf, tmp_path)
    assert result.findings == ()
    assert "tables that are missing in the dump together with their definitions" in str(result.not_covered)


def test_the_list_knows_folders_and_leaves_roles_out(shelf, tmp_path):
    dumps.copied(shelf.take("directory.gzip"), tmp_path)
    dumps.copied(shelf.take("custom.gzip"), tmp_path)
    (tmp_path / "globals.sql").write_text("")
    os.utime(tmp_path / "custom.gzip", (time.time() - 7200,) * 2)
    source = PgDumpSource(name="nightly", host="db-1", at=str(tmp_path), globals="globals.sql")
    found = {backup.id: backup for backup in source.backups(shelf.place.context())}
    assert set(found) == {"directory.gzip", "custom.gzip"}
    assert found["directory.gzip"].bytes == sum(file.stat().st_size for file in (tmp_path / "directory.gzip").iterdir())
    assert "the end of the dump" in found["custom.gzip"].basis
    only = source.model_copy(update={"pattern": "directory.*"})
    assert [backup.id for backup in only.backups(shelf.place.context())] == ["directory.gzip"]


def test_the_folder_itself_may_be_the_dump(shelf, tmp_path):
    assert codes(shelf, dumps.copied(shelf.take("directory.gzip"), tmp_path)) == []


def test_a_stale_dump_is_too_old(shelf, tmp_path):
    os.utime(dumps.copied(shelf.take("custom.gzip"), tmp_path), (time.time() - 3 * 86400,) * 2)
    bin_ = shelf.source.cluster.service.bin
    shelf.place.extra["stale"] = PgDumpSource(name="stale", host="db-1", at=str(tmp_path), max_age="26h", bin=bin_)
    with pytest.raises(StepFailed) as caught:
        shelf.place.run("backup.check", service="stale")
    assert [found.code for found in caught.value.findings] == ["backup-too-old"]


def test_the_form_comes_from_the_content_and_not_from_the_name(shelf, tmp_path):
    path = tmp_path / "nightly.bak"
    path.write_bytes(shelf.take("plain.zstd").read_bytes())
    ctx = shelf.place.context()
    form = dump_reading.form_of(shelf.place.host, str(path), ctx.deadline)
    assert (form.packed, form.format, form.checksum) == ("zstd", "plain", True)
    assert codes(shelf, tmp_path) == []


def foreseen(shelf, folder, **fields):
    """Doubts of a check before a drill that verifies the newest dump in the folder."""
    doubts = []
    bin_ = shelf.source.cluster.service.bin
    shelf.place.extra["nightly"] = PgDumpSource(name="nightly", host="db-1", at=str(folder), bin=bin_, **fields)
    ctx = replace(shelf.place.context(), doubt=doubts.append)
    shelf.place.action("backup.check", service="nightly").ready(ctx)
    shelf.place.action("backup.check", service="nightly").ready(replace(ctx, changed=True))
    return doubts


def test_a_check_foresees_a_dump_that_is_too_old(shelf, tmp_path):
    path = dumps.copied(shelf.take("custom.gzip"), tmp_path)
    assert foreseen(shelf, tmp_path, max_age="26h", database="shop") == []
    os.utime(path, (time.time() - 3 * 86400,) * 2)
    (told,) = foreseen(shelf, tmp_path, max_age="26h", database="shop")
    assert told.startswith("the backup of nightly would fail the drill: ")
    assert re.search("; wanted: .*; found: ", told)


@pytest.mark.parametrize("form", ["custom.gzip", "directory.gzip", "tar"])
def test_a_check_foresees_a_dump_of_another_database(shelf, tmp_path, form):
    dumps.copied(shelf.take(form), tmp_path)
    assert foreseen(shelf, tmp_path, database="shop") == []
    (told,) = foreseen(shelf, tmp_path, database="billing")
    assert re.search("would fail the drill: .*wanted: the database billing; found: shop", told)


def test_a_check_before_a_drill_names_the_file_of_roles_that_it_leaves_out(shelf, tmp_path):
    dump = dumps.copied(shelf.take("custom.gzip"), tmp_path)
    os.utime(dump, (time.time() - 60,) * 2)
    for number in (1, 2):
        (tmp_path / f"globals-{number}.sql").write_bytes(shelf.take("globals").read_bytes())
        os.utime(tmp_path / f"globals-{number}.sql", (time.time() - 60 + number,) * 2)
    assert remarks(shelf, tmp_path) == [
        (
            "nightly leaves out globals-2.sql, globals-1.sql: only roles (pg_dumpall --globals-only), no database; set "
            "`backups.nightly.globals` to restore the roles, too"
        )
    ]
    (tmp_path / "globals-1.sql").unlink()
    assert "nightly leaves out globals-2.sql: only roles" in remarks(shelf, tmp_path)[0]
    assert remarks(shelf, tmp_path, globals="globals-*.sql") == [], "the inventory names them"
    (tmp_path / "globals-2.sql").unlink()
    assert remarks(shelf, tmp_path) == []


def remarks(shelf, folder, **fields):
    """Remarks of a check before a drill that restores the newest dump in the folder, each once."""
    found = {}
    bin_ = shelf.source.cluster.service.bin
    shelf.place.extra["nightly"] = PgDumpSource(name="nightly", host="db-1", at=str(folder), bin=bin_, **fields)
    ctx = replace(shelf.place.context(), doubt=lambda text: None, aside=found.setdefault)
    shelf.place.action("backup.check", service="nightly").ready(ctx)
    return list(found)

"""Dumps of a real server: intact ones restore and match, and each kind of damage has exactly one finding."""

import os
import re
import subprocess
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from drillbook.errors import StepFailed
from drillbook.sdk.backup_beginning import LIMIT
from tests import keys
from tests.artefacts import exact
from tests.needs import need
from tests.systems.estate import codes
from tests.systems.mariadb import artefacts, site
from tests.systems.mariadb.artefacts import DUMP_CORPUS, OPTIONS, PACKERS, cut, packed, saved
from tests.systems.refusals import refused_until


@pytest.fixture(scope="module")
def whole(server):
    return server.dump(*OPTIONS, "shop")


@pytest.fixture(scope="module")
def taken(server, tmp_path_factory):
    server.sql("CREATE DATABASE IF NOT EXISTS void")
    return artefacts.Taken(server, tmp_path_factory.mktemp("taken"))


@pytest.mark.parametrize("artefact", [*DUMP_CORPUS.parameters(), *DUMP_CORPUS.whole()])
def test_each_dump_has_exactly_its_findings(tmp_path, taken, artefact):
    exact(artefact.lay(taken, tmp_path), artefact)


def wrong(run, *arguments, **fields):
    with pytest.raises(StepFailed) as failure:
        run(*arguments, **fields)
    return codes(failure)


@pytest.mark.parametrize("end", ["sql", *(f"sql.{end}" for end in PACKERS)])
def test_a_whole_dump_has_no_finding(tmp_path, server, whole, end):
    facts = saved(tmp_path, server, packed(whole, end.rpartition(".")[2]), end).run("backup.check", service="nightly")
    assert (facts["databases"], facts["tables"], facts["sections"]) == (["shop"], 9, ["events", "routines"])
    assert facts["tables_without_rows"] == []
    assert ("changed characters" in " ".join(facts["not_covered"])) is (end == "sql")


def test_tables_whose_rows_the_dump_leaves_out_are_named(tmp_path, server, whole):
    """A dump of all databases has tables of the server itself, whose rows no dump has."""
    name = re.search(rb"-- Dumping data for table `(\w+)`", whole)[1].decode()
    place = saved(tmp_path, server, server.dump(*OPTIONS, f"--ignore-table-data=shop.{name}", "--databases", "shop"), "sql")
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="nightly")
    (problem,) = failure.value.findings
    assert (problem.code, problem.measured) == ("backup-incomplete", f"only the definitions of 1 table: shop.{name}")
    assert "--ignore-table-data" in problem.remedy
    (tmp_path / "all").mkdir()
    every = server.dump(*OPTIONS, f"--ignore-table-data=shop.{name}", "--all-databases")
    known = saved(tmp_path / "all", server, every, without_data={"shop.*": "a log"})
    facts = known.run("backup.check", service="nightly")
    assert facts["without_data"] == [f"shop.{name}"]
    assert f"the rows of shop.{name}, which are not in the dump (a log)" in facts["not_covered"]


@pytest.mark.parametrize("end", ["sql", "sql.gz"])
def test_a_dump_that_was_copied_with_a_new_time_is_as_old_as_its_last_line(tmp_path, server, whole, end):
    """The file is new, and its last line tells that the dump was completed a year ago."""
    last = whole.rindex(b"-- Dump completed on ")
    year = whole[last + 21 : last + 25]
    old = whole[:last] + whole[last:].replace(year, b"%d" % (int(year) - 1), 1)
    place = saved(tmp_path, server, packed(old, "gz") if end.endswith("gz") else old, end, max_age="26h")
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="nightly")
    assert codes(failure) == ["backup-too-old"]
    (problem,) = failure.value.findings
    assert re.match(r"completed at \d{4}-.*Z, by its last line \(time zone of ", problem.measured)
    undated = whole[:last] + b"-- Dump completed\n"
    (tmp_path / "dumps" / f"shop-2026-11-28.{end}").write_bytes(packed(undated, "gz") if end.endswith("gz") else undated)
    assert place.run("backup.check", service="nightly")["completed"] == "-- Dump completed"


def test_an_encrypted_dump_has_no_finding_and_restores(tmp_path, server, whole):
    need("age")
    key = keys.made(tmp_path)
    place = saved(tmp_path, server, packed(whole, "gz"), "sql.gz", identity=key.identity)
    key.sealed(tmp_path / "dumps" / "shop-2026-11-28.sql.gz")
    assert place.run("backup.check", service="nightly")["tables"] == 9
    assert place.restore("nightly", "copy")["tables"] == 9
    place.remove("nightly", "copy")


def test_a_failed_creation_of_the_data_directory_is_not_called_a_failed_start(tmp_path, server, whole):
    place = saved(tmp_path, server, whole, "sql")
    (tmp_path / "bin").mkdir()
    (program := tmp_path / "bin" / "mariadb-install-db").write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    program.chmod(0o755)
    for name in ("mariadbd", "mariadb"):
        (program.parent / name).symlink_to(site.tool(name))
    copy = place.inventory.services["copy"]
    place.inventory.services["copy"] = copy.model_copy(update={"bin": str(program.parent)})
    try:
        with pytest.raises(StepFailed, match="the data directory of the sandbox copy could not be created: no space left"):
            place.restore("nightly", "copy")
    finally:
        place.remove("nightly", "copy")


TABLE = (b"COLLATE=utf8mb4_unicode_ci", b"COLLATE=%s")
COLUMN = (b"`note` text DEFAULT", b"`note` text COLLATE %s DEFAULT")
LIST = (b"`kind` enum('a','b') DEFAULT", b"`kind` enum('a','b') COLLATE %s DEFAULT")


def collated(dump: bytes, place: tuple[bytes, bytes], collation: bytes) -> bytes:
    assert place[0] in dump[:LIMIT]
    return dump.replace(place[0], place[1] % collation)


SUFFIXES = ["sql", *(f"sql.{end}" for end in PACKERS), "sql.age", "sql.zst.age"]


@pytest.mark.parametrize(("end", "where"), [*((end, TABLE) for end in SUFFIXES), ("sql", COLUMN), ("sql", LIST)])
def test_a_collation_that_the_server_does_not_know_is_told_before(tmp_path, server, whole, end, where):
    """A server of MariaDB 10.5 reports the same for the collation `utf8mb4_uca1400_ai_ci` in a dump of 11.8."""
    future = collated(whole, where, b"utf8mb4_uca9900_ai_ci")
    plain, key = end.removesuffix(".age"), None
    if end != plain:
        need("age")
        key = keys.made(tmp_path)
    identity = {"identity": key.identity} if key else {}
    place = saved(tmp_path, server, packed(future, plain.removeprefix("sql.")), plain, **identity)
    restore = place.action("backup.restore", service="copy", **{"from": "nightly"})
    (file,) = (tmp_path / "dumps").iterdir()

    def sealed():
        if key:
            key.sealed(file)

    def mend():
        file.write_bytes(packed(whole, plain.removeprefix("sql.")))
        sealed()

    sealed()
    try:
        with pytest.raises(StepFailed, match="Unknown collation"):
            restore.run(place.ctx())
    finally:
        place.remove("nightly", "copy")
    said = "mariadbd does not know the collation utf8mb4_uca9900_ai_ci of the dump shop-2026-11-28"
    refused_until(lambda: restore.ready(place.ctx()), said, mend)


def later(dump: bytes, collation: bytes) -> bytes:
    """Insert rows before the last lines of a dump, more than are read from its beginning, and then a table with the collation."""
    rows = b"".join(b"INSERT INTO `nothing` VALUES (%d);\n" % n for n in range(9000))
    table = (
        b"CREATE TABLE `late` (\n  `a` int(11) DEFAULT NULL\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=%s;\n"
        % collation
    )
    at = dump.rindex(b"-- Dump completed")
    assert len(dump[:at] + rows) > LIMIT
    return dump[:at] + rows + table + dump[at:]


@pytest.mark.parametrize("end", ["sql", "sql.gz", "sql.zst", "sql.zst.age"])
def test_a_collation_after_the_beginning_is_told_before(tmp_path, server, whole, end):
    """The rest of a dump in a folder on the restoring host is read, too."""
    plain, key = end.removesuffix(".age"), None
    if end != plain:
        need("age")
        key = keys.made(tmp_path)
    identity = {"identity": key.identity} if key else {}
    future, known = (later(whole, name) for name in (b"utf8mb4_uca9900_ai_ci", b"utf8mb4_unicode_ci"))
    place = saved(tmp_path, server, packed(future, plain.removeprefix("sql.")), plain, **identity)
    restore = place.action("backup.restore", service="copy", **{"from": "nightly"})
    (file,) = (tmp_path / "dumps").iterdir()

    def sealed():
        if key:
            key.sealed(file)

    def mend():
        file.write_bytes(packed(known, plain.removeprefix("sql.")))
        sealed()

    sealed()
    said = "mariadbd does not know the collation utf8mb4_uca9900_ai_ci of the dump shop-2026-11-28"
    refused_until(lambda: restore.ready(place.ctx()), said, mend)


def test_collations_that_were_not_read_in_time_are_a_doubt_of_a_newer_dump(tmp_path, server, whole, monkeypatch):
    data = re.sub(rb"(?m)^-- Server version\s.*$", b"-- Server version\t99.1.2-MariaDB", later(whole, b"utf8mb4_unicode_ci"))
    place, doubts = saved(tmp_path, server, data), []
    restore = place.action("backup.restore", service="copy", **{"from": "nightly"})
    restore.ready(replace(place.ctx(), doubt=doubts.append))
    monkeypatch.setattr("drillbook.sdk.backup_files.lines_of", lambda *given: ("", False))
    restore.ready(replace(place.ctx(), doubt=doubts.append))
    said = "loads the dump shop-2026-11-28.sql of the newer server 99.1.2-MariaDB"
    read, unread = dict.fromkeys(doubts)
    assert read.endswith(said)
    assert unread.endswith(f"{said}; collations after the first 256 KiB were not read")


def test_a_character_set_without_a_collation_that_the_server_does_not_know_is_told_before(tmp_path, server, whole):
    future = re.sub(rb"(?m)^(\) ENGINE=\S+ DEFAULT CHARSET=)\S+( COLLATE=\w+)?", rb"\1utf8mb5", whole, count=1)
    assert future != whole
    place = saved(tmp_path, server, future)
    restore = place.action("backup.restore", service="copy", **{"from": "nightly"})
    said = "mariadbd does not know the character set utf8mb5 of the dump shop-2026-11-28"
    refused_until(
        lambda: restore.ready(place.ctx()), said, lambda: (tmp_path / "dumps" / "shop-2026-11-28.sql").write_bytes(whole)
    )


@pytest.mark.parametrize(
    ("pattern", "instead", "told"),
    [
        (
            rb"(?m)^-- Server version\s.*$",
            b"-- Server version\t8.0.36",
            "loads the dump shop-2026-11-28.sql of MySQL 8.0.36",
        ),
        (rb"(?m)^-- Server version\s+", b"-- Server version\t5.5.5-", ""),
        (rb"(?m)^-- MariaDB dump .*$", b"-- A dump", "does not begin like a dump of mariadb-dump or mysqldump"),
    ],
)
def test_a_dump_of_another_program_or_server_is_a_doubt_of_a_check(tmp_path, server, whole, pattern, instead, told):
    place, doubts = saved(tmp_path, server, re.sub(pattern, instead, whole)), []
    place.action("backup.restore", service="copy", **{"from": "nightly"}).ready(replace(place.ctx(), doubt=doubts.append))
    assert [told in text for text in dict.fromkeys(doubts)] == ([True] if told else [])


def test_the_verification_lists_the_collations_of_the_whole_dump(tmp_path, server, whole):
    """Also those of sessions that create views and programs, which are at its end; none in a comment or a body."""
    last = [*re.finditer(rb"SET collation_connection += (\w+) \*/", whole)][-1]
    text = whole[: last.start(1)] + b"utf8mb4_danish_ci" + whole[last.end(1) :]
    place = saved(tmp_path, server, text.replace(b"\n--\n-- Table structure", WORDS + b"\n--\n-- Table structure", 1))
    found = place.run("backup.check", service="nightly")["collations"]
    assert {"utf8mb4_danish_ci", "utf8mb4_unicode_ci"} <= set(found)
    assert "utf8mb4_no_ci" not in found


def test_a_dump_of_a_newer_server_is_a_doubt_of_a_check(tmp_path, server, whole):
    newer = re.sub(rb"(?m)^(-- Server version\s+)\d+", rb"\g<1>99", whole)
    place, doubts = saved(tmp_path, server, newer), []
    restore = place.action("backup.restore", service="copy", **{"from": "nightly"})
    restore.ready(replace(place.ctx(), doubt=doubts.append))
    (told,) = dict.fromkeys(doubts)
    assert re.fullmatch(
        r"that MariaDB [\d.]+ on here loads the dump shop-2026-11-28.sql of the newer server 99\..*-MariaDB.*", told
    )
    (tmp_path / "dumps" / "shop-2026-11-28.sql").write_bytes(whole)
    doubts.clear()
    restore.ready(replace(place.ctx(), doubt=doubts.append))
    assert doubts == []


def test_a_name_at_the_end_of_the_first_bytes_does_not_refuse_the_dump(tmp_path, server, whole):
    end = whole.index(b"COLLATE=utf8mb4_unicode_ci") + len(b"COLLATE=utf8mb4_uni")
    place = saved(tmp_path, server, b"-" * 2 + b" " * (LIMIT - end - 3) + b"\n" + whole)
    place.action("backup.restore", service="copy", **{"from": "nightly"}).ready(place.ctx())


WORDS = b"""
CREATE TABLE `noted` (
  `a` varchar(9) DEFAULT NULL COMMENT 'it''s COLLATE utf8mb4_no_ci'
) ENGINE=InnoDB COMMENT='not COLLATE=utf8mb4_no_ci';
DELIMITER ;;
CREATE PROCEDURE noted() BEGIN /*
  `a` COLLATE utf8mb4_no_ci
*/ SELECT 1; END ;;
DELIMITER ;
"""


def test_a_comment_that_names_a_collation_does_not_refuse_the_dump(tmp_path, server, whole):
    place = saved(tmp_path, server, whole.replace(b"\n--\n-- Table structure", WORDS + b"\n--\n-- Table structure", 1))
    try:
        place.action("backup.restore", service="copy", **{"from": "nightly"}).ready(place.ctx())
        place.restore("nightly", "copy")
        assert place.run("mariadb.healthy", service="copy")["tables"] == 12
    finally:
        place.remove("nightly", "copy")


def test_a_dump_restores_and_equals_the_server(tmp_path, server, whole):
    place = saved(tmp_path, server, packed(whole, "zst"), "sql.zst")
    facts = place.restore("nightly", "copy")
    try:
        assert facts["accounts_created"] == ["clerk@localhost"]
        assert place.run("mariadb.healthy", service="copy")["tables"] == 11
        assert place.run("mariadb.intact", service="copy")["tables"] >= 10
        matched = place.run("mariadb.matches", service="copy", **{"with": "database"})
        assert (matched["tables"], matched["definitions"]) == (10, 15)
        assert "hist" in matched["not_compared"]
        assert place.run("mariadb.sql", service="copy", query="SELECT @@event_scheduler, @@log_bin, @@skip_networking")[
            "rows"
        ] == [["OFF", 0, 1]]
    finally:
        place.remove("nightly", "copy")
    assert not place.folder("copy").exists()


STARTED = b"""
CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='clerk', MASTER_PASSWORD='pw', MASTER_CONNECT_RETRY=1;
START SLAVE;
SET GLOBAL event_scheduler = ON;
CREATE EVENT each_second ON SCHEDULE EVERY 1 SECOND DO INSERT INTO nothing VALUES (1);
"""


def test_replication_and_events_that_a_dump_starts_are_ended(tmp_path, server, whole):
    """As in dumps of mariadb-dump --dump-slave --apply-slave-statements."""
    end = b"-- Dump completed"
    place = saved(tmp_path, server, whole.replace(end, STARTED + end))
    facts = place.restore("nightly", "copy")
    try:
        assert facts["replication_stopped"] == ["default"]
        asked = "SHOW ALL SLAVES STATUS; SELECT @@event_scheduler; SELECT COUNT(*) FROM shop.nothing"
        socket = f"--socket={place.folder('copy')}/mariadb.sock"
        words = ["mariadb", "--no-defaults", socket, "--user=drillbook", "--batch", "--skip-column-names"]
        first, second = (
            subprocess.run(words, input=asked, capture_output=True, text=True, check=True).stdout.splitlines() for _ in "12"
        )
        assert first[0].split("\t")[12:14] == ["No", "No"]
        assert first[1] == "OFF"
        assert second[2] == first[2], "no event runs any more"
    finally:
        place.remove("nightly", "copy")


def test_a_dump_of_all_databases_brings_its_accounts(tmp_path, server):
    place = saved(tmp_path, server, packed(server.dump(*OPTIONS, "--all-databases"), "gz"), "sql.gz")
    facts = place.restore("nightly", "copy")
    try:
        assert facts["accounts_created"] == []
        place.run("mariadb.matches", service="copy", **{"with": "database"})
        users = place.run(
            "mariadb.sql", service="copy", query="SELECT User FROM mysql.user WHERE User IN ('clerk', 'drillbook')"
        )
        assert users["rows"] == [["clerk"], ["drillbook"]]
    finally:
        place.remove("nightly", "copy")


def test_a_restore_leaves_other_servers_their_temporary_files_and_the_host_its_plugins(tmp_path, server, whole):
    """A starting server removes all temporary tables in its temporary folder; this must not be that of the host's own
    server.
    """
    tables = [Path(tempfile.gettempdir(), f"#sql-temptable-{os.getpid()}-drillbook.{end}") for end in ("MAI", "frm")]
    plugins = Path("/usr/lib/mysql/plugin/auth_pam_tool_dir")
    owner = plugins.stat().st_ctime_ns if plugins.exists() else 0
    place = saved(tmp_path, server, whole)
    for table in tables:
        table.touch()
    try:
        place.restore("nightly", "copy")
        assert [table for table in tables if not table.exists()] == []
        assert (plugins.stat().st_ctime_ns if plugins.exists() else 0) == owner
    finally:
        place.remove("nightly", "copy")
        for table in tables:
            table.unlink(missing_ok=True)


REFUSED = {
    "cut off": (lambda data: cut(data, 0.6), ["backup-damaged"]),
    "a value that is none": (
        lambda data: data.replace(b"INSERT INTO `parted` VALUES\n(1)", b"INSERT INTO `parted` VALUES\n('x)"),
        ["restore-errors"],
    ),
    "another database": (None, ["backup-of-another"]),
    "a command of the client": (
        lambda data: data.replace(b"-- Table structure", b"\\! touch stolen\n-- Table structure", 1),
        ["restore-errors"],
    ),
}


@pytest.mark.parametrize("end", ["sql", "sql.gz"])
def test_a_truncated_dump_is_first_called_lost(tmp_path, server, whole, end):
    place = saved(tmp_path, server, cut(packed(whole, "gz") if end == "sql.gz" else whole, 0.6), end)
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="nightly")
    assert failure.value.findings[0].remedy.startswith("Treat this backup as lost.")


@pytest.mark.parametrize("case", REFUSED)
def test_a_dump_that_does_not_load_whole_is_no_restore(tmp_path, server, whole, case):
    harm, expected = REFUSED[case]
    place = saved(tmp_path, server, harm(whole) if harm else server.dump("other"))
    try:
        assert wrong(place.restore, "nightly", "copy") == expected
        assert not list(tmp_path.rglob("stolen"))
    finally:
        place.remove("nightly", "copy")
    assert not Path("stolen").exists()


def test_the_drill_of_the_page_runs(tmp_path, server, whole):
    """Example of docs/backup-methods.md, with this machine in place of its hosts."""
    page = (Path(__file__).parents[3] / "docs" / "backup-methods.md").read_text()
    example = page.partition("\n## MariaDB\n")[2].partition("\n**Requirements.**")[0]
    plain = re.sub(r"!env (\w+)", r"\1", textwrap.dedent(re.sub(r"(?m)^\S.*\n", "", example)))
    text, _, drill = plain.partition("drill: ")
    inventory, steps = yaml.safe_load(text), yaml.safe_load(f"drill: {drill}")
    place = saved(tmp_path, server, packed(whole, "zst"), "sql.zst", pattern=inventory["backups"]["nightly"]["pattern"])
    assert {source["kind"] for source in inventory["backups"].values()} == {"mariadb_dump", "mariabackup"}
    try:
        for step in (*steps["backup"], *steps["restore"], *steps["verify"]):
            (name,) = [key for key in step if "." in key]
            ctx = place.ctx()
            action = place.action(name, **step[name])
            action.ready(ctx)
            facts = action.run(ctx)
        assert steps["verify"][-1]["expect"] == "result.value > 0"
        assert facts["value"] == 1000
    finally:
        place.remove("nightly", "copy")

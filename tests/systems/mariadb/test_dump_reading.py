"""Reading of a dump to its end: its sections, its last line, and the programs that read it."""

import subprocess

import pytest

from drillbook.systems.mariadb.dump_reading import BEGIN, CHECK, LOAD, SECTIONS, Reading

DUMP = """-- MariaDB dump 10.19-11.8.3, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: shop
-- ------------------------------------------------------
-- Server version\t11.8.3-MariaDB-log
--
-- Table structure for table `orders`
--
CREATE TABLE `orders` (
  `id` int(11) NOT NULL,
  `note` text COLLATE utf8mb4_danish_ci DEFAULT 'COLLATE utf8mb4_no_ci'
) ENGINE=InnoDB DEFAULT CHARSET=latin1;
--
-- Dumping data for table `orders`
--
INSERT INTO `orders` VALUES
(1,'-- Table structure for table `stolen`'),
(2,'b');
INSERT INTO `orders` VALUES (3,'c');
--
-- Table structure for table `odd ``name`
--
-- Temporary table structure for view `big`
-- Dumping events for database 'shop'
-- Dump completed on 2026-11-28  1:02:03
"""


@pytest.fixture
def read(tmp_path):
    def reading(text, unpacker="cat", script=CHECK, client=()):
        (tmp_path / "dump").write_bytes(text.encode() if isinstance(text, str) else text)
        (tmp_path / "after").write_text("SELECT 'after';\n")
        words = [str(tmp_path / "dump"), str(tmp_path / "statuses"), SECTIONS, unpacker]
        words += [str(tmp_path / "after"), *client] if client else []
        done = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False)
        return Reading.of(done.stdout, done.stderr.strip())

    return reading


def problem(reading, wanted=""):
    return [(found.code, found.measured) for found in reading.problems("shop.sql", "db-1", wanted)]


def test_a_complete_dump_tells_its_server_its_objects_and_its_rows(read):
    found = read(DUMP)
    assert problem(found, "shop") == []
    assert (found.server, found.databases, found.sections) == ("11.8.3-MariaDB-log", {"shop"}, {"events"})
    assert found.tables == ["orders", "odd ``name"]
    assert found.named == {"shop.orders", "shop.odd `name", "shop.big"}
    assert found.rows == {"INSERT INTO `orders`": 2}
    assert found.without_rows() == ["odd ``name"]
    assert found.without_data() == ["shop.odd `name"]
    assert (found.collations, found.character_sets) == ({"utf8mb4_danish_ci"}, {"latin1"})


def test_the_beginning_of_a_dump_is_read_alone():
    lines = DUMP.splitlines(keepends=True)
    done = subprocess.run(
        ["sh", "-c", BEGIN, "sh", SECTIONS], input="".join(lines[:5]), capture_output=True, text=True, check=True
    )
    found = Reading.of(done.stdout, "")
    assert (found.header[:12], found.server) == ("MariaDB dump", "11.8.3-MariaDB-log")


def test_each_damage_of_a_dump_has_its_finding(read):
    assert problem(read(DUMP.replace("-- Dump completed", "-- Dump"))) == [
        ("backup-damaged", "the last line is: -- Dump on 2026-11-28  1:02:03")
    ]
    assert problem(read("")) == [("backup-empty", "no line")]
    assert problem(read(DUMP.replace("-- MariaDB dump", "-- dump"))) == [("backup-damaged", "the header lines are missing")]
    assert problem(read(DUMP.replace("-- Dumping events", "\0\n-- Dumping events")))[0][0] == "backup-damaged"
    assert problem(read(DUMP, unpacker="gzip -dc"))[0][0] == "backup-damaged"
    assert problem(read(DUMP), "other") == [("backup-of-another", "shop")]


def test_tables_of_the_server_and_of_engines_with_rows_elsewhere_never_have_data(read):
    table = "-- Table structure for table `{0}`\nCREATE TABLE `{0}` (\n  `a` int\n) ENGINE={1} DEFAULT CHARSET=latin1;\n"
    tables = table.format("far", "FEDERATED") + table.format("all", "MRG_MyISAM") + table.format("near", "InnoDB")
    own = f"-- Current Database: `mysql`\n{table.format('general_log', 'CSV')}-- Current Database: `crm`\n{tables}"
    found = read(DUMP.replace("-- Dumping events", f"{own}-- Dumping events"))
    assert found.without_data() == ["crm.near", "shop.odd `name"]


def test_a_dump_without_rows_or_definitions_is_told(read):
    lines = [line for line in DUMP.splitlines() if not line.startswith(("INSERT", "("))]
    assert problem(read("\n".join(lines))) == [
        ("backup-empty", "no row; the dump has 2 tables, 1 of them with a section for rows")
    ]
    lines = [line for line in DUMP.splitlines() if "structure" not in line]
    assert problem(read("\n".join(lines))) == [("backup-incomplete", "rows without the definitions of their tables")]


def test_an_object_that_the_dump_program_left_out_is_told(read):
    text = DUMP.replace("-- Dumping events", "-- insufficient privileges to SHOW CREATE PROCEDURE `pr`\n-- Dumping events")
    assert problem(read(text)) == [("backup-incomplete", "insufficient privileges to SHOW CREATE PROCEDURE `pr`")]


def test_a_client_that_ends_early_does_not_end_the_reading(read):
    found = read(DUMP, script=LOAD, client=("sh", "-c", "exit 3"))
    assert (found.unpacker, found.client) == (0, 3)
    assert found.last.startswith("-- Dump completed")


def test_the_statements_after_a_dump_reach_the_client_in_the_same_session(read, tmp_path):
    found = read(DUMP, script=LOAD, client=("sh", "-c", f"cat > {tmp_path}/loaded"))
    assert (found.client, problem(found)) == (0, [])
    assert (tmp_path / "loaded").read_text() == f"{DUMP}\n;\nSELECT 'after';\n"

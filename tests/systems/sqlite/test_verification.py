"""Program that examines a copy of a database: its header, the checksums of its log, its foreign keys and rows."""

import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from drillbook.systems.sqlite import verification


@pytest.fixture
def database(tmp_path):
    """Path of a database with the tables of the test."""

    def made(*statements, name="shop.db"):
        with closing(sqlite3.connect(tmp_path / name)) as session:
            session.executescript(";".join(statements or ["CREATE TABLE a(x)"]))
        return str(tmp_path / name)

    return made


def changed(path, at, data):
    with Path(path).open("r+b") as file:
        file.seek(at)
        file.write(data)
    return path


def examined(capsys, path, clock=""):
    verification.main(path, clock)
    return json.loads(capsys.readouterr().out)


def test_the_header_of_a_whole_database(database):
    facts = verification.header(database("PRAGMA page_size=1024", "CREATE TABLE a(x)"))
    assert (facts["bytes"] % 1024, facts["empty"], facts["foreign"], facts["cut"], facts["wal"]) == (0, False, "", "", False)
    assert facts["writer"] == sum(
        part * 1000**place for place, part in zip((2, 1, 0), sqlite3.sqlite_version_info, strict=True)
    )
    assert verification.header(database("PRAGMA page_size=65536", "CREATE TABLE a(x)", name="large.db"))["cut"] == ""
    assert verification.header(database("PRAGMA journal_mode=wal", "CREATE TABLE a(x)", name="wal.db"))["wal"] is True


def test_a_file_that_is_no_whole_database_is_told(database, tmp_path):
    (tmp_path / "empty").touch()
    assert verification.header(str(tmp_path / "empty"))["empty"] is True
    (tmp_path / "html").write_text("<html>Access denied</html>")
    assert verification.header(str(tmp_path / "html"))["foreign"].startswith("3c 68 74 6d 6c")
    (tmp_path / "short").write_bytes(verification.MAGIC + b"\x10\x00")
    assert "fewer than its header needs" in verification.header(str(tmp_path / "short"))["cut"]
    path = database()
    whole = Path(path).read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-1])
    assert "not a multiple of its page size" in verification.header(str(tmp_path / "cut"))["cut"]
    (tmp_path / "cut").write_bytes(whole[:4096])
    assert verification.header(str(tmp_path / "cut"))["cut"] == f"the file has 1 of its {len(whole) // 4096} pages"
    assert "invalid page size of 1000 bytes" in verification.header(changed(path, 16, struct.pack(">H", 1000)))["cut"]


def test_a_number_of_pages_that_an_old_library_left_behind_does_not_count(database, tmp_path):
    """A library before 3.7.0 changes the counter of changes alone; then SQLite itself uses the size of the file."""
    path = changed(changed(database(), 28, struct.pack(">I", 99)), 92, struct.pack(">I", 0))
    assert verification.header(path)["cut"] == ""


def test_rows_are_counted_and_the_newest_value_is_read(database, capsys):
    path = database('CREATE TABLE "odd ""name"(at)', """INSERT INTO "odd ""name" VALUES (1), ('2'), (x'ff')""")
    facts = examined(capsys, path, 'odd "name.at')
    assert (facts["tables"], facts["newest"], facts["error"], facts["torn"]) == ({'odd "name': 3}, "2", "", "")
    assert facts["clock_missing"] is False


@pytest.mark.parametrize("clock", ["a.absent", "absent.x", "v.x"])
def test_the_name_of_an_absent_column_is_not_taken_for_its_value(database, capsys, clock):
    """SQLite itself reads a name in double quotes as a text when there is no such column."""
    facts = examined(
        capsys, database("CREATE TABLE a(x)", "INSERT INTO a VALUES (1)", "CREATE VIEW v AS SELECT x FROM a"), clock
    )
    assert (facts["newest"], facts["clock_missing"], facts["error"]) == (None, True, "")


def test_a_row_that_refers_to_nothing_is_told(database, capsys):
    tables = "CREATE TABLE a(id INTEGER PRIMARY KEY)", "CREATE TABLE b(a REFERENCES a(id))"
    facts = examined(capsys, database(*tables, "INSERT INTO b VALUES (7)"))
    assert facts["references"] == ["row 1 of b refers to a missing row of a"]
    wrong = database("CREATE TABLE a(x)", "CREATE TABLE b(a REFERENCES a(x))", "INSERT INTO b VALUES (7)", name="wrong.db")
    assert examined(capsys, wrong)["references"] == [], "a wrong declaration cannot be checked"


def test_a_table_of_an_absent_module_is_not_read(database, capsys):
    path = database("CREATE TABLE a(x)")
    with closing(sqlite3.connect(path)) as session:
        session.execute("PRAGMA writable_schema=ON")
        session.execute(
            "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING no_module(x)')"
        )
        session.commit()
    facts = examined(capsys, path)
    assert (facts["tables"], facts["unread"], facts["error"]) == ({"a": 0}, ["v"], "")


def test_a_row_that_its_index_lacks_is_a_problem(database, capsys):
    """The index was made over a part of the rows, and the schema then says that it has all of them."""
    path = database("CREATE TABLE a(x)", "INSERT INTO a VALUES (1), (2)", "CREATE INDEX i ON a(x) WHERE x > 1")
    with closing(sqlite3.connect(path)) as session:
        session.execute("PRAGMA writable_schema=ON")
        session.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX i ON a(x)' WHERE name = 'i'")
        session.commit()
    assert examined(capsys, path)["problems"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_checksum_of_a_log_is_that_of_the_file_format(order):
    """By hand: (1, 0) plus 1 and then 2 is (2, 4); plus 3 and then 4 is (2+3+4, 4+4+9)."""
    assert verification.checksum(order, (1, 0), struct.pack(f"{order}II", 1, 2)) == (2, 4)
    assert verification.checksum(order, (1, 0), struct.pack(f"{order}IIII", 1, 2, 3, 4)) == (9, 17)
    assert verification.checksum(order, (0, 0), struct.pack(f"{order}II", 0xFFFFFFFF, 2)) == (0xFFFFFFFF, 1)

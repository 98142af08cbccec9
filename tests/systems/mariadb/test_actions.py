"""Actions on real servers: each sabotage of a copy has its finding, and no password is shown."""

import os
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.sandbox import Sandbox
from drillbook.values import Secret
from tests.systems.estate import codes
from tests.systems.mariadb import site

LOST = {
    "a row": ("DELETE FROM orders WHERE id = 7", ["table-content"]),
    "a value": ("UPDATE customers SET note = CONCAT(note, ' ') WHERE id = 9", ["table-content"]),
    "two equal rows": ("DELETE FROM old WHERE a = 1", ["table-content"]),
    "NULL for a text": ("UPDATE customers SET name = '' WHERE name = 'NULL'", ["table-content"]),
    "a table": ("DROP TABLE parted", ["table-missing"]),
    "another table": ("CREATE TABLE late(a INT)", ["table-unexpected"]),
    "a view": ("DROP VIEW big", ["table-missing"]),
    "another definer": (
        "ALTER DEFINER=root@localhost VIEW big AS SELECT id,name FROM customers WHERE id>10",
        ["schema-differs"],
    ),
    "a table for a view": ("DROP VIEW big; CREATE TABLE big(id INT, name INT)", ["schema-differs"]),
    "an index": ("ALTER TABLE customers DROP KEY name", ["schema-differs"]),
    "a trigger": ("DROP TRIGGER tr", ["schema-differs"]),
    "a routine": ("DROP PROCEDURE pr", ["schema-differs"]),
    "an event": ("ALTER EVENT ev DISABLE", ["schema-differs"]),
    "a sequence": ("SELECT SETVAL(numbers, 1, 0) ; ALTER SEQUENCE numbers RESTART 1", ["sequence-behind"]),
}


@pytest.fixture(scope="module")
def copies(server, tmp_path_factory):
    """Restored copy for all tests, with the statements that damage it."""
    root = tmp_path_factory.mktemp("copies")
    (root / "dumps").mkdir()
    (root / "dumps" / "shop.sql").write_bytes(server.dump("--single-transaction", "--routines", "--events", "shop"))
    place = site.estate(root, server, {"kind": "mariadb_dump", "at": str(root / "dumps")})
    place.restore("nightly", "copy")
    yield place
    place.remove("nightly", "copy")


def on_copy(place, sql):
    box = Sandbox.of(place.ctx(), place.inventory.services["copy"])
    words = ("mariadb", "--no-defaults", f"--socket={box.service.socket}", "--user=drillbook", "shop")
    return box.run(*words, stdin=sql if isinstance(sql, bytes) else sql.encode()).check()


@pytest.mark.parametrize("case", LOST)
def test_each_sabotage_of_a_copy_gives_its_finding(server, copies, case):
    sql, expected = LOST[case]
    dumped = server.dump("--routines", "--events", "shop")
    on_copy(copies, sql)
    try:
        with pytest.raises(StepFailed) as failure:
            copies.run("mariadb.matches", service="copy", **{"with": "database"})
        assert codes(failure) == expected
    finally:
        on_copy(copies, b"DROP DATABASE shop; CREATE DATABASE shop; USE shop;\n" + dumped)


def test_a_manifest_is_compared_like_a_server(copies):
    manifest = copies.run("mariadb.content", service="database")["manifest"]
    copies.run("mariadb.matches", service="copy", manifest=manifest)
    manifest["tables"]["orders"]["digest"] = "1"
    with pytest.raises(StepFailed) as failure:
        copies.run("mariadb.matches", service="copy", manifest=manifest)
    assert codes(failure) == ["table-content"]
    facts = copies.run("mariadb.matches", service="copy", manifest=manifest, ignore={"orders": "changes daily"})
    assert facts["not_compared"]["orders"] == "changes daily"
    with pytest.raises(CouldNotVerify):
        copies.run("mariadb.matches", service="copy", manifest={"tables": {}})


def test_a_corrupt_table_and_a_view_without_its_table_are_found(copies):
    copies.run("mariadb.intact", service="copy")
    data = Path(copies.inventory.services["copy"].data_directory)
    on_copy(
        copies, "CREATE TABLE bad(a INT, KEY(a)) ENGINE=MyISAM; INSERT INTO bad SELECT seq FROM seq_1_to_1000; FLUSH TABLES"
    )
    os.truncate(data / "shop" / "bad.MYD", 3000)
    on_copy(copies, "CREATE TABLE base(a INT); CREATE VIEW hollow AS SELECT a FROM base; DROP TABLE base")
    try:
        with pytest.raises(StepFailed) as failure:
            copies.run("mariadb.intact", service="copy")
        assert codes(failure) == ["table-corrupt", "table-corrupt"]
        assert {finding.title.rpartition(" ")[2] for finding in failure.value.findings} == {"shop.bad", "shop.hollow"}
    finally:
        on_copy(copies, "DROP TABLE bad; DROP VIEW hollow")


def test_values_come_as_the_server_has_them(copies):
    facts = copies.run(
        "mariadb.sql", service="copy", query="SELECT id, name, note, amount FROM customers WHERE id < 3 ORDER BY id"
    )
    assert facts["columns"] == ["id", "name", "note", "amount"]
    assert facts["rows"] == [[1, "Ünï-日本", "line1\nline2\t\\", "1.500"], [2, "NULL", None, None]]
    assert (facts["value"], facts["rowcount"], facts["truncated"]) == (1, 2, False)
    assert copies.run("mariadb.sql", service="copy", query="SELECT id FROM customers")["truncated"] is True
    assert copies.run("mariadb.sql", service="copy", query="SELECT '<row>&amp;</row>' AS `a>b`")["rows"] == [
        ["<row>&amp;</row>"]
    ]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM old",
        "DROP TABLE old",
        "SET GLOBAL read_only = 1",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "CALL pr()",
        "SELECT /*! 1 */",
    ],
)
def test_a_statement_that_writes_is_refused_when_the_drill_is_read(copies, query):
    with pytest.raises(ValidationError):
        copies.action("mariadb.sql", service="copy", query=query)


@pytest.mark.parametrize(
    "query", ["SELECT NEXTVAL(numbers)", "SELECT 1; DROP TABLE old", "WITH q AS (SELECT 1) SELECT nothing"]
)
def test_a_statement_that_writes_is_refused_by_the_server(copies, query):
    with pytest.raises(StepFailed):
        copies.run("mariadb.sql", service="copy", query=query)
    assert copies.run("mariadb.sql", service="copy", query="SELECT COUNT(*) FROM old")["value"] == 3


def test_a_password_is_in_no_argument_and_no_environment(server, tmp_path):
    (tmp_path / "word").write_text(site.PASSWORD)
    place = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    login = place.inventory.services["database"].model_copy(
        update={"user": "app", "password": Secret(source="file", name=str(tmp_path / "word"))}
    )
    place.inventory.services["database"] = login
    seen, done = [], threading.Event()

    def look():
        while not done.is_set():
            for path in Path("/proc").glob("[0-9]*"):
                try:
                    words = (path / "cmdline").read_bytes()
                    if b"mariadb" in words and str(tmp_path).encode() in words:
                        seen.append(words + (path / "environ").read_bytes())
                except OSError:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert place.run("mariadb.sql", service="database", query="SELECT SLEEP(0.5), CURRENT_USER()")["rows"] == [
            [0, "app@localhost"]
        ]
    finally:
        done.set()
        looking.join()
    assert seen
    assert not [words for words in seen if site.PASSWORD.encode() in words]
    assert not list(tmp_path.rglob("*.cnf"))


def test_a_server_that_is_down_is_not_healthy(tmp_path, server):
    place = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    place.inventory.services["database"] = place.inventory.services["database"].model_copy(
        update={"address": f"{tmp_path}/none"}
    )
    with pytest.raises(StepFailed) as failure:
        place.run("mariadb.healthy", service="database")
    assert codes(failure) == ["mariadb-unhealthy"]
    with pytest.raises(CouldNotVerify):
        place.run("mariadb.intact", service="database")

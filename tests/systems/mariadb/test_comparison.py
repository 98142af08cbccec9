"""Comparisons of a restored copy with its server: each sabotage of the copy has its finding."""

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from tests.systems.estate import codes
from tests.systems.mariadb.site import on_copy

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

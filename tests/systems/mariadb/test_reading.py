"""Actions that read a real server: its health, the values of a query, and tables that are corrupt."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from drillbook.errors import CouldNotVerify, StepFailed
from tests.systems.estate import codes
from tests.systems.mariadb import site
from tests.systems.mariadb.site import on_copy


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

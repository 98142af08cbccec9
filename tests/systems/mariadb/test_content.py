"""Content of a real server: digests that depend on the rows alone, and definitions without what changes by itself."""

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.systems.mariadb import content
from drillbook.systems.mariadb.client import connected
from tests.systems.mariadb import site


@pytest.fixture
def tried(server, tmp_path):
    """Content of a database `tried` with the tables of the test."""
    place = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})

    def measured(sql, user="root"):
        server.sql(f"CREATE DATABASE tried; USE tried; {sql}")
        service = place.inventory.services["database"].model_copy(update={"database": "tried", "user": user})
        return content.measure(place.ctx(), service)

    yield measured
    server.sql("DROP DATABASE IF EXISTS tried; DROP USER IF EXISTS limited@localhost")


def test_a_digest_depends_on_neither_the_order_of_the_rows_nor_the_storage_engine(tried):
    found, _ = tried("""CREATE TABLE a(x INT, y TEXT); INSERT INTO a VALUES (1, 'one'), (2, NULL), (2, NULL);
    CREATE TABLE b(x INT, y TEXT) ENGINE=MyISAM; INSERT INTO b VALUES (2, NULL), (1, 'one'), (2, NULL);""")
    assert found.tables["a"].rows == 3
    assert found.tables["a"] == found.tables["b"]


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("VARCHAR(9)", "''", "NULL"),
        ("VARCHAR(9)", "'-'", "NULL"),
        ("VARCHAR(9)", "'a'", "'A'"),
        ("VARCHAR(9)", "'a'", "'a '"),
        ("BIT(16)", "b'1000000010000001'", "b'1000000010000010'"),
        ("DECIMAL(20,3)", "12345678901234567.001", "12345678901234567.002"),
        ("DATETIME(6)", "'2026-11-28 01:02:03.000001'", "'2026-11-28 01:02:03.000002'"),
        ("TIMESTAMP NULL", "'2026-11-28 01:02:03'", "'2026-11-28 02:02:03'"),
        ("BLOB", "x'00ff'", "x'00fe'"),
        ("POINT", "ST_PointFromText('POINT(1 2)', 1)", "ST_PointFromText('POINT(1 2)', 2)"),
        ("UUID", "'123e4567-e89b-12d3-a456-426614174000'", "'123e4567-e89b-12d3-a456-426614174001'"),
    ],
)
def test_each_difference_of_a_value_is_another_digest(tried, kind, first, second):
    found, _ = tried(
        f"CREATE TABLE a(x {kind}); INSERT INTO a VALUES ({first}); CREATE TABLE b(x {kind}); INSERT INTO b VALUES ({second});"
    )
    assert (found.tables["a"].rows, found.tables["b"].rows) == (1, 1)
    assert found.tables["a"].digest != found.tables["b"].digest


def test_values_that_change_their_column_are_another_digest(tried):
    found, _ = tried("""CREATE TABLE a(x INT, y INT); INSERT INTO a VALUES (1, 2);
    CREATE TABLE b(x INT, y INT); INSERT INTO b VALUES (2, 1);""")
    assert found.tables["a"].digest != found.tables["b"].digest


def test_the_rows_in_a_range_have_a_digest_of_their_own(server, tried, tmp_path):
    found, _ = tried(
        "CREATE TABLE a(x INT); INSERT INTO a VALUES (1), (2); CREATE TABLE b(x INT); INSERT INTO b VALUES (1);"
    )
    (tmp_path / "again").mkdir()
    place = site.estate(tmp_path / "again", server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    with connected(place.ctx(), place.inventory.services["database"]) as client:
        row = {"s": "tried", "t": "a", "kind": "BASE TABLE", "comment": ""}
        assert content.of_rows(client, row, "x <= 1") == found.tables["b"]
        assert content.of_rows(client, row, "TRUE") == found.tables["a"]


def test_a_definition_tells_neither_the_next_number_nor_the_database_of_the_service(tried):
    _, texts = tried(
        "CREATE TABLE a(x INT AUTO_INCREMENT PRIMARY KEY COMMENT 'no AUTO_INCREMENT=4') COMMENT 'no AUTO_INCREMENT=5';"
        "INSERT INTO a VALUES (7); CREATE VIEW v AS SELECT x FROM a;"
    )
    assert "AUTO_INCREMENT=8" not in texts["table a"]
    assert "COMMENT 'no AUTO_INCREMENT=4'" in texts["table a"]
    assert "COMMENT='no AUTO_INCREMENT=5'" in texts["table a"]
    assert "tried" not in texts["view v"]


def test_a_definition_that_the_account_may_not_read_is_empty(server, tried):
    server.sql("CREATE USER limited@localhost; GRANT SELECT ON tried.* TO limited@localhost")
    found, texts = tried("CREATE TABLE a(x INT); CREATE VIEW v AS SELECT x FROM a;", user="limited")
    assert (texts["view v"], found.definitions["view v"]) == ("", "")
    assert found.definitions["table a"]


def test_a_view_whose_table_is_gone_is_listed_without_rows(tried):
    found, _ = tried("CREATE TABLE a(x INT); CREATE VIEW v AS SELECT x FROM a; DROP TABLE a;")
    assert found.tables == {"v": content.Table(kind="VIEW")}


def test_a_server_that_does_not_answer_could_not_be_read(server, tmp_path):
    place = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    absent = place.inventory.services["database"].model_copy(update={"address": f"{tmp_path}/none"})
    with pytest.raises(CouldNotVerify, match=r"database could not be read: .*ERROR 2002"):
        content.measure(place.ctx(), absent)


def test_all_databases_have_the_names_of_their_databases_as_keys(server, tmp_path):
    place = site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(tmp_path)})
    service = place.inventory.services["database"].model_copy(update={"database": ""})
    found, _ = content.measure(place.ctx(), service)
    assert {"shop.orders", "other.t"} <= set(found.tables)
    assert not [name for name in found.tables if name.partition(".")[0] in content.SYSTEM_SCHEMAS]

"""Digests, schema text and findings, without an action."""

import pytest

from drillbook.sdk import stored_backup
from drillbook.systems.postgres import compare, content, manifest, row_values, schema
from drillbook.systems.postgres.manifest import Sequence_, Table
from tests.systems.postgres import fixtures

place, primary = fixtures.place, fixtures.primary


def digests(place):
    with content.snapshot(place.context(), place.clusters["primary"].service) as snap:
        return {table.name: (table.rows, table.digest) for table in content.tables(snap, content.relations(snap))}


def test_pieces_of_a_table_add_up(place, primary, monkeypatch):
    whole = digests(place)
    monkeypatch.setattr(content, "CHUNK", 16384)
    assert digests(place) == whole


def test_a_digest_needs_no_order_and_no_settings(place, primary):
    before = digests(place)
    primary.sql(
        "CREATE TABLE kept AS TABLE orders",
        "TRUNCATE orders",
        "INSERT INTO orders SELECT * FROM kept ORDER BY id DESC",
        "DROP TABLE kept",
        "ALTER DATABASE shop SET datestyle = 'German'",
        "ALTER DATABASE shop SET extra_float_digits = 0",
    )
    assert digests(place) == before
    primary.sql("ALTER DATABASE shop RESET datestyle", "ALTER DATABASE shop RESET extra_float_digits")


def test_the_digest_of_an_inherited_table_needs_no_order_of_its_columns(place, primary):
    """A restore creates the inherited columns of the child first."""
    primary.sql(
        "CREATE TABLE older (a int); CREATE TABLE younger (b text) INHERITS (older); ALTER TABLE older ADD COLUMN c int",
        "INSERT INTO younger (a, b, c) VALUES (1, 'x', 3), (4, NULL, 6)",
    )
    before = digests(place)["public.younger"]
    primary.sql(
        "DROP TABLE older CASCADE",
        "CREATE TABLE older (a int, c int); CREATE TABLE younger (b text) INHERITS (older)",
        "INSERT INTO younger (a, b, c) VALUES (1, 'x', 3), (4, NULL, 6)",
    )
    assert digests(place)["public.younger"] == before
    primary.sql("UPDATE younger SET a = c, c = a")
    assert digests(place)["public.younger"] != before
    primary.sql("DROP TABLE older CASCADE")


def test_a_manifest_without_an_order_is_compared_in_the_order_of_the_table(place, primary):
    with content.snapshot(place.context(), primary.service) as snap:
        found = content.relations(snap)
        (child,) = [one for one in found if one.name == "public.child"]
        assert child.columns == ("a", "b", "c")
        recorded = [table for table in content.tables(snap, [child]) if table.name == child.name]
        assert [table.columns for table in recorded] == [child.columns]
        assert content.as_recorded([child], recorded) == [child]
        older = [table.model_copy(update={"columns": None}) for table in recorded]
        assert "columns" not in older[0].model_dump()
        assert [one.columns for one in content.as_recorded([child], older)] == [()]


def test_a_snapshot_stays_while_others_write(place, primary):
    with content.snapshot(place.context(), primary.service) as snap:
        found = content.relations(snap)
        before = content.tables(snap, found)
        primary.sql("INSERT INTO secured VALUES (99)")
        assert content.tables(snap, found) == before
    primary.sql("DELETE FROM secured WHERE a = 99")


def test_held_tables_cannot_be_truncated(place, primary):
    with content.snapshot(place.context(), primary.service) as snap:
        content.hold(snap, content.relations(snap))
        with pytest.raises(Exception, match="lock timeout"):
            primary.sql("SET lock_timeout = '50ms'", "TRUNCATE orders")


def test_noise_of_two_dumps_of_one_schema():
    first = (
        "\\restrict abc\n-- Dumped from database version 15.1\nSET statement_timeout = 0;\n\nCREATE TABLE a (b int);\n"
        "ALTER DATABASE shop CONNECTION LIMIT = 40;\n\\unrestrict abc\n"
    )
    second = (
        "--\n-- PostgreSQL database dump\n--\n\\restrict xyz\nSET transaction_timeout = 0;\nCREATE TABLE a (b int);\n"
        "ALTER DATABASE shop CONNECTION LIMIT = 0;\nALTER DATABASE shop SET \"drillbook.connection_limit\" TO '40';\n"
    )
    assert schema.normalised(first) == schema.normalised(second) == "CREATE TABLE a (b int);\n"
    assert "+CREATE TABLE c;" in schema.difference("CREATE TABLE a;\n", "CREATE TABLE a;\nCREATE TABLE c;\n")


SECRETIVE = """\
CREATE USER MAPPING FOR clerk SERVER far OPTIONS (
    password 'hunt''er2;',
    "user" 'clerk',
    vault 'hunter2'
);
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (
    dbname 'shop',
    sslpassword 'hunter2'
);
CREATE FOREIGN TABLE t (
    a integer OPTIONS (column_name 'token') NOT NULL
) SERVER far OPTIONS (api_key 'hunter2', schema_name 'public');
CREATE SUBSCRIPTION s CONNECTION 'host=far user=rep password=hunter2' PUBLICATION p WITH (connect = false);
CREATE SUBSCRIPTION q CONNECTION 'host=far password=''it\\''s hunter2'' port=5433' PUBLICATION p;
CREATE SUBSCRIPTION u CONNECTION 'postgresql://rep:hunter2@far/shop' PUBLICATION p;
CREATE SUBSCRIPTION w CONNECTION 'no connection string with hunter2' PUBLICATION p;
ALTER DATABASE shop SET "app.jwt_secret" TO 'hunter2';
ALTER DATABASE shop SET password_encryption TO 'md5';
"""


def test_passwords_that_a_schema_declares_are_masked_and_nothing_else():
    masked = schema.normalised(SECRETIVE)
    assert "hunt" not in masked
    for kept in (
        "\"user\" 'clerk'",
        "dbname 'shop'",
        "column_name 'token'",
        "schema_name 'public'",
        "host=far",
        "user=rep",
        "port=5433",
        "PUBLICATION p",
        "password_encryption TO 'md5'",
    ):
        assert kept in masked, kept
    assert schema.normalised(masked) == masked
    assert schema.normalised(SECRETIVE.replace("dbname 'shop'", "dbname 'shop2'")) != masked, "the rest is compared"


def test_a_difference_shows_no_password_of_a_function():
    body = "SELECT dblink('host=far password={} user=x'); -- postgresql://rep:{}@far/ PASSWORD '{}'\n"
    said = schema.difference(body.replace("{}", "hunter2"), body.replace("{}", "hunter3"))
    assert said.count("***") == 6
    assert "hunter" not in said
    assert "user=x" in said


def sequence(last, *, called=True, step=1, cycle=False):
    return Sequence_(name="s", last_value=str(last), is_called=called, increment=str(step), cycle=cycle)


@pytest.mark.parametrize(
    ("wanted", "found", "behind"),
    [
        (sequence(10), sequence(10), False),
        (sequence(10), sequence(11), False),
        (sequence(10), sequence(9), True),
        (sequence(1), sequence(1, called=False), True),
        (sequence(1, called=False), sequence(1), False),
        (sequence(-9, step=-2), sequence(-11, step=-2), False),
        (sequence(-9, step=-2), sequence(-7, step=-2), True),
        (sequence(2**62), sequence(2**62 - 1), True),
        (sequence(10, cycle=True), sequence(3, cycle=True), False),
    ],
)
def test_a_sequence_is_behind_in_its_own_direction(wanted, found, behind):
    assert [one.code for one in compare.sequences([wanted], [found])] == (["sequence-behind"] if behind else [])


def test_a_table_without_a_digest_must_still_be_there():
    view = Table(name="v", rows=1, digest=None, bytes=0, note="recomputed")
    assert list(compare.tables([view], [view.model_copy(update={"rows": 2})])) == []
    assert [one.code for one in compare.tables([view], [])] == ["table-missing"]
    assert list(compare.tables([], [view])) == []


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "a//b", "a b", "", "-rf", "a/-b", ".."])
def test_names_that_lead_elsewhere(name):
    with pytest.raises(ValueError):
        manifest.Manifest.model_validate({"files": {name: {"size": 1, "sha256": "0" * 64}}})
    from pydantic import TypeAdapter

    with pytest.raises(ValueError):
        TypeAdapter(manifest.Manifest.model_fields["files"].annotation).validate_python(
            {name: {"size": 1, "sha256": "0" * 64}}
        )


def test_values_that_json_cannot_hold():
    assert row_values.plain([float("nan"), 2**60, b"\x01", (1, None), {1: True}]) == [
        "nan",
        str(2**60),
        "01",
        [1, None],
        {"1": True},
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [("s3://bkt/a/b#sha256=" + "0" * 64, "a/b"), ("s3://bkt/a/b/", "a/b"), ("s3://bkt/a/b/manifest.json", "a/b")],
)
def test_references(text, key):
    assert stored_backup.split(text).key == key


@pytest.mark.parametrize("text", ["bkt/a", "s3://bkt", "s3://bkt/", "s3://bkt/a#md5=0", "s3://B/a", "s3://bkt/a#sha256=0"])
def test_what_is_no_reference(text):
    with pytest.raises(ValueError):
        stored_backup.split(text)

"""Digests, schema text and findings, without an action."""

import pytest

from drillbook.sdk import stored_backup
from drillbook.systems.postgres import content
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

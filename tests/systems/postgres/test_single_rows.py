"""Deleted rows that come back beside what was written since."""

import pytest

from drillbook.errors import StepFailed
from tests.systems.postgres import fixtures, one_table
from tests.systems.postgres.one_table import WAITS, back, digests, restore, rival, short

place, primary, backup = fixtures.place, fixtures.primary, one_table.backup


def test_deleted_rows_come_back_beside_what_was_written_since(place, primary, backup):
    before = digests(place)["public.orders"]
    place.run("postgres.delete_rows", service="primary", table="orders", where="id BETWEEN 11 AND 30")
    primary.sql(
        "INSERT INTO orders (id, item) VALUES (9001, 'since')",
        "UPDATE orders SET item = 'changed' WHERE id = 40",
        "DELETE FROM orders WHERE id = 50",
    )
    facts = back(place, backup, "orders", "id BETWEEN 11 AND 30")
    assert (facts["restored"], facts["differing"], facts["in_backup"]) == (20, 1, 500)
    assert facts["restored_data"] == {"rows of public.orders in primary where id BETWEEN 11 AND 30": 20}
    assert primary.sql("SELECT item FROM orders WHERE id IN (40, 50, 9001) ORDER BY id") == [("changed",), ("since",)]
    assert back(place, backup, "orders", "true")["restored"] == 1
    primary.sql("DELETE FROM orders WHERE id IN (9001, 40)")
    assert back(place, backup, "orders", "id = 40")["restored"] == 1
    assert digests(place)["public.orders"] == before
    assert primary.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'drillbook%'") == [(0,)]


def test_rows_that_a_client_or_an_earlier_attempt_brought_back_are_not_missing(place, primary, backup):
    before = digests(place)["public.orders"]
    where = "id BETWEEN 101 AND 200 OR id = 9100"
    primary.sql("CREATE TABLE saved AS SELECT * FROM orders WHERE id <= 103")
    removed = place.run("postgres.delete_rows", service="primary", table="orders", where=where)
    primary.sql("INSERT INTO orders SELECT * FROM saved WHERE id > 100", "DROP TABLE saved")
    facts = back(place, backup, "orders", where)
    assert (facts["restored"], short(removed, facts)) == (97, []), "a client had written three of them again"
    again = back(place, backup, "orders", where)
    assert (again["restored"], short(removed, again)) == (0, []), "the answer to the first commit was lost"
    assert digests(place)["public.orders"] == before
    restore(place, backup, "lines", replace=True)


def test_rows_newer_than_the_backup_are_missing_until_somebody_enters_them(place, primary, backup):
    where = "id BETWEEN 101 AND 200 OR id IN (9100, 9101)"
    primary.sql("INSERT INTO orders (id, item) VALUES (9100, 'newer'), (9101, 'newer')")
    removed = place.run("postgres.delete_rows", service="primary", table="orders", where=where)
    assert short(removed, back(place, backup, "orders", where)) == [(102, 100)]
    assert short(removed, back(place, backup, "orders", where)) == [(102, 100)], "also of a second attempt"
    assert short(removed, back(place, backup, "orders", "id < 150")) == [], "another condition: nobody knows"
    primary.sql("INSERT INTO orders (id, item) VALUES (9100, 'newer'), (9101, 'newer')")
    assert short(removed, back(place, backup, "orders", where)) == []
    primary.sql("DELETE FROM orders WHERE id > 9000")
    restore(place, backup, "lines", replace=True)


def test_rows_of_a_table_that_others_inherit_from_are_not_counted_as_restored(place, primary, backup):
    """The rows of the tables that inherit come back in steps of their own."""
    removed = place.run("postgres.delete_rows", service="primary", table="kin", where="true")
    assert removed["rows"] == 3
    facts = back(place, backup, "kin", "true")
    assert (facts["restored"], "restored_data" in facts, short(removed, facts)) == (2, False, [])
    primary.sql("INSERT INTO heir VALUES (3)")


def test_rows_that_a_trigger_would_change_are_not_brought_back(place, primary, backup):
    before = digests(place)["public.orders"]
    place.run("postgres.delete_rows", service="primary", table="orders", where="id < 4")
    primary.sql(
        "CREATE FUNCTION twist() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.item := ''other''; RETURN NEW; END'",
        "CREATE TRIGGER twisted BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION twist()",
    )
    try:
        with pytest.raises(StepFailed) as failure:
            back(place, backup, "orders", "id < 4")
        assert "a trigger or a rule changes rows" in failure.value.findings[0].measured
        assert primary.sql("SELECT count(*) FROM orders WHERE id < 4") == [(0,)]
    finally:
        primary.sql("DROP FUNCTION twist() CASCADE")
    back(place, backup, "orders", "id < 4")
    assert digests(place)["public.orders"] == before


def test_rows_whose_restore_loses_a_deadlock_are_brought_back(place, primary, backup):
    """The other session writes the last key, and the first one while the restore waits for the last."""
    primary.sql("DELETE FROM orders WHERE id BETWEEN 301 AND 310")
    row = "INSERT INTO orders (id, item) OVERRIDING SYSTEM VALUE VALUES ({}, 'of a rival')"
    with rival(primary, row.format(310), row.format(301), WAITS):
        facts = back(place, backup, "orders", "id BETWEEN 301 AND 310")
    assert facts["restored"] == 10

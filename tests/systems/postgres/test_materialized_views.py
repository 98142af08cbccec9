"""Materialized views of a database beside those of a backup: recomputed, stale, or not comparable."""

import contextlib

import pytest

from drillbook.systems.postgres import content, materialized_views
from tests.systems.postgres import fixtures

place, small = fixtures.place, fixtures.small
NAME = "public.counted"


@pytest.fixture
def view(small):
    """Make a materialized view, whatever its query, and drop it at the end."""
    small.sql("CREATE TABLE shelves AS SELECT g AS id FROM generate_series(1, 5) AS g")
    yield lambda query: small.sql(f"CREATE MATERIALIZED VIEW counted AS {query}")
    small.sql("DROP TABLE shelves CASCADE", "DROP MATERIALIZED VIEW IF EXISTS counted")


@contextlib.contextmanager
def looked(place):
    """Snapshot, and the relations in it."""
    with content.snapshot(place.context(), place.clusters["small"].service) as snap:
        yield snap, content.relations(snap)


def measured(place):
    with looked(place) as (snap, relations):
        return materialized_views.measured(snap, relations)


def compared(place, wanted, out=()):
    with looked(place) as (snap, relations):
        return materialized_views.compared(snap, wanted, relations, out)


def nothing(result):
    return (result.findings, result.not_compared, result.recomputed) == ([], {}, {})


def test_only_materialized_views_are_measured(place, small, view):
    view("SELECT count(*) FROM shelves")
    before = measured(place)
    assert (list(before), before[NAME].rows) == ([NAME], 1)
    assert nothing(compared(place, before))


def test_a_view_that_equals_its_query_is_recomputed(place, small, view):
    view("SELECT id FROM shelves")
    before = measured(place)
    small.sql("INSERT INTO shelves VALUES (6)", "REFRESH MATERIALIZED VIEW counted")
    result = compared(place, before)
    assert (result.findings, set(result.recomputed)) == ([], {NAME})
    result = compared(place, before, out={"public.shelves"})
    assert (result.findings, result.recomputed) == ([], {})
    assert result.not_compared == {NAME: "the view is made from public.shelves, whose rows are not compared"}


def test_a_view_that_equals_neither_the_backup_nor_its_query_is_stale(place, small, view):
    view("SELECT id FROM shelves")
    before = measured(place)
    small.sql("DELETE FROM shelves WHERE id = 1", "REFRESH MATERIALIZED VIEW counted", "DELETE FROM shelves WHERE id = 2")
    [found] = compared(place, before).findings
    assert (found.code, found.title.rpartition(": ")[2]) == ("view-stale", NAME)
    assert found.wanted.startswith("5 rows, digest ")
    assert "4 rows, digest " in found.measured
    assert found.measured.endswith("the query of the view returns other content: 3 rows")


def test_a_view_that_may_depend_on_time_is_stale_only_without_its_rows(place, small, view):
    view("SELECT id, now() AS at FROM shelves")
    before = measured(place)
    small.sql("REFRESH MATERIALIZED VIEW counted")
    assert compared(place, before).not_compared == {NAME: "the query of the view may depend on time, chance or the session"}
    small.sql("BEGIN; DELETE FROM shelves; REFRESH MATERIALIZED VIEW counted; INSERT INTO shelves VALUES (1); COMMIT")
    assert [one.code for one in compared(place, before).findings] == ["view-stale"]


def test_a_query_that_fails_is_told(place, small, view):
    small.sql("CREATE FUNCTION fails(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 7 / a; END'")
    view("SELECT fails(id) FROM shelves")
    before = measured(place)
    small.sql(
        "UPDATE shelves SET id = 1 WHERE id = 5",
        "REFRESH MATERIALIZED VIEW counted",
        "UPDATE shelves SET id = 0 WHERE id = 2",
    )
    [found] = compared(place, before).findings
    small.sql("DROP FUNCTION fails CASCADE")
    assert found.measured.endswith("the query that defines the view failed: division by zero")


def test_views_that_are_missing_or_not_populated_are_left_to_the_structure(place, small, view):
    view("SELECT id FROM shelves")
    before = measured(place)
    small.sql("REFRESH MATERIALIZED VIEW counted WITH NO DATA")
    assert measured(place)[NAME].digest is None
    assert nothing(compared(place, before))
    small.sql("DROP MATERIALIZED VIEW counted")
    assert nothing(compared(place, before))

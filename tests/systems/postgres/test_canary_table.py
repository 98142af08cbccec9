"""Tables of canaries: they are found by their columns and their key, and made again after a restore."""

import psycopg
import pytest

from drillbook.systems.postgres.canary_table import TABLE, create, listed
from tests.systems.postgres import fixtures

place, small = fixtures.place, fixtures.small
OWN = ("drillbook", "canary", "postgres")
COLUMNS = "run_id varchar(100) NOT NULL, record_number integer NOT NULL"
KEY = "PRIMARY KEY (run_id, record_number)"


@pytest.fixture
def session(small):
    """Session whose changes are rolled back."""
    with small.connect() as opened, opened.transaction(force_rollback=True):
        yield opened


def test_a_database_without_canaries_lists_none(session):
    assert listed(session) == []


def test_a_table_is_known_by_its_columns_and_its_key(session):
    session.execute(f"CREATE TABLE seen ({COLUMNS}, {KEY})")
    session.execute("ALTER TABLE seen OWNER TO clerk")
    assert listed(session) == [("public", "seen", "clerk")]


@pytest.mark.parametrize(
    "definition",
    [
        COLUMNS,
        f"{COLUMNS.replace('integer', 'bigint')}, {KEY}",
        f"{COLUMNS.replace('(100)', '(99)')}, {KEY}",
        f"{COLUMNS}, more int, {KEY}",
        f"{COLUMNS}, PRIMARY KEY (run_id)",
    ],
)
def test_a_table_of_the_team_that_only_resembles_one_is_none(session, definition):
    session.execute(f"CREATE TABLE seen ({definition})")
    assert listed(session) == []


def test_a_table_that_the_restore_did_not_bring_back_is_made_again(session):
    create(session, [OWN, ("public", "seen", "clerk")], "clerk")
    assert sorted(listed(session)) == [OWN, ("public", "seen", "clerk")]
    session.execute("SET ROLE clerk")
    session.execute(f"INSERT INTO {TABLE} (run, number) VALUES ('r', 1)")
    session.execute("INSERT INTO seen VALUES ('r', 1)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), session.transaction():
        session.execute(f"DELETE FROM {TABLE}")


def test_a_table_that_is_there_keeps_its_rows(session):
    create(session, [OWN], "clerk")
    session.execute(f"INSERT INTO {TABLE} (run, number) VALUES ('r', 1)")
    create(session, [OWN], "clerk")
    assert session.execute(f"SELECT run, number FROM {TABLE}").fetchall() == [("r", 1)]


def test_roles_and_schemas_that_the_cluster_lacks_stop_nothing(small):
    """Each statement is committed by itself, as after a restore."""
    with small.connect() as session:
        try:
            create(session, [("nowhere", "seen", "clerk"), ("public", "seen", "gone"), OWN], "gone")
            assert sorted(listed(session)) == [OWN, ("public", "seen", "postgres")]
        finally:
            session.execute("DROP TABLE IF EXISTS seen")
            session.execute("DROP SCHEMA IF EXISTS drillbook CASCADE")

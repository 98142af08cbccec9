"""Sessions of a real server: what they do, who holds up whom, and what is never shown of their statements."""

import contextlib
import threading

import psycopg
import pytest

from drillbook.systems.postgres.actions.reading.activity import is_upkeep, said
from tests.systems.postgres import fixtures
from tests.waiting import until

place, small = fixtures.place, fixtures.small


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT *\n  FROM goods\tWHERE code = 'secret-word'", "SELECT * FROM goods WHERE code = ?"),
        ("SELECT 'it''s', $$a\nb$$, 1234567, 12345", "SELECT ?, ?, ?, 12345"),
        ("SELECT 'a literal that the server cut of", "SELECT ?"),
        (None, ""),
    ],
)
def test_a_statement_is_shown_in_one_line_without_its_literals(place, query, shown):
    assert said(place.context(), query) == shown


def test_a_long_statement_is_shown_in_part(place):
    assert len(said(place.context(), "SELECT " + "a + " * 500 + "1")) <= 310


@pytest.mark.parametrize(
    ("query", "upkeep"),
    [
        ("COPY goods TO STDOUT", True),
        ("-- nightly\n/* by cron */ vacuum goods", True),
        ("REFRESH  MATERIALIZED VIEW v", True),
        ("create unique index on goods (id)", True),
        ("SELECT 'VACUUM'", False),
        ("COPYING", False),
        ("CREATE TABLE index (a int)", False),
        (None, False),
    ],
)
def test_upkeep_is_known_by_its_first_word(query, upkeep):
    assert is_upkeep(query) is upkeep


@contextlib.contextmanager
def waiting(cluster, query, count):
    """Pid of a session that waits for a lock, as the ``count``-th of them, until the end of the block."""
    session = cluster.connect()
    pid = session.info.backend_pid

    def work():
        with contextlib.suppress(psycopg.errors.QueryCanceled):
            session.execute(query.encode())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        until(lambda: cluster.sql(blocked) == [(count,)], "a session waits for a lock")
        yield pid
    finally:
        session.cancel_safe()
        thread.join(60)
        session.close()


def test_a_session_that_others_wait_for_is_the_root_of_all_of_them(place, small):
    with small.connect() as root:
        root.execute("SET application_name = 'root'")
        root.execute("BEGIN; LOCK TABLE goods IN ACCESS SHARE MODE")
        with (
            waiting(small, "BEGIN; LOCK TABLE goods IN ACCESS EXCLUSIVE MODE", 1) as first,
            waiting(small, "SELECT count(*) FROM goods WHERE code = 'secret-word'", 2) as second,
        ):
            facts = place.run("postgres.blocked", service="small")
            locks = place.run("postgres.locks", service="small")
        (told,) = facts["roots"]
        assert (told["pid"], told["application"], told["holds_up"]) == (root.info.backend_pid, "root", 2)
        assert told["state"] == "idle in transaction"
        assert {one["pid"] for one in facts["waiting"]} == {first, second}
        assert "secret-word" not in str(facts)
        assert "goods" in str(locks)
    assert place.run("postgres.blocked", service="small")["roots"] == []


def test_connections_are_counted_by_state_and_beside_their_limits(place, small):
    with small.connect(user="clerk") as session:
        session.execute("SET application_name = 'counted'")
        facts = place.run("postgres.connections", service="small")
    assert facts["max_connections"] == 14
    (told,) = [one for one in str(facts).split("}") if "counted" in one]
    assert "clerk" in told

"""Connections of the controller: retries, errors in one line, and names of databases."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import psycopg
import pytest

from drillbook.systems.postgres.connection import DEADLOCKS, after_deadlocks, connected, conninfo, reason
from tests.systems.postgres import fixtures

place, small, target = fixtures.place, fixtures.small, fixtures.target


def test_a_superuser_waits_for_a_moment_while_all_its_connections_are_in_use(place, small):
    """Monitoring and probes also use the connections reserved for superusers; an account without this right is
    reported at once.
    """
    ctx, held = place.context(step="restore.1"), []
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            held.append(small.connect())
    gone = threading.Timer(1.0, lambda: held.pop().close())
    gone.start()
    try:
        with pytest.raises(psycopg.OperationalError, match="too many clients"), connected(ctx, small.service, as_user=True):
            pass
        with connected(ctx, small.service, database="postgres") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        gone.join()
        for one in held:
            one.close()


def test_a_server_that_still_replays_its_log_is_waited_for(place, target):
    """As after a crash: the recovery of a run asks this server, and must not report it as unknown.

    A server that never finishes is reported in time.
    """
    target.create()
    (target.data / "standby.signal").touch()
    with (target.data / "postgresql.conf").open("a") as file:
        file.write("hot_standby = off\n")
    target.start()

    def ask(**how):
        with connected(place.context(**how), target.service, database="postgres") as session:
            return session.execute("SELECT pg_is_in_recovery()").fetchone()

    with pytest.raises(psycopg.OperationalError, match="not accepting connections"), target.connect("postgres"):
        pass
    with pytest.raises(psycopg.OperationalError, match="not accepting connections"):
        ask(seconds=1)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        with pytest.raises(FutureTimeout):
            asked.result(0.5)
        target.promote()
        assert asked.result(20) == (False,)


def losing(times):
    """Transaction that loses its first ``times`` deadlocks."""
    left = [psycopg.errors.DeadlockDetected("deadlock detected")] * times

    def transaction():
        if left:
            raise left.pop()
        return "committed"

    return transaction


def test_a_transaction_that_loses_a_deadlock_is_done_again_but_not_for_ever():
    assert after_deadlocks(losing(0)) == ("committed", 0)
    assert after_deadlocks(losing(DEADLOCKS - 1)) == ("committed", DEADLOCKS - 1)
    with pytest.raises(psycopg.errors.DeadlockDetected):
        after_deadlocks(losing(DEADLOCKS))


def test_another_error_of_a_transaction_ends_it_at_once():
    calls = []

    def transaction():
        calls.append(1)
        raise psycopg.errors.UniqueViolation("a key exists already")

    with pytest.raises(psycopg.errors.UniqueViolation):
        after_deadlocks(transaction)
    assert calls == [1]


def test_the_reason_of_an_error_is_one_line():
    assert (
        reason(psycopg.OperationalError("connection failed: no route\nIs the server running?"))
        == "connection failed: no route"
    )
    assert reason(TimeoutError()) == "TimeoutError"
    assert "\x1b" not in reason(OSError("red \x1b[31malert"))


@pytest.mark.parametrize("name", ["shop", "host=far", "postgres://far/shop", "it's a \\ shop", ""])
def test_a_database_with_any_name_is_no_connection_string(name):
    assert psycopg.conninfo.conninfo_to_dict(conninfo(name)).get("dbname", "") == name

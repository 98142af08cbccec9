"""Tables with everything that a drop removes with them, a backup of them, and sessions that get in the way of a restore."""

import contextlib
import threading
import time

import pytest

from drillbook.judge import shortfall
from drillbook.report import remarks
from drillbook.systems.postgres import content
from tests.systems.postgres.site import BUCKET

EXTRA = (
    "COMMENT ON COLUMN orders.item IS 'what'",
    "CREATE VIEW totals AS SELECT t.id, t.i, count(o.id) FROM types t LEFT JOIN orders o ON o.type_id = t.id GROUP BY t.id",
    "GRANT SELECT ON totals TO auditor",
    "COMMENT ON VIEW totals IS 'counted'",
    "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER stamped BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp()",
    "CREATE INDEX orders_item ON orders (item)",
    "CREATE TABLE lines (order_id int REFERENCES orders ON DELETE CASCADE, n int)",
    "INSERT INTO lines SELECT g, g FROM generate_series(1, 300) AS g",
    "GRANT SELECT, UPDATE (item) ON orders TO auditor",
    "CREATE POLICY mine ON secured USING (a > 1)",
    "ALTER TABLE orders ADD CONSTRAINT named CHECK (item <> '')",
    "CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)",
    "GRANT SELECT, INSERT ON log, lines TO clerk",
    "CREATE TABLE kin (id int PRIMARY KEY); CREATE TABLE heir () INHERITS (kin)",
    "INSERT INTO kin VALUES (1), (2); INSERT INTO heir VALUES (3)",
)


@pytest.fixture(scope="module")
def backup(place, primary):
    primary.sql(*EXTRA)
    return place.run("postgres.dump", service="primary", to=f"s3://{BUCKET}/tables")


STEP = {"id": "restore.1", "action": "postgres.restore_table", "host": "db", "status": "done", "seconds": 1.0}


def digests(place):
    with content.snapshot(place.context(), place.clusters["primary"].service) as snap:
        return {table.name: (table.rows, table.digest) for table in content.tables(snap, content.relations(snap))}


def restore(place, backup, table, **options):
    return place.run("postgres.restore_table", service="primary", table=table, **{"from": backup["location"]}, **options)


def back(place, backup, table, where):
    return place.run("postgres.restore_rows", service="primary", table=table, where=where, **{"from": backup["location"]})


def short(*facts):
    """Numbers of removed and of restored rows, when the report of these steps would tell of missing ones."""
    steps = [remarks.Step(f"step.{number}", "any", "done", one) for number, one in enumerate(facts, 1)]
    return [(one.removed, one.restored) for one in shortfall.shortfalls(steps)]


@contextlib.contextmanager
def rival(primary, first, second, waits):
    """Session that locks ``first``, and ``second`` as soon as another one ``waits``: a deadlock that the other
    session loses. The server ends a deadlock in the session whose `deadlock_timeout` expires.
    """

    def lock():
        with primary.connect() as session, session.transaction(force_rollback=True):
            session.execute("SET LOCAL deadlock_timeout = '1h'")
            session.execute(first)
            locked.set()
            with primary.connect() as onlooker:
                until = time.monotonic() + 30
                while onlooker.execute(waits).fetchone() == (0,) and time.monotonic() < until:
                    time.sleep(0.01)
            session.execute(second)

    locked = threading.Event()
    thread = threading.Thread(target=lock)
    thread.start()
    try:
        assert locked.wait(30)
        yield
    finally:
        thread.join()


WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"

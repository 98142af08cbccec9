"""Restores of one table: refused before the fault, closed until they are verified, and never over what is there."""

import threading
import time

import psycopg
import pytest

from drillbook.errors import StepFailed
from tests.ports import free_port
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_table
from tests.systems.postgres.one_table import back, restore
from tests.systems.refusals import refused_until

place, primary, backup = fixtures.place, fixtures.primary, one_table.backup


def test_a_key_of_a_partitioned_table_that_could_not_come_back_refuses_the_restore_before_the_fault(place, primary, backup):
    """Before PostgreSQL 18, such a key cannot be added again while present rows violate it."""
    primary.sql("CREATE TABLE whole (id int PRIMARY KEY)")
    primary.sql("CREATE TABLE shards (p int REFERENCES whole) PARTITION BY LIST (p)")
    action = place.action("postgres.restore_table", service="primary", table="whole", **{"from": backup["location"]})
    [(version,)] = primary.sql("SELECT current_setting('server_version_num')::int")
    if version >= 180000:
        action.ready(place.context())
        primary.sql("DROP TABLE shards")
    else:
        refused_until(
            lambda: action.ready(place.context()),
            "the partitioned table shards has a foreign key to public.whole",
            lambda: primary.sql("DROP TABLE shards"),
        )
    primary.sql("DROP TABLE whole")


def test_a_restore_whose_server_does_not_answer_is_refused_before_the_fault(place, primary, backup):
    place.extra["away"] = primary.service.model_copy(update={"name": "away", "port": free_port()})
    action = place.action("postgres.restore_table", service="away", table="types", **{"from": backup["location"]})
    refused_until(
        lambda: action.ready(place.context()),
        "away cannot be queried for the foreign keys that reference types: ",
        lambda: place.extra.update(away=primary.service),
    )
    del place.extra["away"]


def test_a_closed_table_is_read_but_not_written_until_it_is_admitted(place, primary, backup):
    place.run("postgres.drop_table", service="primary", table="lines")
    over, seen = threading.Event(), {"written": 0, "refused": 0, "elsewhere": 0}

    def write():
        with primary.connect(user="clerk") as session:
            while not over.is_set():
                try:
                    session.execute("INSERT INTO lines VALUES (1, 0)")
                    seen["written"] += 1
                except psycopg.errors.ReadOnlySqlTransaction:
                    seen["refused"] += 1
                except psycopg.errors.UndefinedTable:
                    pass
                session.execute("INSERT INTO log (note) VALUES ('meanwhile')")
                seen["elsewhere"] += 1
                time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ctx = place.context(step="restore.1")
        action = place.action(
            "postgres.restore_table", service="primary", table="lines", closed=True, **{"from": backup["location"]}
        )
        undo = action.undo(ctx)
        assert action.run(ctx)["closed"] is True
        assert action.active(ctx) is True
        for _ in range(2):
            place.run("postgres.matches", service="primary", manifest=backup["manifest"], tables=["public.lines"])
        assert (seen["written"], primary.sql("SELECT count(*) FROM lines")) == (0, [(300,)])
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="until its restore is verified"):
            primary.sql("TRUNCATE lines")
        assert action.run(ctx)["compared"] == "the table existed and equals the backup", "safe to run again"
        assert place.run(undo.action, **undo.params) == {"tables": ["public.lines"]}
        until = time.monotonic() + 5
        while not seen["written"] and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        over.set()
        writer.join()
    assert min(seen.values()) > 0, seen
    assert place.run(undo.action, **undo.params) == {"tables": []}
    assert action.active(ctx) is False
    assert primary.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'drillbook'") == [(0,)]
    primary.sql("DELETE FROM lines WHERE n = 0")


def test_what_is_there_is_not_overwritten_unless_asked(place, primary, backup):
    primary.sql("INSERT INTO orders (item) VALUES ('newer')")
    with pytest.raises(StepFailed) as failure:
        restore(place, backup, "orders")
    assert codes(failure) == ["restore-target"]
    assert primary.sql("SELECT count(*) FROM orders WHERE item = 'newer'") == [(1,)]
    assert restore(place, backup, "orders", replace=True)["replaced"] is True
    place.run("postgres.matches", service="primary", manifest=backup["manifest"], tables=["orders", "lines"])


def test_conditions_that_hold_more_than_a_condition_are_refused(place, backup):
    for where in ("true; DROP TABLE orders", "true \\! id", " "):
        with pytest.raises(ValueError, match="condition"):
            back(place, backup, "orders", where)
    with pytest.raises(StepFailed, match="contains no table"):
        back(place, backup, "nothing", "true")

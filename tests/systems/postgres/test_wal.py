"""Receivers of WAL: one that lags, that ended, or that nobody ends."""

import os
import signal
import time
from pathlib import Path

import pytest

from drillbook.errors import NotReady, StepFailed
from tests.systems.estate import codes
from tests.systems.postgres import fixtures, one_ledger
from tests.systems.postgres.one_ledger import processes

place, primary = fixtures.place, one_ledger.primary


def test_nobody_waits_for_a_log_that_is_not_received(place, primary):
    with pytest.raises(StepFailed, match="nothing receives the WAL of primary"):
        place.run("postgres.wal_received", service="primary")


def test_a_receiver_that_lags_is_waited_for_and_named(place, primary):
    """The id of the run is longer than the names that a server stores."""
    ctx = place.context(run=f"{'database-lost-' * 4}20260101-000000-{os.urandom(4).hex()}")
    pid = place.run("postgres.stream_wal", service="primary", ctx=ctx)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StepFailed, match="was not received up to") as failure:
            place.run("postgres.wal_received", service="primary", ctx=ctx, within="1s")
        assert codes(failure) == ["wal-behind"]
    finally:
        os.kill(pid, signal.SIGCONT)
    place.run("postgres.wal_received", service="primary", ctx=ctx)
    place.run("postgres.stop_wal", service="primary", ctx=ctx)


def slots(primary):
    return primary.sql("SELECT slot_name, temporary FROM pg_replication_slots WHERE slot_name LIKE 'drillbook%'")


def await_no_slot(primary):
    until = time.monotonic() + 30
    while slots(primary) and time.monotonic() < until:
        time.sleep(0.05)
    assert slots(primary) == []


def test_the_server_keeps_wal_for_a_receiver_that_lags_behind_several_checkpoints(place, primary):
    """Without a slot a fast checkpoint removes the segment that the receiver reads, as pg_basebackup's does."""
    ctx = place.context()
    pid = place.run("postgres.stream_wal", service="primary", ctx=ctx)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(12):
            primary.sql(f"INSERT INTO ledger (note) VALUES ('while it lags {number}')")
            primary.sql("SELECT pg_switch_wal()")
            primary.sql("CHECKPOINT")
    finally:
        os.kill(pid, signal.SIGCONT)
    place.run("postgres.wal_received", service="primary", ctx=ctx)
    assert [temporary for _, temporary in slots(primary)] == [True]
    place.run("postgres.stop_wal", service="primary", ctx=ctx)
    await_no_slot(primary)


def test_the_slot_follows_the_receiver_so_that_received_wal_is_not_kept(place, primary):
    ctx = place.context()
    place.run("postgres.stream_wal", service="primary", ctx=ctx)
    primary.sql("SELECT pg_switch_wal()")
    reached = place.run("postgres.wal_received", service="primary", ctx=ctx)["lsn"]
    until, kept = time.monotonic() + 30, None
    while kept != [(True,)] and time.monotonic() < until:
        kept = primary.sql(
            f"SELECT restart_lsn >= '{reached}'::pg_lsn FROM pg_replication_slots WHERE slot_name LIKE 'drillbook%'"
        )
    assert kept == [(True,)]
    place.run("postgres.stop_wal", service="primary", ctx=ctx)


def test_the_slot_is_gone_soon_after_its_receiver_was_killed(place, primary):
    ctx = place.context()
    pid = place.run("postgres.stream_wal", service="primary", ctx=ctx)["pid"]
    os.kill(pid, signal.SIGKILL)
    await_no_slot(primary)
    place.run("postgres.stop_wal", service="primary", ctx=ctx)


def test_a_server_without_a_free_slot_is_not_ready(place, primary):
    most = int(primary.sql("SHOW max_replication_slots")[0][0])
    action = place.action("postgres.stream_wal", service="primary")
    primary.sql(f"SELECT pg_create_physical_replication_slot('taken_' || n) FROM generate_series(1, {most}) n")
    try:
        with pytest.raises(NotReady, match="the server has no free replication slot to keep WAL"):
            action.ready(place.context())
        with pytest.raises(StepFailed, match="a temporary replication slot could not be made"):
            place.run("postgres.stream_wal", service="primary")
    finally:
        primary.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'taken%'")
    action.ready(place.context())


def test_the_receiver_is_ended_and_leaves_what_it_received(place, primary):
    ctx = place.context()
    streamed = place.run("postgres.stream_wal", service="primary", ctx=ctx)
    assert place.run("postgres.stop_wal", service="primary", ctx=ctx) == {"stopped": True}
    assert processes(place) == []
    assert list(Path(streamed["folder"]).glob("0*"))
    assert place.run("postgres.stop_wal", service="primary", ctx=ctx) == {"stopped": False}


def test_a_receiver_that_ended_is_not_taken_for_another_process(place, primary):
    ctx = place.context()
    streamed = place.run("postgres.stream_wal", service="primary", ctx=ctx)
    os.kill(streamed["pid"], signal.SIGKILL)
    until = time.monotonic() + 20
    while processes(place) and time.monotonic() < until:
        time.sleep(0.02)
    Path(f"{streamed['folder']}.pid").write_text(f"{os.getpid()}\n")
    assert place.run("postgres.stop_wal", service="primary", ctx=ctx) == {"stopped": False}


def test_a_receiver_that_nobody_ends_ends_by_itself(place, primary):
    ctx = place.context()
    streamed = place.run(
        "postgres.stream_wal", service="primary", ctx=ctx, **{"for": "8s"}
    )  # long enough to start on a loaded machine
    until = time.monotonic() + 60
    while processes(place) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes(place) == []
    assert list(Path(streamed["folder"]).glob("0*"))
    assert place.action("postgres.stream_wal", service="primary").active(ctx) is False

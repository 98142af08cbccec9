"""Receivers of WAL: one that lags, that ended, or that nobody ends."""

import os
import signal
import time
from pathlib import Path

import pytest

from drillbook.errors import StepFailed
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

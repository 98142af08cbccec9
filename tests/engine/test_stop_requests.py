"""Requests to stop a run: by a signal, by a file, and the reason of the first one."""

import os
import signal
import time

import pytest

from drillbook.engine.stop_requests import FILE, Held, Stop, by_signals, watching
from drillbook.journal.journal import Journal, read
from drillbook.redact import Redactor
from tests.waiting import until


@pytest.fixture
def journal(tmp_path):
    (tmp_path / "run").mkdir()
    writer = Journal(tmp_path / "run", Redactor(()), origin=time.monotonic())
    yield writer
    writer.close()


def events(journal):
    """Kind and data of each event that is written by now; a journal without any is not there yet."""
    if not journal.path.exists() or not journal.path.stat().st_size:
        return []
    return [(event.kind, event.data) for event in read(journal.path).events]


def test_the_first_reason_stays():
    stop = Stop()
    assert stop.ask("the first", why="inconclusive") is True
    assert stop.ask("the second") is False
    assert (stop.message, stop.why, stop.flag.is_set()) == ("the first", "inconclusive", True)


def test_a_signal_stops_a_second_one_hurries_and_both_are_recorded(journal):
    stop, before = Stop(), signal.getsignal(signal.SIGTERM)
    with by_signals(stop, journal):
        os.kill(os.getpid(), signal.SIGTERM)
        until(stop.flag.is_set)
        assert not stop.hurry.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        until(stop.hurry.is_set)
        until(lambda: len(events(journal)) == 2)
    assert (stop.message, stop.signal) == ("the run was stopped by SIGTERM", signal.SIGINT)
    assert events(journal) == [
        ("signal", {"name": "SIGTERM", "again": False}),
        ("signal", {"name": "SIGINT", "again": True}),
    ]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_held_back_stops_the_run_at_once_and_is_dropped_once_all_is_complete():
    told, stop = [], Stop()
    held = Held(told.append)
    with held.back(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        until(stop.flag.is_set)
        until(lambda: told)
        held.complete()
    assert told == ["SIGTERM: the program ends when the record of the run is complete"]
    assert held.signalled


def test_a_file_stops_the_run_with_its_text(journal, tmp_path):
    stop = Stop()
    with watching(stop, journal.path.parent, tmp_path, journal=journal):
        (tmp_path / FILE).write_text("ann: the customer calls\n")
        until(stop.flag.is_set)
    assert stop.message == "the run was stopped by the file stop: ann: the customer calls"
    assert events(journal) == [("stop.requested", {"by": "ann: the customer calls", "from": "file stop"})]

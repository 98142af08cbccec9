"""Time for which this machine was suspended: events tell it, and a system without such a clock is not asked."""

from types import SimpleNamespace

import pytest

from drillbook.journal import suspension
from drillbook.journal.journal import FILE, Journal, read
from drillbook.redact import Redactor
from tests.contents import content


def test_events_tell_for_how_long_the_controller_was_suspended(tmp_path, monkeypatch):
    asleep = 40.0
    clocks = SimpleNamespace(monotonic=lambda: 7.0, CLOCK_BOOTTIME=7, clock_gettime=lambda clock: 7.0 + asleep)
    monkeypatch.setattr(suspension, "time", clocks)
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    journal.append(content("phase.started", {"phase": "restore"}))
    asleep = 340.0
    journal.append(content("probe.samples", {"samples": []}))
    journal.append(content("note"))
    journal.close()
    assert [event.data.get("slept_s") for event in read(tmp_path / FILE).events] == [0.0, 300.0, None]


def test_a_system_that_does_not_tell_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(suspension, "time", SimpleNamespace(monotonic=lambda: 7.0))
    journal = Journal(tmp_path, Redactor([]), origin=0.0)
    assert journal.append(content("phase.started", {"phase": "restore"})).data == {"phase": "restore"}
    journal.close()


def test_the_fastest_of_several_readings_counts(monkeypatch):
    """Between two reads of a clock the process may wait for the processor."""
    readings = iter([0.0, 9.0, 10.0, 14.5] + [20.0, 29.0] * 8)
    clocks = SimpleNamespace(monotonic=lambda: next(readings), CLOCK_BOOTTIME=7, clock_gettime=lambda clock: 112.0)
    monkeypatch.setattr(suspension, "time", clocks)
    assert suspension.suspended() == pytest.approx(112.0 - (10.0 + 14.5) / 2)

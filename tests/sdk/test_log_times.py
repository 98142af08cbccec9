"""Ages of log lines by the host's clock: with zones, without them, and without times."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from drillbook.hosts.fake import FakeHost, Reply
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline
from drillbook.sdk.log_times import HostClock, dated, host_clock

NOW = datetime(2026, 11, 30, 0, 0, 0, tzinfo=UTC).timestamp()
READ_AT = 1000.0


def clock(hours=0.0):
    return HostClock(NOW, timezone(timedelta(hours=hours)), READ_AT)


def lines(*texts, ago=10.0, hours=0.0):
    """The lines, and which of them are older than so many seconds."""
    return [one.older for one in dated(texts, clock(hours), READ_AT - ago)]


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-29 23:59:00,500 ERROR it: no",
        "2026-11-29T23:59:00+0000 host unit[12]: error: no",
        "2026-11-30T07:59:00+08:00 host unit[12]: error: no",
        "[2026-11-29 23:59:00 +0000] [12] [ERROR] no",
        "[ERROR] 2026-11-29 23:59:00: no",
        "ERROR:2026-11-29 23:59:00: no",
        "2026/11/29 23:59:00 [error] 12#12: no",
        "2026-11-29 23:59:00.123 UTC [12] FATAL:  no",
        '{"level": "error", "ts": "2026-11-29T23:59:00.1Z", "msg": "no"}',
        '{"@timestamp":"2026-11-29T23:59:00Z","level":"error"}',
        "level=error time=2026-11-29T23:59:00Z msg=no",
    ],
)
def test_a_time_in_the_usual_forms_is_read(line):
    (one,) = dated([line], clock(), READ_AT - 10)
    assert one.older
    assert one.age_s == pytest.approx(59.5, abs=0.51)
    assert lines(line, ago=61.0) == [False]


@pytest.mark.parametrize(
    "line",
    [
        "ERROR no",
        "23:59:00 ERROR no",
        "Nov 29 23:59:00 host unit[12]: error: no",
        "the backup of 2026-01-01 00:00:00 is missing",
        "error: start time=2026-13-01 00:00:00",
        "",
    ],
)
def test_an_unknown_time_is_no_proof_of_age(line):
    (one,) = dated([line], clock(), READ_AT - 10)
    assert (one.age_s, one.older) == (None, False)


@pytest.mark.parametrize(
    ("hours", "line", "older"),
    [
        (8.0, "2026-11-30 07:59:55 ERROR written in the host's zone", False),
        (8.0, "2026-11-29 23:59:55 ERROR written in UTC", False),
        (8.0, "2026-11-30 07:59:00 ERROR written in the host's zone", True),
        (8.0, "2026-11-29 23:59:00 ERROR written in UTC", True),
        (8.0, "2026-11-29 23:59:55 ERROR written in the host's zone 8 h ago, or now in UTC", False),
        (-5.0, "2026-11-29 18:59:55 ERROR written in the host's zone", False),
        (-5.0, "2026-11-29 18:59:00 ERROR written in the host's zone", True),
        (-5.0, "2026-11-29 23:59:00 ERROR written in UTC", True),
        (0.0, "2026-11-30 05:00:00 ERROR written in a zone that nobody knows", False),
    ],
)
def test_a_time_without_a_zone_may_be_the_hosts_or_utc(hours, line, older):
    assert lines(line, hours=hours) == [older]


def test_what_stands_before_an_older_line_is_older():
    before = ["Traceback (most recent call last):", "ValueError: no", "2026-11-29 23:59:00 INFO started"]
    after = ["ValueError: again", "2026-11-29 23:59:58 INFO stopped", "killed"]
    assert lines(*before, *after) == [True, True, True, False, False, False]


def test_without_a_clock_or_a_moment_nothing_is_older():
    line = "2026-11-29 23:59:00 ERROR no"
    assert [one.older for one in dated([line], None, READ_AT)] == [False]
    assert [one.older for one in dated([line], clock(), None)] == [False]


def test_whole_seconds_never_make_a_line_older_than_it_may_be():
    assert lines("2026-11-29 23:59:49 ERROR perhaps at 49.9", ago=10.5) == [False]
    assert lines("2026-11-29 23:59:49.100 ERROR", ago=10.5) == [True]


@pytest.mark.parametrize(
    ("told", "offset_h", "now"),
    [
        ("1764460800.123456789 +0530\n", 5.5, 1764460800.123456789),
        ("1764460800.%N -0330\n", -3.5, 1764460800.0),
        ("1764460800. +0000\n", 0.0, 1764460800.0),
    ],
)
def test_the_clock_of_a_host_with_its_zone(told, offset_h, now, tmp_path):
    found = host_clock(_ctx(FakeHost("app", commands={"date": told}), tmp_path))
    assert (found.now, found.zone.utcoffset(None)) == (now, timedelta(hours=offset_h))


@pytest.mark.parametrize("reply", [Reply(exit=1), "nonsense", Reply(exit=127)])
def test_a_host_that_does_not_tell_the_time(reply, tmp_path):
    assert host_clock(_ctx(FakeHost("app", commands={"date": reply}), tmp_path)) is None


def _ctx(host, folder):
    return Context(
        run_id="r",
        step="diagnose.1",
        host=host,
        services={},
        host_named=lambda name: host,
        deadline=Deadline.after(30),
        folder=folder,
    )

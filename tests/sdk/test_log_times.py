"""Ages of log lines by the host's clock: with zones, without them, and without times."""

from datetime import UTC, datetime

import pytest

from drillbook.hosts.fake import FakeHost, Reply
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline
from drillbook.sdk.log_times import HostClock, dated, host_clock

NOW = datetime(2026, 11, 30, 0, 0, 0, tzinfo=UTC).timestamp()
READ_AT = 1000.0


CLOCK = HostClock(NOW, READ_AT)


def lines(*texts, ago=10.0):
    """Return for each line if it is older than ``ago`` seconds."""
    return [one.older for one in dated(texts, CLOCK, READ_AT - ago)]


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-29 23:59:00,500Z ERROR it: no",
        "2026-11-29T23:59:00+0000 host unit[12]: error: no",
        "2026-11-30T07:59:00+08:00 host unit[12]: error: no",
        "[2026-11-29 23:59:00 +0000] [12] [ERROR] no",
        "[ERROR] 2026-11-29 23:59:00 +0000: no",
        "ERROR:2026-11-29 23:59:00 +0000: no",
        "2026/11/29 23:59:00Z [error] 12#12: no",
        "2026-11-29 23:59:00.123 UTC [12] FATAL:  no",
        '{"level": "error", "ts": "2026-11-29T23:59:00.1Z", "msg": "no"}',
        '{"@timestamp":"2026-11-29T23:59:00Z","level":"error"}',
        "level=error time=2026-11-29T23:59:00Z msg=no",
    ],
)
def test_a_time_in_the_usual_forms_is_read(line):
    (one,) = dated([line], CLOCK, READ_AT - 10)
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
    (one,) = dated([line], CLOCK, READ_AT - 10)
    assert (one.age_s, one.older) == (None, False)


@pytest.mark.parametrize(
    ("line", "older"),
    [
        ("2026-11-29 11:59:55 ERROR written 5 s ago where it is 12 hours earlier than UTC", False),
        ("2026-11-29 11:59:00 ERROR older in any zone", True),
        ("2026-11-29 18:59:55 EST ERROR written 5 s ago in a zone whose abbreviation nobody need know", False),
        ("2026-11-29 18:59:55 GMT-5 ERROR written 5 s ago", False),
        ("2026-11-30 14:00:00 ERROR written now where it is 14 hours later than UTC", False),
    ],
)
def test_a_time_without_a_known_zone_is_old_only_when_it_is_old_in_every_zone(line, older):
    (one,) = dated([line], CLOCK, READ_AT - 10)
    assert (one.older, one.age_s) == (older, None)


@pytest.mark.parametrize(
    "line",
    [
        '{"level": "error", "msg": "no", "record": {"time": "2020-01-01T00:00:00Z"}}',
        '{"ts": "2026-11-29T23:59:58Z", "msg": "no", "timestamp": "2020-01-01T00:00:00Z"}',
        '{"record": {"time": "2020-01-01T00:00:00Z"}, "time": "2026-11-29T23:59:58Z", "msg": "no"}',
        "error: no row with time=2020-01-01T00:00:00Z",
        "  2020-01-01 00:00:00+00 | a row of data",
    ],
)
def test_a_time_of_business_hides_no_error(line):
    assert lines("ERROR no", line, "ERROR again") == [False, False, False]


def test_a_line_between_newer_and_older_times_is_not_older():
    row = "2020-01-01 00:00:00+00 | a row of data"
    assert lines("2026-11-29 23:59:58Z ERROR in a row:", "ValueError: no", row, "killed") == [False, False, True, False]


def test_what_stands_before_an_older_line_is_older():
    before = ["Traceback (most recent call last):", "ValueError: no", "2026-11-29 23:59:00Z INFO started"]
    after = ["ValueError: again", "2026-11-29 23:59:58Z INFO stopped", "killed"]
    assert lines(*before, *after) == [True, True, True, False, False, False]


def test_without_a_clock_or_a_moment_nothing_is_older():
    line = "2026-11-29 23:59:00Z ERROR no"
    assert [one.older for one in dated([line], None, READ_AT)] == [False]
    assert [one.older for one in dated([line], CLOCK, None)] == [False]


def test_whole_seconds_never_make_a_line_older_than_it_may_be():
    assert lines("2026-11-29 23:59:49Z ERROR perhaps at 49.9", ago=10.5) == [False]
    assert lines("2026-11-29 23:59:49.100Z ERROR", ago=10.5) == [True]


@pytest.mark.parametrize(
    ("told", "now"),
    [
        ("1764460800.123456789\n", 1764460800.123456789),
        ("1764460800.%N\n", 1764460800.0),
        ("1764460800.\n", 1764460800.0),
    ],
)
def test_the_clock_of_a_host(told, now, tmp_path):
    assert host_clock(_ctx(FakeHost("app", commands={"date": told}), tmp_path)).now == now


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

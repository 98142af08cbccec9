"""Access logs in the formats of servers."""

import datetime

import pytest

from drillbook.systems.http import accesslog

AT = datetime.datetime(2026, 3, 1, 10, 20, 30, tzinfo=datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("line", "endpoint", "status", "seconds", "resolution"),
    [
        (
            "2026-03-01 10:20:30,000 GET /api/v1/documents/17 status=200 duration=0.0123",
            "GET /api/v1/documents/{}",
            200,
            0.0123,
            5e-5,
        ),
        (
            '10.0.0.9 - - [01/Mar/2026:11:20:30 +0100] "POST /login?token=x HTTP/1.1" 503 12 "-" "curl/8" 1.250',
            "POST /login",
            503,
            1.25,
            5e-4,
        ),
        (
            '10.0.0.9 - - [01/Mar/2026:10:20:30 +0000] "GET / HTTP/2.0" 200 12 "-" "a 3.5" rt=0.040 uct="0.1"',
            "GET /",
            200,
            0.04,
            5e-4,
        ),
        (
            '2026-03-01T10:20:30.000Z INFO:     127.0.0.1:5000 - "GET /a/0f8fad5b-d9cb-469f-a165-70867728950e HTTP/1.1" 200 OK 12.5ms',
            "GET /a/{}",
            200,
            0.0125,
            5e-5,
        ),
        ("2026-03-01T11:20:30+01:00 DELETE /x status=404 duration_ms=7", "DELETE /x", 404, 0.007, 5e-4),
        (
            "Mar 1 host api[3]: 2026-03-01 10:20:30 GET /v1/healthz status=200 took=300us",
            "GET /v1/healthz",
            200,
            0.0003,
            5e-7,
        ),
    ],
)
def test_lines_of_servers(line, endpoint, status, seconds, resolution):
    found = accesslog.read(line)
    assert (found.endpoint, found.status, found.at) == (endpoint, status, AT)
    assert (found.seconds, found.resolution) == (pytest.approx(seconds), pytest.approx(resolution))
    assert "token" not in found.path


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        'INFO:     127.0.0.1:5000 - "GET / HTTP/1.1" 200 OK',
        "2026-99-01 10:20:30 GET / status=200 duration=1.0",
        "GET / status=200 duration=1.0",
        "2026-03-01 10:20:30 GET / status=200 duration=" + "9" * 5000,
        "2026-03-01 " * 2000,
        "GET " * 3000,
    ],
)
def test_other_lines_are_passed_over(line):
    assert accesslog.read(line) is None or "9" * 100 in line


def test_a_time_without_a_zone_is_the_hosts():
    zone = datetime.timezone(datetime.timedelta(hours=8))
    assert accesslog.read("2026-03-01 18:20:30 GET / status=200 duration=1.0", zone).at == AT

"""http.slowest and http.errors on a file of a host."""

import datetime
import time

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.service import Http
from drillbook.systems.http import requestlog
from drillbook.systems.http.actions.reading.logged_requests import Errors, Slowest
from tests.systems.ground import Ground
from tests.systems.refusals import refused_until


@pytest.fixture
def ground(tmp_path):
    made = Ground(
        tmp_path,
        services={
            "api": Http(name="api", host="here", url="http://x", access_log=str(tmp_path / "access.log")),
            "bare": Http(name="bare", host="here", url="http://x"),
        },
    )
    yield made
    made.close()


def line(ago, path, seconds, status=200):
    at = datetime.datetime.fromtimestamp(time.time() - ago, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{at} GET {path} status={status} duration={seconds:.4f}\n"


def test_the_slow_endpoint_is_named(ground):
    lines = [line(60, f"/fast/{number}", 0.01) for number in range(40)] + [
        line(50, f"/slow?q={n}", 2 + n, 503) for n in range(4)
    ]
    old = [line(4000, "/old", 90)]
    (ground.root / "access.log").write_text("".join(old + lines) + "Traceback\n")
    facts = Slowest(service="api", last="10m").run(ground.ctx())
    assert facts["slowest"] == "GET /slow"
    assert [
        (row["endpoint"], row["count"], row["p50_s"], row["p95_s"], row["server_errors"]) for row in facts["endpoints"]
    ] == [("GET /slow", 4, 3, 5, 4), ("GET /fast/{}", 40, 0.01, 0.01, 0)]
    assert (facts["count"], facts["max_s"], facts["complete"], facts["other_lines"]) == (44, 5, True, 1)
    assert facts["slowest_requests"][0]["request"] == "GET /slow"
    assert facts["resolution_s"] == pytest.approx(5e-5)


def test_the_endpoint_that_fails_is_named(ground):
    lines = [line(5, f"/fails/{number}", 0.01, 500 if number % 2 else 200) for number in range(8)]
    lines += [
        line(5, "/waits", 0.01, 503),
        line(4, "/waits", 0.01, 503),
        line(400, "/old", 0.01, 500),
        line(3, "/x", 0.01, 404),
    ]
    (ground.root / "access.log").write_text("".join(lines))
    facts = Errors(service="api", last="1m").run(ground.ctx())
    assert (facts["count"], facts["server_errors"], facts["broken"], facts["broken_share"]) == (11, 6, 4, 0.3636)
    assert [(row["endpoint"], row["count"], row["broken"], row["statuses"]) for row in facts["endpoints"]] == [
        ("GET /fails/{}", 8, 4, {"500": 4}),
        ("GET /waits", 2, 0, {"503": 2}),
    ]
    assert facts["last_failed"]["request"] == "GET /waits"
    (ground.root / "access.log").write_text(line(5, "/x", 0.01))
    assert Errors(service="api", last="1m").run(ground.ctx())["endpoints"] == []


def test_a_log_that_was_just_rotated(ground):
    (ground.root / "access.log.1").write_text(line(60, "/before", 1))
    (ground.root / "access.log").write_text(line(1, "/after", 2))
    facts = Slowest(service="api", last="10m").run(ground.ctx())
    assert {row["endpoint"] for row in facts["endpoints"]} == {"GET /before", "GET /after"}


def test_a_log_that_is_longer_than_what_is_read(ground, monkeypatch):
    monkeypatch.setattr(requestlog, "MOST_BYTES", 2000)
    (ground.root / "access.log").write_text("".join(line(100, "/x", 1) for _ in range(500)))
    facts = Slowest(service="api", last="10m").run(ground.ctx())
    assert facts["complete"] is False
    assert 0 < facts["count"] < 50
    assert Slowest(service="api", last="50s").run(ground.ctx())["complete"] is True


def test_no_request_of_late_is_no_figure(ground):
    (ground.root / "access.log").write_text(line(4000, "/old", 90))
    facts = Slowest(service="api", last="1m").run(ground.ctx())
    assert (facts["count"], facts["p95_s"], facts["slowest"], facts["endpoints"]) == (0, None, None, [])


def test_a_log_that_tells_nothing_could_not_be_verified(ground):
    (ground.root / "access.log").write_text('INFO:     127.0.0.1:5000 - "GET / HTTP/1.1" 200 OK\n')
    with pytest.raises(CouldNotVerify, match="none of the last 1 lines"):
        Slowest(service="api").run(ground.ctx())


def test_a_log_that_is_not_there_is_told_before_the_drill(ground):
    slowest, log = Slowest(service="api"), ground.root / "access.log"
    refused_until(lambda: slowest.ready(ground.ctx()), "access.log cannot be read", log.touch)
    with pytest.raises(NotReady, match="neither `access_log` nor `unit`"):
        Slowest(service="bare").ready(ground.ctx())


def without_zone(ago):
    at = datetime.datetime.fromtimestamp(time.time() - ago).strftime("%Y-%m-%d %H:%M:%S")
    return f"{at} GET /x status=200 duration=1.0\n"


@pytest.mark.parametrize("hours", [8, -8, 5.75])
def test_a_log_in_another_zone_could_not_be_verified(ground, hours):
    (ground.root / "access.log").write_text("".join(without_zone(hours * 3600 + ago) for ago in (300, 100, 20)))
    with pytest.raises(CouldNotVerify, match="have no time zone"):
        Slowest(service="api", last="10m").run(ground.ctx())


def test_an_old_log_without_a_zone_is_only_old(ground):
    (ground.root / "access.log").write_text(without_zone(3600 + 450))
    assert Slowest(service="api", last="1m").run(ground.ctx())["count"] == 0
    (ground.root / "access.log").write_text(without_zone(3600 + 20) + without_zone(20))
    assert Slowest(service="api", last="1m").run(ground.ctx())["count"] == 1

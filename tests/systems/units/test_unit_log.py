"""Errors in the last lines of a unit's log."""

import time
from datetime import UTC, datetime

from drillbook.sdk.log_times import HostClock
from drillbook.systems.units.unit_log import MOST_ERRORS, facts


def told(*lines, most=100, clock=None, since=None):
    return facts(["\n".join(lines)], most, clock, since)


def test_lines_with_errors_are_listed_and_others_are_not():
    said = told(
        "started", "ERROR: no route", "0 errors so far", "listening on terror.example", "psycopg.OperationalError: refused"
    )
    assert said["errors"] == ["ERROR: no route", "psycopg.OperationalError: refused"]
    assert said["last_error"] == "psycopg.OperationalError: refused"
    assert len(said["lines"]) == 5
    assert told("all is well")["last_error"] == ""


def test_an_error_that_comes_again_is_listed_once_where_it_came_last():
    assert told("error a", "error b", "error a")["errors"] == ["error b", "error a"]
    many = told(*(f"error {number}" for number in range(100)))["errors"]
    assert many == [f"error {number}" for number in range(100 - MOST_ERRORS, 100)]


def test_only_the_last_lines_count_and_empty_ones_do_not():
    said = told("error early", "", "  ", "one", "two", most=2)
    assert (said["lines"], said["errors"]) == (["one", "two"], [])


def test_control_characters_are_shown_as_text():
    assert told("error \x1b[31mred")["errors"] == ["error \\x1b[31mred"]


def test_an_error_from_before_the_incident_is_an_older_one():
    now = 1_800_000_000.0
    clock = HostClock(now, time.monotonic())

    def line(ago, text):
        return f"{datetime.fromtimestamp(now - ago, UTC):%Y-%m-%dT%H:%M:%SZ} {text}"

    said = told(line(600, "error before"), line(5, "error now"), clock=clock, since=clock.read_at - 60)
    assert said["older_errors"] == [line(600, "error before")]
    assert said["errors"] == [line(5, "error now")]
    assert 4 <= said["last_error_age_s"] <= 6

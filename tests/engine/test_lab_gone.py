"""A lab that was taken down or replaced is detected from the first event of a run, and only on the machine of the run."""

import os
import platform
from datetime import UTC, datetime, timedelta

import pytest

from drillbook.engine.lab_gone import MARKER, lab_gone

BEGUN = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab"


def first(lab, *, kind="embedded", machine=None, known=("known_hosts", "known_hosts")):
    hosts = {f"app-{number}": {"known_hosts": str(lab / name)} for number, name in enumerate(known)}
    return {
        "at": BEGUN.isoformat(),
        "data": {
            "controller": f"{machine or platform.node()}, Linux",
            "plan": {"inventory": {"lab": kind, "hosts": hosts}},
        },
    }


def made(lab, at):
    lab.mkdir()
    (lab / MARKER).write_text("drillbook lab\n")
    os.utime(lab / MARKER, (at.timestamp(), at.timestamp()))


def test_a_lab_that_was_taken_down_is_gone(lab):
    assert lab_gone(first(lab)) == f"the lab of the run in {lab} no longer exists"


def test_a_lab_that_was_made_after_the_run_began_is_another_one(lab):
    made(lab, BEGUN + timedelta(minutes=5))
    assert f"the lab now in {lab} was made later, at 2026-01-10 12:05 UTC" in lab_gone(first(lab))


def test_a_lab_that_is_older_than_the_run_is_still_there(lab):
    made(lab, BEGUN - timedelta(minutes=5))
    assert lab_gone(first(lab)) == ""


@pytest.mark.parametrize(
    "unknown",
    [{"kind": ""}, {"machine": "elsewhere"}, {"known": ("known_hosts", "other/known_hosts")}, {"known": ()}],
    ids=["no lab", "another machine", "two labs", "no host"],
)
def test_nothing_is_called_gone_that_is_not_known(lab, unknown):
    assert lab_gone(first(lab, **unknown)) == ""


@pytest.mark.parametrize("event", [{}, {"data": None}, {"data": {"plan": None}}, {"data": {"plan": {"inventory": 1}}}])
def test_a_first_event_that_names_no_inventory_tells_nothing(event):
    assert lab_gone(event) == ""

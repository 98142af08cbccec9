"""Local times of a host, converted by the host itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.local_times import moments


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 10), ("Europe/Berlin", 9), ("America/New_York", 15)])
def test_a_host_reads_times_in_its_own_zone_and_says_which_texts_are_none(monkeypatch, zone, hour):
    monkeypatch.setenv("TZ", zone)
    host = LocalHost("here", target=Target(name="here", local=True))
    found = moments(host, ["2026-01-15 10:00:00", "no time", "2026-01-15 10:00:00 UTC"], Deadline.after(15))
    assert found == [datetime(2026, 1, 15, hour, tzinfo=UTC), None, datetime(2026, 1, 15, 10, tzinfo=UTC)]
    assert moments(host, ["2026-01-15  9:59:59"], Deadline.after(15)) == [
        datetime(2026, 1, 15, hour - 1, 59, 59, tzinfo=UTC)
    ]

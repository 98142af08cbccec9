"""The newest moment in a keyspace that was restored from an RDB: streams, times in values, and times to live."""

import time
from datetime import UTC, datetime

import pytest

from drillbook.errors import CouldNotVerify
from tests.systems.redis.alone import Alone
from tests.systems.redis.test_rdb_source import estate

NEWEST = 1_793_534_400_000
"""A moment, in milliseconds since 1970."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """RDB with a stream, heartbeats, and sessions that live an hour; and the time of the last session."""
    with Alone(tmp_path_factory.mktemp("server")) as server:
        client = server.client()
        client.xadd("events", {"a": "1"}, id=f"{NEWEST}-0")
        for step in range(4):
            client.set(f"beat:{step}", str(NEWEST / 1000 - 2 * step))
            client.set(f"when:{step}", datetime.fromtimestamp(NEWEST / 1000 - step, UTC).isoformat())
        client.set("page:1", "not a time")
        client.set("session:1", "x", ex=3600)
        return server.saved(), time.time()


@pytest.fixture
def place(tmp_path, saved):
    made = estate(tmp_path, saved[0])
    made.restore("dumps", "copy")
    yield made
    made.remove("dumps", "copy")


def test_each_basis_tells_its_moment_and_its_error(place, saved):
    facts = place.run("redis.newest_moment", service="copy", times=["beat:*", "when:*"], lifetimes={"session:*": "1h"})
    found = {moment["basis"]: moment for moment in facts["moments"]}
    at = datetime.fromtimestamp(NEWEST / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert found["the newest entry of a stream, by its id"] == {
        "moment": at,
        "basis": "the newest entry of a stream, by its id",
        "error_s": 0.0,
    }
    assert (
        found["the newest time in the values of the keys beat:*"]["moment"],
        found["the newest time in the values of the keys beat:*"]["error_s"],
    ) == (at, 2.0)
    assert found["the newest time in the values of the keys when:*"]["error_s"] == 1.0
    [session] = [moment for basis, moment in found.items() if "session" in basis]
    assert abs(datetime.fromisoformat(session["moment"]).timestamp() - saved[1]) < 1
    loss = place.run("loss.measure", service="copy", by={"times": ["beat:*"]})
    assert loss["newest_moment"] == at
    assert set(facts) - {"age_s"} <= set(loss)


def test_a_value_that_is_no_time_is_not_used(place):
    with pytest.raises(CouldNotVerify, match="is not a time"):
        place.run("redis.newest_moment", service="copy", times=["page:*"])

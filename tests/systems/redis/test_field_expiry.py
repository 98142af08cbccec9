"""Expiry times of hash fields, as a real server tells them."""

import time

import pytest

from drillbook.systems.redis import field_expiry
from drillbook.systems.redis.connection import connected

LATER = int(time.time() * 1000) + 3_600_000


@pytest.fixture
def session(cache):
    with connected(cache.context(), cache.service) as made:
        yield made


def test_a_server_without_expiring_fields_has_none(session):
    assert all(hashes == {} for hashes in field_expiry.read(session).values())


def test_each_hash_with_an_expiring_field_is_told_with_the_earliest_time(cache, session):
    client = cache.client()
    client.execute_command("HPEXPIREAT", "session:1", LATER, "FIELDS", 1, "token")
    client.execute_command("HPEXPIREAT", "session:1", LATER + 5, "FIELDS", 1, "user")
    client.execute_command("HPEXPIREAT", "session:2", LATER, "FIELDS", 1, "token")
    times = field_expiry.read(session)["0"]
    assert {name: (known.count, known.first_ms) for name, known in times.items()} == {
        "session:1": (2, LATER),
        "session:2": (1, LATER),
    }
    client.execute_command("HPEXPIREAT", "session:2", LATER, "FIELDS", 1, "user")
    client.execute_command("HPERSIST", "session:2", "FIELDS", 1, "token")
    again = field_expiry.read(session)["0"]["session:2"]
    assert (again.count, again.first_ms, again.sha256 == times["session:2"].sha256) == (1, LATER, False), "another field"

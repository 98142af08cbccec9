"""Questions of the actions `redis.*`, as a person asks them with redis-cli."""

import pytest

from drillbook.sdk.by_hand import ManualStep
from drillbook.sdk.host import Target
from drillbook.systems.redis.by_hand import BY_HAND
from drillbook.systems.redis.service import Redis
from tests.systems.postgres.site import secret


def asked(service, name="redis.usage", target=None):
    return BY_HAND[name](ManualStep({}, service, target, {"db-1": Target(name="db-1", address="10.0.0.7")}))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"address": "10.0.0.7"}, "redis-cli -h 10.0.0.7 -p 6379 INFO memory"),
        ({"address": "/run/redis.sock"}, "redis-cli -s /run/redis.sock INFO memory"),
        ({"address": "10.0.0.7", "user": "a clerk"}, "redis-cli -h 10.0.0.7 -p 6379 --user 'a clerk' INFO memory"),
        (
            {"address": "10.0.0.7", "sandbox": {"data_may_leave": True}},
            "redis-cli -s '<folder of the restored copy>/redis.sock' INFO memory",
        ),
    ],
    ids=["port", "socket", "user", "copy"],
)
def test_a_question_names_the_server(fields, line):
    assert asked(Redis.model_validate({"name": "cache", "host": "db-1", **fields})) == (line,)


def test_a_password_is_asked_for_and_never_in_the_command():
    service = Redis(name="cache", host="db-1", address="10.0.0.7", password=secret("hidden-word", "TEST_BY_HAND"))
    assert asked(service, "redis.healthy") == ("redis-cli -h 10.0.0.7 -p 6379 --askpass INFO",)


def test_a_step_without_a_redis_service_has_no_command():
    assert asked(None) == ()

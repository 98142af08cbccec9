"""Steps that a person does: where the commands are typed, and at which address the service is reached from there."""

import pytest

from drillbook.sdk.by_hand import ManualStep, commands
from drillbook.sdk.host import Target
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.redis.service import Redis

HOSTS = {"db-1": Target(name="db-1", address="10.0.0.7"), "here": Target(name="here", local=True)}


def step(service, on=None, **params):
    return ManualStep(params, service, HOSTS.get(on), HOSTS)


def cache(host="db-1", **fields):
    return Redis.model_validate({"name": "cache", "host": host, **fields})


@pytest.mark.parametrize(
    ("service", "on", "address"),
    [
        (cache(address=""), None, "10.0.0.7"),
        (cache(address=""), "db-1", "127.0.0.1"),
        (cache(address=""), "here", "10.0.0.7"),
        (cache(address="10.0.0.9"), None, "10.0.0.9"),
        (cache(host="here", address=""), None, "127.0.0.1"),
        (cache(sandbox={"data_may_leave": True}), "db-1", "<folder of the restored copy>"),
        (None, None, "127.0.0.1"),
    ],
    ids=["controller", "own-host", "other-host", "named", "local", "copy", "none"],
)
def test_a_service_is_reached_from_where_the_commands_are_typed(service, on, address):
    assert step(service, on).address == address


def test_a_copy_that_was_restored_by_hand_is_in_a_folder_with_a_name():
    copy = cache(sandbox={"data_may_leave": True})
    assert ManualStep({}, copy, HOSTS["db-1"], HOSTS, "/var/tmp/by-hand-cache").address == "/var/tmp/by-hand-cache"
    assert ManualStep({}, cache(address=""), None, HOSTS, "/var/tmp/by-hand-cache").address == "10.0.0.7"


def test_commands_that_work_on_the_host_alone_are_typed_there():
    shop = {
        "name": "shop",
        "host": "db-1",
        "database": "shop",
        "user": "u",
        "data_directory": "/srv/data",
        "admin": {"user": "postgres"},
    }
    assert step(Postgres.model_validate(shop)).place == ""
    assert step(Postgres.model_validate({**shop, "reach": "ssh"})).place == "db-1"
    assert step(cache(sandbox={"data_may_leave": True})).place == "db-1"
    assert step(None).place == ""


def test_commands_are_those_of_the_system_of_the_action():
    assert commands("command.run", step(None, argv=["true"])) == ("true",)
    assert commands("redis.usage", step(cache(address="10.0.0.7"))) == ("redis-cli -h 10.0.0.7 -p 6379 INFO memory",)
    assert commands("redis.flush", step(cache())) == (), "the system shows no command for this action"
    assert commands("nothing.known", step(None)) == ()

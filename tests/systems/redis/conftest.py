"""One server under a supervisor and one store for all tests of the actions."""

from dataclasses import replace

import pytest

from drillbook.systems.redis.content import mark_of
from drillbook.systems.redis.service import Redis
from drillbook.values import Secret
from tests.systems.postgres.site import BUCKET, site
from tests.systems.redis.cache import fill
from tests.systems.redis.unit import unit


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    with site(tmp_path_factory.mktemp("site")) as place, unit(tmp_path_factory.mktemp("unit"), place.store) as made:
        yield place, made


@pytest.fixture(scope="session")
def place(stack):
    return stack[0]


@pytest.fixture
def cache(stack):
    """The server with the same content for every test."""
    made = stack[1]
    if (
        made.client().config_get("appendonly")["appendonly"] != "yes"
        or made.client().config_get("maxmemory")["maxmemory"] != "0"
    ):
        made.empty()
    made.client().flushall()
    fill(made)
    return made


@pytest.fixture(scope="session")
def saved(stack):
    """Facts of a save, and its run."""
    made = stack[1]
    made.client().flushall()
    fill(made)
    ctx = made.context()
    facts = made.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/cache")
    made.client().delete(mark_of(ctx.run_id))
    return facts


@pytest.fixture
def clerk(cache, monkeypatch):
    """Function that gives the user of the service these rights, and returns a context for this user."""
    monkeypatch.setenv("CLERK", "word-of-the-clerk")
    given = cache.service.model_dump(exclude={"password", "user"})

    def allow(*rules, **more):
        cache.client().execute_command("ACL", "SETUSER", "clerk", "reset", "on", ">word-of-the-clerk", *rules)
        ctx = replace(cache.context(), **more)
        ctx.services["cache"] = Redis(**given, user="clerk", password=Secret(source="env", name="CLERK"))
        return ctx

    yield allow
    cache.client().acl_deluser("clerk")

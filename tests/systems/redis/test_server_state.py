"""Servers that load, and that cannot be saved or restored."""

import contextlib
import os
import signal
from dataclasses import replace

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.systems.redis.service import Redis
from drillbook.values import Secret
from tests.ports import free_ports
from tests.systems.postgres.site import BUCKET
from tests.systems.redis.cache import matches, restore, when_there
from tests.systems.redis.unit import PASSWORD
from tests.systems.refusals import refused_until


def test_a_server_that_is_killed_while_it_loads_lets_nobody_see_half_of_it(cache, saved):
    """The server answers no client until everything is loaded; after its death all old keys are back, and a retry
    restores.
    """
    cache.client().set("only:now", "1")
    before, seen = cache.client().dbsize(), []
    cache.configure(key_load_delay="8000", loading_process_events_interval_bytes="1024")

    impatient = redis.Redis(port=cache.service.port, password=PASSWORD, socket_timeout=5, retry=Retry(NoBackoff(), 0))

    def loading():
        with contextlib.suppress(redis.ConnectionError):
            return impatient.info("persistence")["loading"] == 1
        return False

    def kill():
        try:
            seen.append(impatient.dbsize())
        except redis.exceptions.BusyLoadingError as error:
            seen.append(error)
        os.kill(impatient.info("server")["process_id"], signal.SIGKILL)

    thread = when_there(loading, kill)
    with pytest.raises((StepFailed, HostError)):
        restore(cache, saved["location"], ctx=cache.context(run="loading"))
    thread.join()
    assert [type(one) for one in seen] == [redis.exceptions.BusyLoadingError]
    cache.answering()
    assert (cache.client().get("only:now"), cache.client().dbsize()) == (b"1", before)
    assert cache.strays() == []
    cache.configure()
    restore(cache, saved["location"], ctx=cache.context(run="loading"))
    assert cache.client().get("only:now") is None
    assert matches(cache, saved)["keys"] > 150


def test_ready_says_what_is_missing(cache, saved, monkeypatch):
    ctx = cache.context()
    cache.action("redis.save", to=f"s3://{BUCKET}/new").ready(ctx)
    cache.action("redis.restore", **{"from": saved["location"]}).ready(ctx)
    cache.action("redis.matches", manifest=saved["manifest"]).ready(ctx)
    monkeypatch.setenv("WRONG", "not-the-password")
    given = cache.service.model_dump(exclude={"password"}) | {"password": cache.service.password}
    for change, said in (
        ({"password": Secret(source="env", name="WRONG")}, "invalid username-password pair"),
        ({"program": "/nowhere/valkey"}, "the account of the step cannot run the server's program '/nowhere/valkey'"),
        ({"data_directory": "/nowhere"}, "keeps its data in"),
    ):
        ctx.services["cache"] = Redis(**(given | change))
        with pytest.raises(NotReady, match=said) as failure:
            cache.action("redis.save", to=f"s3://{BUCKET}/new").ready(ctx)
        assert "not-the-password" not in str(failure.value)
    for action in (cache.action("redis.flush"), cache.action("redis.matches", manifest=saved["manifest"])):
        changes = [{"port": free_ports(1)[0]}, {}]
        refused_until(
            lambda: action.ready(replace(ctx, services=ctx.services | {"cache": Redis(**(given | changes[0]))})),  # noqa: B023
            "Error 111 connecting to 127.0.0.1",
            lambda: changes.pop(0),  # noqa: B023  runs at once
        )
    ctx.services["cache"] = Redis(**(given | {"unit": ""}))
    with pytest.raises(NotReady, match="the service 'cache' has no `unit` in the inventory"):
        cache.action("redis.restore", **{"from": saved["location"]}).ready(ctx)

"""Health and use of a server."""

import pytest

from drillbook.errors import NotReady, StepFailed
from tests.ports import free_ports
from tests.systems.postgres.site import BUCKET
from tests.systems.redis.cache import codes


def test_healthy_tells_what_it_sees_and_what_is_wrong(cache):
    facts = cache.run("redis.healthy")
    assert (facts["server"], facts["role"], facts["keys"], facts["databases"]) == ("valkey", "master", 309, 2)
    assert facts["persistence"]["append_only"] is True
    cache.client().config_set("maxmemory", 1000)
    try:
        with pytest.raises(StepFailed, match="policy is not to evict keys") as failure:
            cache.run("redis.healthy")
    finally:
        cache.client().config_set("maxmemory", 0)
    assert codes(failure) == {"redis-unhealthy"}
    cache.ctl("stop", "cache")
    try:
        with pytest.raises(StepFailed, match="does not work") as failure:
            cache.run("redis.healthy")
        assert codes(failure) == {"redis-unhealthy"}
    finally:
        cache.start()


def test_a_replica_is_neither_healthy_nor_saved_nor_flushed(cache):
    cache.client().replicaof("127.0.0.1", free_ports(1)[0])
    try:
        with pytest.raises(StepFailed, match="role slave"):
            cache.run("redis.healthy")
        for action in (cache.action("redis.save", to=f"s3://{BUCKET}/never"), cache.action("redis.flush")):
            with pytest.raises(NotReady, match="is a slave"):
                action.ready(cache.context())
    finally:
        cache.client().replicaof("NO", "ONE")


def test_the_keys_of_a_drill_are_not_those_that_a_cache_has_kept(cache):
    usage = cache.run("redis.usage")
    assert usage["lasting_keys"] > 300
    cache.client().flushall()
    pipe = cache.client().pipeline(transaction=False)
    for number in range(2500):
        pipe.set(f"drillbook:run-1:canary:{number}", number)
    pipe.set("documents:1", "page", ex=3600)
    pipe.execute()
    emptied = cache.run("redis.usage")
    assert (emptied["keys"], emptied["lasting_keys"], emptied["flushes"] > usage["flushes"]) == (2501, 0, True)
    cache.client().set("session:1", "kept")
    assert cache.run("redis.usage")["lasting_keys"] == 1

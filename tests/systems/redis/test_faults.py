"""Fault `redis.flush`: its refusals."""

import pytest

from drillbook.errors import StepFailed
from tests.systems.redis.cache import fill
from tests.systems.refusals import refused_until


def test_flush_refuses_a_keyspace_that_this_run_did_not_save(cache):
    with pytest.raises(StepFailed, match="contains no mark"):
        cache.run("redis.flush")
    assert cache.client().dbsize() == 308


def test_a_server_without_keys_is_not_flushed(cache):
    flush, ctx = cache.action("redis.flush"), cache.context()
    cache.client().flushall()
    refused_until(lambda: flush.ready(ctx), "contains no keys", lambda: fill(cache))

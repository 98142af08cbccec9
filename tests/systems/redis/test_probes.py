"""Probes of Redis with a real server that is killed, stopped, flushed and full."""

import os
import signal
import threading
import time

import pytest
import redis

from drillbook.engine.probing import Probes
from drillbook.errors import CouldNotVerify, NotReady
from drillbook.journal.journal import Journal
from drillbook.redact import Redactor
from drillbook.sdk.probe import find_probe
from drillbook.systems.redis.service import Redis
from tests.systems.redis.unit import PASSWORD, unit
from tests.systems.refusals import refused_until
from tests.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with unit(tmp_path_factory.mktemp("unit")) as made:
        yield made


@pytest.fixture
def cache(server):
    server.start()
    server.client().flushall()
    return server


@pytest.fixture
def ctx(cache):
    return cache.context(step="probe.1")


def make(name, **options):
    return find_probe(name).model_validate({"service": "cache", "timeout": "500ms", **options})


@pytest.fixture
def probe(cache, ctx):
    made = make("redis.canary")
    made.prepare(ctx)
    yield made
    cache.start()
    made.clean(ctx)
    assert cache.client().keys("drillbook:*") == []


def test_a_wrong_password_is_told_before_anything_is_announced(cache, ctx, tmp_path):
    """Otherwise the run would have to remove keys that never existed from a server that it cannot reach."""
    cache.client().config_set("requirepass", "another")
    journal = Journal(tmp_path, Redactor(()), origin=time.monotonic())
    try:
        with pytest.raises(NotReady, match="the canary cannot write to cache"):
            Probes(journal).add("probe.1", make("redis.canary"), ctx)
    finally:
        journal.close()
        redis.Redis(host=ctx.services["cache"].address, port=ctx.services["cache"].port, password="another").config_set(
            "requirepass", PASSWORD
        )
    assert journal.path.read_bytes() == b""


def write(writer, numbers):
    """Numbers of acknowledged, refused and uncertain writes."""
    acknowledged, refused, doubt = [], [], []
    for number in numbers:
        lost = writer.write(number)
        (acknowledged if lost is None else doubt if lost.doubt else refused).append(number)
    return acknowledged, refused, doubt


def pid(cache):
    return cache.client().info("server")["process_id"]


def test_what_is_acknowledged_is_there(cache, ctx, probe):
    writer = probe.writer(ctx)
    assert write(writer, range(1, 501)) == (list(range(1, 501)), [], [])
    assert list(probe.survivors(ctx)) == list(range(1, 501))
    assert cache.client().get(f"drillbook:{ctx.run_id}:canary:7") == b"7"
    writer.close()
    writer.close()


def test_only_this_runs_keys_count_and_only_they_are_removed(cache, ctx, probe):
    other = cache.context(step="probe.1")
    writers = [probe.writer(ctx), probe.writer(other)]
    write(writers[0], (1, 2))
    write(writers[1], (7, 8))
    cache.client().set("session:1", "kept")
    assert list(probe.survivors(ctx)) == [1, 2]
    probe.clean(ctx)
    assert list(probe.survivors(other)) == [7, 8]
    probe.clean(other)
    probe.clean(other)
    assert cache.client().keys("*") == [b"session:1"]
    for writer in writers:
        writer.close()


def test_a_flush_is_seen_as_the_loss_that_it_is(cache, ctx, probe):
    writer = probe.writer(ctx)
    write(writer, range(1, 21))
    cache.client().flushall()
    assert write(writer, range(21, 31))[0] == list(range(21, 31))
    assert list(probe.survivors(ctx)) == list(range(21, 31))
    writer.close()


def test_a_kill_in_the_middle_loses_nothing_that_was_acknowledged_with_fsync_always(cache, ctx, probe):
    """Every acknowledged key survives, every refused one is absent; uncertain ones may be either."""
    cache.client().config_set("appendfsync", "always")
    results = {"acknowledged": [], "refused": [], "doubt": []}
    over = threading.Event()

    def go_on():
        writer, number = probe.writer(ctx), 0
        while not over.wait(0.001):
            number += 1
            lost = writer.write(number)
            results["acknowledged" if lost is None else "doubt" if lost.doubt else "refused"].append(number)
        writer.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    until(lambda: len(results["acknowledged"]) > 50, "writes before the kill")
    os.kill(pid(cache), signal.SIGKILL)
    until(lambda: results["refused"], "a refused write")
    known = len(results["acknowledged"])
    cache.start()
    until(lambda: len(results["acknowledged"]) > known, "writes after the start")
    over.set()
    thread.join()
    there = set(probe.survivors(ctx))
    assert set(results["acknowledged"]) <= there
    assert not set(results["refused"]) & there
    assert there <= set(results["acknowledged"]) | set(results["doubt"])
    assert len(results["acknowledged"]) > 50
    assert results["refused"], "it was down for a while"


def test_a_server_that_hangs_leaves_writes_in_doubt_and_never_holds_the_writer(cache, ctx, probe):
    writer = probe.writer(ctx)
    assert writer.write(1) is None
    number = pid(cache)
    os.kill(number, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        lost = writer.write(2)
        assert time.monotonic() - begun > 0.4
        assert lost is not None
        assert lost.doubt
        lost = writer.write(3)
        assert lost is not None
    finally:
        os.kill(number, signal.SIGCONT)
    assert writer.write(4) is None
    assert set(probe.survivors(ctx)) >= {1, 4}
    writer.close()


def test_a_refused_write_is_not_in_doubt(cache, ctx, probe):
    writer = probe.writer(ctx)
    assert writer.write(1) is None
    cache.client().config_set("maxmemory", 1000)
    try:
        lost = writer.write(2)
    finally:
        cache.client().config_set("maxmemory", 0)
    assert lost is not None
    assert not lost.doubt
    assert "maxmemory" in lost.reason
    assert list(probe.survivors(ctx)) == [1]
    writer.close()


def test_what_cannot_be_read_back_is_not_called_none(cache, ctx, probe):
    cache.ctl("stop", "cache")
    with pytest.raises(CouldNotVerify, match="refused"):
        list(probe.survivors(ctx))
    with pytest.raises(CouldNotVerify):
        probe.clean(ctx)
    assert make("redis.available").check(ctx) is not None


def test_a_canary_that_could_not_write_is_not_ready(cache, ctx, monkeypatch):
    canary = make("redis.canary")
    cache.client().replicaof("127.0.0.1", 1)
    try:
        refused_until(lambda: canary.prepare(ctx), "is a slave", lambda: cache.client().replicaof("NO", "ONE"))
    finally:
        cache.client().replicaof("NO", "ONE")
    monkeypatch.setenv("WRONG", "not-the-password")
    given, right = cache.service.model_dump() | {"password": {"source": "env", "name": "WRONG"}}, ctx.services["cache"]
    ctx.services["cache"] = Redis(**given)
    with pytest.raises(NotReady) as failure:
        canary.prepare(ctx)
    assert "not-the-password" not in str(failure.value)
    ctx.services["cache"] = right
    canary.prepare(ctx)


def test_available_asks_for_a_key_because_a_flushed_server_still_answers(cache, ctx):
    cache.client().set("session:1", "x")
    with_key, plain = make("redis.available", key="session:1"), make("redis.available")
    assert with_key.check(ctx) is None
    assert plain.check(ctx) is None
    cache.client().flushall()
    assert with_key.check(ctx) == "the key session:1 does not exist"
    assert plain.check(ctx) is None
    number = pid(cache)
    os.kill(number, signal.SIGSTOP)
    try:
        assert plain.check(ctx) is not None
    finally:
        os.kill(number, signal.SIGCONT)

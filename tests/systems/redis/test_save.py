"""Saves of a keyspace of a real server to a real store."""

import contextlib
import hashlib
import json
import threading

import pytest
import redis

from drillbook.errors import Cancelled, HostError, StepFailed
from drillbook.systems.redis.content import text_of
from tests.processes import entries
from tests.systems.postgres.site import BUCKET, KEY, SECRET_KEY
from tests.systems.redis.cache import LEASE_MS, ODD, restore, when_there
from tests.systems.redis.unit import PASSWORD, program


def test_a_save_says_what_it_holds(place, cache, saved):
    body = place.s3().get_object(Bucket=BUCKET, Key="cache/manifest.json")["Body"].read()
    manifest = json.loads(body)
    assert saved["location"] == f"s3://{BUCKET}/cache#sha256={hashlib.sha256(body).hexdigest()}"
    assert saved["types"] == {"hash": 151, "list": 1, "set": 2, "stream": 1, "string": 154, "zset": 1}
    assert saved["keys"] == manifest["loaded"] == 310
    assert manifest["keys"]["0"][text_of(ODD)]["sha256"] == hashlib.sha256(b"string\0l1:b2:\x00\xff").hexdigest()
    assert manifest["keys"]["0"]["lease"]["expires_ms"] == LEASE_MS
    assert set(manifest["keys"]) == {"0", "3"}
    rdb = place.s3().get_object(Bucket=BUCKET, Key="cache/dump.rdb")["Body"].read()
    assert hashlib.sha256(rdb).hexdigest() == manifest["files"]["dump.rdb"]["sha256"]
    assert manifest["place"]["directory"] == str(cache.data)
    assert PASSWORD.encode() not in body
    assert cache.strays() == []


def test_a_save_that_fails_leaves_nothing(place, cache, saved):
    with pytest.raises(StepFailed, match="already"):
        cache.run("redis.save", to=f"s3://{BUCKET}/cache")
    ctx = cache.context()
    thread = when_there(
        lambda: list((cache.folder / "scratch").glob("drillbook/runs/*/save-*/files/dump.rdb")), ctx.deadline.cancel.set
    )
    with pytest.raises((Cancelled, HostError)):
        cache.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/stopped")
    thread.join()
    assert place.keys("stopped") == []
    assert cache.strays() == []


def test_no_secret_is_in_any_argument(cache):
    ctx = cache.context()
    seen = []
    over = threading.Event()

    def watch():
        while not over.is_set():
            for entry in entries("cmdline"):
                with contextlib.suppress(OSError):
                    seen.append(entry.read_bytes())
            over.wait(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    facts = cache.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/watched")
    restore(cache, facts["location"], ctx=ctx)
    over.set()
    thread.join()
    everything = b"\n".join(set(seen))
    assert program().encode() in everything
    for word in (PASSWORD, KEY, SECRET_KEY, "X-Amz-Signature"):
        assert word.encode() not in everything
    assert isinstance(cache.client(), redis.Redis)

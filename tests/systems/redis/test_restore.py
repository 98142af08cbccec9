"""Restores of a keyspace: complete, failed, stopped and killed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from drillbook.errors import Cancelled, HostError, StepFailed
from tests.sameness import holds
from tests.systems.postgres.site import BUCKET
from tests.systems.redis.cache import fill, flipped, forged, matches, restore, when_there
from tests.waiting import nothing_happens_for


@pytest.mark.parametrize("appends", ["yes", "no"])
def test_flushed_refilled_and_restored_also_after_further_restarts(cache, appends):
    if appends == "no":
        cache.empty(appendonly="no")
        fill(cache)
    ctx = cache.context()
    facts = cache.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/way-{ctx.run_id}")
    assert facts["append_only"] is (appends == "yes")
    proof = cache.run("redis.backup_intact", ctx=ctx, **{"from": facts["location"]})
    assert proof["keys"] == facts["keys"] == 310
    flush = cache.action("redis.flush")
    flush.ready(ctx)
    assert flush.active(ctx) is False
    assert flush.untouched(ctx) is True
    assert holds(proof, flush, ctx) is True
    assert flush.undo(ctx).kind == "restore"
    assert flush.run(ctx) == {"keys_before": 310, "databases": 2, "keys_after": 0}
    assert flush.active(ctx) is True
    fill(cache)
    assert flush.active(ctx) is True, "clients that refill do not hide the flush"
    assert flush.untouched(ctx) is False
    cache.client().set("views:7", "made after the flush")
    assert holds(proof, flush, ctx) is None, "what has no mark may be any keyspace"
    assert restore(cache, facts["location"], ctx=ctx)["keys"] == 310
    assert flush.active(ctx) is False
    assert holds(proof, flush, ctx) is True, "what was restored is what was saved"
    matches(cache, facts)
    assert cache.client(3).get("views:1") == b"another database"
    cache.client().set("later", "1")
    cache.restart()
    assert cache.client().get("later") == b"1"
    cache.client().delete("later")
    matches(cache, facts)
    if appends == "yes":
        cache.client().bgrewriteaof()
        while (
            cache.client().info("persistence")["aof_rewrite_in_progress"]
            or cache.client().info("persistence")["aof_rewrite_scheduled"]
        ):
            time.sleep(0.02)
        cache.restart()
        matches(cache, facts)
    assert (cache.data / "appendonlydir").exists() is (appends == "yes")
    save = cache.action("redis.save", to=f"s3://{BUCKET}/x")
    assert save.active(ctx) is True
    cache.run("redis.unmark", ctx=ctx)
    cache.run("redis.unmark", ctx=ctx)
    assert save.active(ctx) is False
    assert cache.strays() == []


def test_the_classic_mistake_restores_nothing(place, cache, saved):
    """Reason for the procedure of the restore: with `appendonly yes`, the server silently ignores an RDB."""
    cache.client().flushall()
    cache.ctl("stop", "cache")
    (cache.data / "dump.rdb").write_bytes(place.s3().get_object(Bucket=BUCKET, Key="cache/dump.rdb")["Body"].read())
    cache.start()
    assert cache.client().dbsize() == 0


def test_a_server_that_is_down_with_its_files_gone_comes_back(cache, saved):
    cache.ctl("stop", "cache")
    for path in cache.data.iterdir():
        cache.ctl("status")
        path.unlink() if path.is_file() else [*map(Path.unlink, path.iterdir()), path.rmdir()]
    restore(cache, saved["location"])
    assert matches(cache, saved)["keys"] == 309


@pytest.mark.parametrize(
    ("change", "values"), [(flipped, {}), (lambda body: body, {"loaded": 311})], ids=["unloadable", "fewer"]
)
def test_a_restore_that_fails_gives_the_old_keys_back(place, cache, saved, change, values):
    cache.client().set("only:now", "1")
    with pytest.raises(StepFailed):
        restore(cache, forged(place, saved, change, **values), ctx=cache.context(seconds=600))
    cache.answering()
    assert cache.client().get("only:now") == b"1"
    assert cache.client().dbsize() == 309
    assert cache.strays() == []


def test_a_restore_that_is_stopped_gives_the_old_keys_back(cache, saved):
    cache.client().set("only:now", "1")
    ctx = cache.context()
    thread = when_there(lambda: list(cache.data.glob("drillbook-*-kept")), ctx.deadline.cancel.set)
    with pytest.raises((Cancelled, HostError)):
        restore(cache, saved["location"], ctx=ctx)
    thread.join()
    cache.answering()
    assert cache.client().get("only:now") == b"1"
    assert cache.strays() == []


class Killed(BaseException):
    """As after the death of the controller: no later part runs."""


def test_the_undo_puts_back_what_a_killed_controller_left(cache, saved, monkeypatch):
    from drillbook.systems.redis.restore import Restoring

    def killed(*_):
        raise Killed

    cache.client().set("only:now", "1")
    ctx = cache.context(run="killed")
    action = cache.action("redis.restore", **{"from": saved["location"]})
    undo = action.undo(ctx)
    for where in ("_stop", "_must_be_all"):
        monkeypatch.setattr(Restoring, "_give_up", lambda *_: None)
        monkeypatch.setattr(Restoring, where, killed)
        with pytest.raises(Killed):
            action.run(ctx)
        monkeypatch.undo()
    assert action.active(ctx) is True
    assert cache.client().get("only:now") is None
    for _ in range(2):
        for argv in undo.commands:
            ctx.run(*argv).check()
        cache.answering()
        assert cache.client().get("only:now") == b"1"
        assert action.active(ctx) is False
    cache.ctl("stop", "cache")
    assert action.active(ctx) is True, "a unit that is down is not as it was"
    for argv in undo.commands:
        ctx.run(*argv).check()
    cache.answering()
    assert cache.client().get("only:now") == b"1"


def test_what_was_not_there_before_an_aborted_restore_is_not_there_after_it(cache, saved, monkeypatch):
    """Server without append-only files: it would load a restored folder as soon as somebody turns them on."""
    from drillbook.systems.redis.restore import Restoring

    def killed(*_):
        raise Killed

    cache.empty(appendonly="no")
    cache.client().set("only:now", "1")
    ctx = cache.context(run="absent")
    action = cache.action("redis.restore", **{"from": saved["location"]})
    undo = action.undo(ctx)
    assert not list(cache.data.glob("append*"))
    with monkeypatch.context() as patch:
        patch.setattr(Restoring, "_give_up", lambda *_: None)
        patch.setattr(Restoring, "_must_be_all", killed)
        with pytest.raises(Killed):
            action.run(ctx)
    assert list(cache.data.glob("append*"))
    for _ in range(2):
        for argv in undo.commands:
            ctx.run(*argv).check()
        cache.answering()
        assert not list(cache.data.glob("append*"))
        assert cache.strays() == []
        assert action.active(ctx) is False


def test_a_restore_that_is_killed_while_it_writes_leaves_the_old_files_in_their_place(cache, saved):
    """The host dies, or the command is killed: a server that is then started has all of the old keys."""
    from drillbook.systems.redis.restore import _REPLACE

    cache.client().set("only:now", "1")
    before, ctx = cache.client().dbsize(), cache.context()
    action = cache.action("redis.restore", **{"from": saved["location"]})
    undo, kept = action.undo(ctx), cache.data / f"drillbook-{ctx.run_id}-kept"
    cache.ctl("stop", "cache")
    names = (str(kept), str(cache.data), "dump.rdb", "appendonlydir", "appendonly.aof")
    with subprocess.Popen(["sh", "-c", _REPLACE, "sh", *names], stdin=subprocess.PIPE, start_new_session=True) as child:
        child.stdin.write(b"REDIS0011 and half of the rest")
        child.stdin.flush()
        until = time.monotonic() + 20
        while not any(path.stat().st_size for path in cache.data.rglob("dump.rdb")) and time.monotonic() < until:
            time.sleep(0.01)
        nothing_happens_for(0.2, lambda: child.poll() is not None)
        os.killpg(child.pid, signal.SIGKILL)
    cache.start()
    assert (cache.client().get("only:now"), cache.client().dbsize()) == (b"1", before)
    assert action.active(ctx) is True
    for argv in undo.commands:
        ctx.run(*argv).check()
    cache.answering()
    assert cache.client().dbsize() == before
    assert action.active(ctx) is False
    assert cache.strays() == []

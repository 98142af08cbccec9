"""The Redis actions, with a real server under a real supervisor, and a real store."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from drillbook.errors import Cancelled, CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.sdk.action import find
from drillbook.sdk.backup_source import Backup
from drillbook.systems.redis import rights
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.content import mark_of, text_of
from drillbook.systems.redis.rdb_source import RdbSource
from drillbook.systems.redis.service import Redis
from drillbook.values import Secret
from tests.needs import need
from tests.ports import free_ports
from tests.processes import entries
from tests.sameness import holds
from tests.systems.ground import Instead, is_root
from tests.systems.postgres.site import BUCKET, KEY, SECRET_KEY, site
from tests.systems.redis.unit import PASSWORD, Unit, program, unit
from tests.systems.refusals import refused_until
from tests.waiting import nothing_happens_for

LEASE_MS = int(time.time() * 1000) + 3_600_000
ODD = b"odd \xff\x00:%41\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with site(tmp_path_factory.mktemp("site")) as place, unit(tmp_path_factory.mktemp("unit"), place.store) as made:
        yield place, made


@pytest.fixture(scope="module")
def place(stack):
    return stack[0]


def fill(cache: Unit) -> None:
    client = cache.client()
    pipe = client.pipeline(transaction=False)
    for number in range(150):
        pipe.hset(f"session:{number}", mapping={"user": f"user-{number}", "token": "t" * number})
        pipe.set(f"views:{number}", number)
    pipe.hset("large:hash", mapping={f"field-{n}": n for n in range(600)})
    pipe.sadd("large:set", *[f"member-{n}" for n in range(700)])
    pipe.sadd("numbers", 3, 1, 2)
    pipe.rpush("queue", "b", "a", "b")
    pipe.zadd("ranks", {"one": 1, "third": 1 / 3, "inf": float("inf")})
    pipe.xadd("events", {"a": "1"}, id="1-1")
    pipe.xadd("events", {"a": "2"}, id="2-1")
    pipe.xgroup_create("events", "readers", id="1-1")
    pipe.set(ODD, b"\x00\xff")
    pipe.set("lease", "mine", pxat=LEASE_MS)
    pipe.execute()
    cache.client(3).set("views:1", "another database")


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


@pytest.fixture(scope="module")
def saved(stack):
    """Facts of a save, and its run."""
    made = stack[1]
    made.client().flushall()
    fill(made)
    ctx = made.context()
    facts = made.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/cache")
    made.client().delete(mark_of(ctx.run_id))
    return facts


def codes(failure):
    return {one.code for one in failure.value.findings}


def matches(cache, saved, **options):
    return cache.run("redis.matches", manifest=saved["manifest"], **options)


def restore(cache, location, **options):
    return cache.run("redis.restore", **options, **{"from": location})


# --- save and compare ------------------------------------------------------------------------------------------------


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


def test_equal_content_matches_on_another_server_with_other_encodings_and_hash_seeds(cache, saved):
    cache.restart()
    cache.client().pexpireat("lease", LEASE_MS + 1500)
    facts = matches(cache, saved)
    assert (facts["keys"], facts["expired"]) == (309, 0)


@pytest.mark.skipif(not is_root(), reason="only root can run a server as another user")
def test_a_folder_that_the_server_may_not_write_is_told_before_its_keys_are_lost():
    need("sudo")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # only root can enter the folders of pytest
        Path(folder).chmod(0o755)
        with unit(Path(folder), user="nobody") as made:
            source = RdbSource(name="nightly", host="db-1", service="cache", at=folder, pattern="*.rdb")
            (Path(folder) / "nightly.rdb").write_bytes(b"REDIS0011")
            restore = source.in_place(made.context(), made.service)
            restore.ready()
            shutil.chown(made.data, "root")
            said = f"nobody may not replace the server's files in {made.data}, as a restore does"
            refused_until(restore.ready, said, lambda: shutil.chown(made.data, "nobody"))


@pytest.mark.parametrize(
    ("change", "code", "title"),
    [
        (lambda c: c.set("views:7", "8"), "key-content", "views:7"),
        (lambda c: c.hset("session:4", "token", "stolen"), "key-content", "session:4"),
        (lambda c: c.rpush("queue", "c"), "key-content", "queue"),
        (lambda c: (c.delete("queue"), c.rpush("queue", "a", "b", "b")), "key-content", "queue"),
        (lambda c: c.srem("large:set", "member-9"), "key-content", "large:set"),
        (lambda c: c.zadd("ranks", {"third": 0.33333}), "key-content", "ranks"),
        (lambda c: c.xadd("events", {"a": "3"}), "key-content", "events"),
        (lambda c: c.xgroup_setid("events", "readers", "2-1"), "key-content", "events"),
        (lambda c: (c.delete("views:7"), c.rpush("views:7", "7")), "key-content", "views:7"),
        (lambda c: c.expire("views:7", 500), "key-content", "views:7"),
        (lambda c: c.persist("lease"), "key-content", "lease"),
        (lambda c: c.pexpireat("lease", LEASE_MS + 2500), "key-content", "lease"),
        (lambda c: c.pexpireat("lease", LEASE_MS - 2500), "key-content", "lease"),
        (lambda c: c.delete(ODD), "key-missing", text_of(ODD)),
        (lambda c: c.move("views:9", 5), "key-missing", "views:9"),
        (lambda c: c.set("stray", 1), "key-unexpected", "stray"),
    ],
    ids=[
        "value",
        "field",
        "longer",
        "order",
        "member",
        "score",
        "entry",
        "group",
        "type",
        "ttl-new",
        "ttl-gone",
        "ttl-later",
        "ttl-sooner",
        "missing",
        "moved",
        "unexpected",
    ],
)
def test_each_difference_has_its_finding(cache, saved, change, code, title):
    change(cache.client())
    with pytest.raises(StepFailed, match="differs from the backup") as failure:
        matches(cache, saved)
    assert code in codes(failure)
    assert any(one.title.endswith(title) for one in failure.value.findings)


def test_many_differences_are_counted_and_not_listed_one_by_one(cache, saved):
    cache.client().delete(*[f"session:{n}" for n in range(100)])
    with pytest.raises(StepFailed) as failure:
        matches(cache, saved)
    assert len(failure.value.findings) == 21
    assert failure.value.findings[-1].title.endswith("80 more keys")
    assert failure.value.facts["differing"] == {"key-missing": 100}


def test_a_key_that_has_expired_since_is_not_missing(place, cache):
    cache.client().set("brief", 1, px=12_000)
    facts = cache.run("redis.save", to=f"s3://{BUCKET}/brief")
    before = matches(cache, facts)
    until = time.monotonic() + 60
    while cache.client().exists("brief") and time.monotonic() < until:
        time.sleep(0.05)
    after = matches(cache, facts)
    assert (before["expired"], after["expired"], after["keys"]) == (0, 1, before["keys"] - 1)


def test_what_is_ignored_is_counted_and_never_all_there_is(cache, saved):
    cache.client().set("views:1000", 1)
    cache.client().set("drillbook:run:row:1", 1)
    facts = matches(cache, saved, ignore={"views:*": "counters go on"})
    assert facts["own_keys"] == 2, "the mark of the save, and the row of a canary"
    assert facts["keys"] + facts["ignored"]["views:*"]["keys"] - 1 + 1 == sum(facts["types"].values()), (
        "with the mark, without views:1000"
    )
    assert facts["ignored"] == {"views:*": {"keys": 152, "why": "counters go on"}}
    assert facts["keys"] == 158
    with pytest.raises(CouldNotVerify, match="no key of the backup could be compared"):
        matches(cache, saved, ignore={"*": "too much"})
    with pytest.raises(ValueError, match="ignore"):
        cache.action("redis.matches", manifest=saved["manifest"], ignore={"views:*": ""})


# --- the whole way ---------------------------------------------------------------------------------------------------


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


def test_two_keyspaces_saved_by_one_run_are_two(cache):
    """As when the save of one cache is used to allow a flush of another; a second save of the same cache changes
    nothing.
    """
    ctx = cache.context()
    facts = [cache.run("redis.save", ctx=ctx, to=f"s3://{BUCKET}/two-{ctx.run_id}-{number}") for number in range(2)]
    proofs = [cache.run("redis.backup_intact", ctx=ctx, **{"from": one["location"]}) for one in facts]
    flush = cache.action("redis.flush")
    assert [holds(proof, flush, ctx) for proof in proofs] == [True, True]
    cache.client().set(mark_of(ctx.run_id), "another server's")
    assert [holds(proof, flush, ctx) for proof in proofs] == [False, False]
    assert find("redis.matches")(service="cache", manifest=facts[0]["manifest"]).subject(ctx) == flush.subject(ctx)


def test_a_save_of_before_does_not_say_what_it_is_of(place, cache, saved):
    ctx = cache.context()
    cache.client().set(mark_of(ctx.run_id), "whatever", ex=600)
    location = forged(place, saved, mark="")
    assert holds(cache.run("redis.backup_intact", ctx=ctx, **{"from": location}), cache.action("redis.flush"), ctx) is None


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


def test_flush_refuses_a_keyspace_that_this_run_did_not_save(cache):
    with pytest.raises(StepFailed, match="contains no mark"):
        cache.run("redis.flush")
    assert cache.client().dbsize() == 308


# --- damage ----------------------------------------------------------------------------------------------------------


def flipped(body):
    return body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 1]) + body[len(body) // 2 + 1 :]


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("dump.rdb", lambda body: body[:-50], "backup-size"),
        ("dump.rdb", flipped, "backup-digest"),
        ("dump.rdb", None, "backup-missing"),
        ("manifest.json", lambda body: body + b" ", "backup-manifest"),
        ("manifest.json", None, "backup-missing"),
    ],
    ids=["truncated", "bit-flip", "missing", "manifest", "no-manifest"],
)
def test_a_damaged_backup_is_refused_before_anything_is_touched(place, cache, saved, name, change, code):
    location, prefix = place.copy(saved["location"])
    key = f"{prefix}/{name}"
    body = place.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    place.s3().delete_object(Bucket=BUCKET, Key=key)
    if change:
        place.s3().put_object(Bucket=BUCKET, Key=key, Body=change(body))
    for action in ("redis.backup_intact", "redis.restore"):
        pid = cache.client().info("server")["process_id"]
        with pytest.raises(StepFailed) as failure:
            cache.run(action, **{"from": location})
        assert codes(failure) == {code}
        assert cache.client().info("server")["process_id"] == pid
    assert cache.strays() == []


def forged(place, saved, change=lambda body: body, **values):
    """Backup with matching digests and wrong content."""
    location, prefix = place.copy(saved["location"])
    body = change(place.s3().get_object(Bucket=BUCKET, Key=f"{prefix}/dump.rdb")["Body"].read())
    manifest = json.loads(place.s3().get_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json")["Body"].read()) | values
    manifest["files"] = {"dump.rdb": {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}}
    place.s3().put_object(Bucket=BUCKET, Key=f"{prefix}/dump.rdb", Body=body)
    place.s3().put_object(Bucket=BUCKET, Key=f"{prefix}/manifest.json", Body=json.dumps(manifest).encode())
    return location.partition("#")[0]


def test_a_file_that_no_server_loads_is_no_backup(place, cache, saved):
    location = forged(place, saved, flipped)
    with pytest.raises(StepFailed, match="cannot load") as failure:
        cache.run("redis.backup_intact", **{"from": location})
    assert codes(failure) == {"restore-errors"}
    assert cache.strays() == []


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


def test_a_saved_file_with_other_keys_than_its_manifest_is_no_backup(place, cache, saved):
    body = json.loads((cache.folder / "run" / saved["evidence"]["file"]).read_text())
    del body["keys"]["0"]["views:1"]
    with pytest.raises(StepFailed, match="does not match its manifest") as failure:
        cache.run("redis.backup_intact", **{"from": forged(place, saved, keys=body["keys"])})
    assert codes(failure) == {"key-unexpected"}


# --- stopped in the middle -------------------------------------------------------------------------------------------


def when_there(look, act):
    """Run ``act`` as soon as ``look`` is true."""

    def watch():
        until = time.monotonic() + 20
        while not look() and time.monotonic() < until:
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


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


def test_the_server_of_another_unit_at_the_port_is_left_alone(cache, saved, tmp_path_factory):
    """The inventory contains the port of one server and the unit of another on the same machine."""
    with unit(tmp_path_factory.mktemp("other")) as other:
        other.client().set("theirs", "1")
        cache.client().set("only:now", "1")
        ctx = cache.context()
        ctx.services["cache"] = cache.service.model_copy(update={"port": other.service.port})
        action = cache.action("redis.restore", **{"from": saved["location"]})
        refused_until(
            lambda: action.ready(replace(ctx, services=dict(ctx.services))),
            "does not belong to the unit cache",
            lambda: ctx.services.update(cache=cache.service),
        )
        ctx.services["cache"] = cache.service.model_copy(update={"port": other.service.port})
        pids = cache.ctl("pid", "cache"), other.ctl("pid", "cache")
        with pytest.raises(StepFailed, match="does not belong to the unit cache"):
            action.run(ctx)
        assert (cache.ctl("pid", "cache"), other.ctl("pid", "cache")) == pids, "nothing was stopped"
        assert (other.client().get("theirs"), cache.client().get("only:now")) == (b"1", b"1")


def test_the_server_of_another_folder_is_not_the_one_that_is_restored(cache, saved):
    """As when `host` is the wrong one of two similar machines: the process is not here."""
    from drillbook.systems.redis import ownership

    with connected(cache.context(), cache.service) as session:
        ownership.must_own(cache.context(), session, cache.service, str(cache.data))
        with pytest.raises(CouldNotVerify, match="is not the server that keeps its data in"):
            ownership.must_own(cache.context(), session, cache.service, str(cache.folder))


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


# --- healthy and ready -----------------------------------------------------------------------------------------------


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


def test_a_server_without_keys_is_not_flushed(cache):
    flush, ctx = cache.action("redis.flush"), cache.context()
    cache.client().flushall()
    refused_until(lambda: flush.ready(ctx), "contains no keys", lambda: fill(cache))


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


def test_a_restore_in_place_needs_a_unit(cache):
    source, services = RdbSource(name="dumps", host="db-1", at="/nowhere"), [cache.service.model_copy(update={"unit": ""})]
    refused_until(
        lambda: source.in_place(cache.context(), services[-1]).ready(),
        "the service 'cache' has no `unit` in the inventory",
        lambda: services.append(cache.service),
    )


def test_a_file_that_the_server_cannot_load_is_refused_before_the_fault(cache):
    """A check before the drill does not read the beginning of every file; the verification of the backup does."""
    source = RdbSource(name="dumps", host="db-1", at="/nowhere")
    place = source.in_place(cache.context(), cache.service)
    backup = Backup("new.rdb.zst", datetime.now(UTC), "")
    assert "new.rdb.zst has the format REDIS0099, which the" in place.unlike(
        backup, {"databases": 16, "format": "REDIS0099"}
    )
    assert place.unlike(backup, {"databases": 16, "format": "REDIS0009"}) == ""
    assert place.unlike(backup, {"databases": 16}) == ""


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_data_that_the_owner_of_the_service_cannot_read_are_told(cache):
    changes, save, ctx = [{"run_as": "nobody"}, {}], cache.action("redis.save", to=f"s3://{BUCKET}/new"), cache.context()

    def check():
        service = cache.service.model_copy(update=changes[0])
        save.ready(replace(ctx, services=ctx.services | {"cache": service}))

    refused_until(check, "db-1: the data in .* cannot be read", lambda: changes.pop(0))


@pytest.mark.skipif(not is_root(), reason="only root can hide a file of the kernel")
def test_memory_for_the_trial_server_is_needed(cache, tmp_path):
    hosts = [Instead(cache.host, tmp_path, "/proc/meminfo", "MemAvailable:  1 kB\n"), cache.host]
    save, ctx = cache.action("redis.save", to=f"s3://{BUCKET}/new"), cache.context()
    said = "db-1 has 0 MiB of free memory, but cache uses"
    refused_until(lambda: save.ready(replace(ctx, host=hosts[0])), said, lambda: hosts.pop(0))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (("-flushall",), {"redis.flush": "run FLUSHALL"}),
        (("-bgsave",), {"redis.save": "run BGSAVE"}),
        (("resetkeys", "~session:*"), {"redis.save": "run TYPE, PEXPIRETIME, DUMP, GET, SET, EXPIRE, EXISTS, DEL"}),
    ],
)
def test_ready_says_what_the_server_does_not_let_its_user_do(cache, monkeypatch, rules, said):
    """The check runs no command of the action that changes something."""
    monkeypatch.setenv("CLERK", "word-of-the-clerk")
    cache.client().acl_setuser("clerk", reset=True, enabled=True, passwords=["+word-of-the-clerk"])
    cache.client().execute_command("ACL", "SETUSER", "clerk", "~*", "+@all", *rules)
    ctx, before = cache.context(), cache.client().dbsize()
    given = cache.service.model_dump(exclude={"password", "user"})
    ctx.services["cache"] = Redis(**given, user="clerk", password=Secret(source="env", name="CLERK"))
    try:
        for action in (cache.action("redis.save", to=f"s3://{BUCKET}/never"), cache.action("redis.flush")):
            expected = said.get(action.name())
            with (
                pytest.raises(NotReady, match=f"its user 'clerk' to {expected}\\n") if expected else contextlib.nullcontext()
            ):
                action.ready(ctx)
    finally:
        cache.client().acl_deluser("clerk")
    assert cache.client().dbsize() == before
    assert not cache.client().exists(mark_of(ctx.run_id))


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


@pytest.mark.parametrize(("name", "untried"), [("redis.save", "BGSAVE"), ("redis.flush", "FLUSHALL")])
def test_a_right_that_the_server_does_not_tell_is_not_verified(cache, clerk, name, untried):
    told = []
    action = cache.action(name, **({"to": f"s3://{BUCKET}/never"} if name == "redis.save" else {}))
    for rules in (("-acl",), ("-acl|dryrun",)):
        action.ready(clerk("~*", "+@all", *rules, doubt=told.append))
        assert told == [f"that the user of cache may run {untried}: the server does not answer ACL DRYRUN to this user"]
        told.clear()
    action.ready(clerk("~*", "+@all", doubt=told.append))
    assert told == []


@pytest.mark.parametrize(("rules", "all_of_it"), [((), True), (("-keys",), False), (("resetkeys", "~session:*"), False)])
def test_a_user_without_any_limit_is_known_without_dryrun(cache, clerk, rules, all_of_it):
    """As on Redis 6, which has no ACL DRYRUN."""
    ctx = clerk("~*", "+@all", *rules)
    with connected(ctx, ctx.services["cache"]) as session:
        assert rights.unlimited(session, b"clerk") is all_of_it


@pytest.mark.parametrize("lacks", ["SCAN", "DUMP", "SET", "DEL"])
def test_a_save_tries_what_the_server_does_not_tell(cache, clerk, lacks):
    hosts = [clerk("~*", "+@all", "-acl", f"-{lacks.lower()}"), None]
    save = cache.action("redis.save", to=f"s3://{BUCKET}/never")

    def mend():
        hosts[0] = clerk("~*", "+@all", "-acl")

    refused_until(lambda: save.ready(hosts[0]), f"cache: this step could not run {lacks}: .*no permissions", mend)


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

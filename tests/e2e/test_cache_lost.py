"""The drill `cache-lost` on a real lab with background traffic, and sabotage of it; each kind has a separate finding."""

from __future__ import annotations

import subprocess
import sysconfig

import redis

from drillbook.judge.result import Verdict
from tests.e2e.test_sabotage import DAMAGE, began, codes, store, when


def client(bench):
    return redis.Redis(port=bench.value("redis.port"), password=bench.secret("redis"), socket_timeout=5)


def sessions(bench):
    found = client(bench)
    return [
        bool(found.exists(f"session:{number}")) and bool(found.exists(f"views:document:{number}"))
        for number in range(1, 401)
    ]


def restart(bench):
    for word in ("stop", "start"):
        subprocess.run(
            [f"{sysconfig.get_path('scripts')}/supervisorctl", "-c", str(bench.value("manager.store-1")), word, "redis"],
            check=True,
            capture_output=True,
        )


def test_it_passes_under_traffic_and_lasts_over_a_further_restart(bench):
    _, view = bench.run(bench.plan("cache-lost"))
    assert view.result.verdict is Verdict.PASSED, [(one.title, one.measured) for one in view.result.findings]
    assert view.result.residue == ()
    facts = {step.id: step.facts for step in view.result.steps}
    assert facts["restore.1"]["append_only"] is True
    assert facts["inject.1"]["keys_before"] >= 800
    assert facts["verify.1"]["keys"] >= 800
    objectives = view.result.objectives
    assert all(objectives[name].met for name in ("rto", "rpo", "detect"))
    assert objectives["rpo"].lost_writes > 0, "what was written after the save is lost, and is told"
    assert all(sessions(bench))
    restart(bench)
    assert all(sessions(bench))
    assert client(bench).keys("drillbook:*") == []


def damage(bench, change, saved):
    """Action of an observer that damages the RDB in the store."""

    def act(event):
        key = f"{bench.run_id}/cache/dump.rdb"
        body = store(bench).get_object(Bucket="dr-backups", Key=key)["Body"].read()
        saved[key] = body
        store(bench).put_object(Bucket="dr-backups", Key=key, Body=change(body))

    return act


@DAMAGE
def test_a_save_damaged_at_once_is_noticed_and_nothing_is_flushed(bench, change, code):
    saved = {}
    _, view = bench.run(bench.plan("cache-lost"), when("done", "backup.1", damage(bench, change, saved)))
    assert saved, "the sabotage took place"
    assert code in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)
    assert not began(view, "inject")
    assert all(sessions(bench))
    assert client(bench).keys("drillbook:*") == []


def test_a_save_damaged_later_is_never_restored_and_recover_clears_it(bench):
    bench.spoiled = True
    saved = {}
    act = damage(bench, lambda body: body[:500] + bytes([body[500] ^ 1]) + body[501:], saved)
    folder, view = bench.run(bench.plan("cache-lost"), when("done", "backup.2", act))
    assert "backup-digest" in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 5), "the keys are lost and not restored: residue"
    assert not any(sessions(bench))
    for key, body in saved.items():
        store(bench).put_object(Bucket="dr-backups", Key=key, Body=body)
    assert bench.recover(folder) == []
    assert all(sessions(bench))
    assert client(bench).keys("drillbook:*") == []
    bench.spoiled = False


def test_a_keyspace_that_is_not_equal_fails(bench):
    old = client(bench).dump("session:7")

    def act(event):
        keys = client(bench)
        keys.hset("session:8", "token", "stolen")
        keys.expire("session:9", 3600)
        keys.delete("session:7")
        keys.set("stray", 1)

    token = client(bench).hget("session:8", "token")
    _, view = bench.run(bench.plan("cache-lost"), when("phase.started", "verify", act))
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)
    found = {(one.code, one.title.rpartition(": ")[2]) for one in view.result.findings}
    assert found >= {
        ("key-content", "session:8"),
        ("key-content", "session:9"),
        ("key-missing", "session:7"),
        ("key-unexpected", "stray"),
    }
    keys = client(bench)
    keys.restore("session:7", 0, old)
    keys.hset("session:8", "token", token)
    keys.persist("session:9")
    keys.delete("stray")

"""Shipped trees, ranked by facts as checks return them. No lab."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.diagnosis import ranking, trees
from drillbook.diagnosis.scope import Case
from drillbook.hosts.fake import FakeHost
from drillbook.language import template
from drillbook.sdk.host import ManagerConfig, Target
from drillbook.sdk.manager import manager_of
from drillbook.systems.linux.actions.host import Disk, OomKills
from drillbook.systems.postgres.actions.reading.activity import _session_facts, is_upkeep

from .test_trees import Site

TREES = {tree.tree: tree for tree in trees.load_all(Path(__file__).parents[2] / "drills" / trees.FOLDER)}
WELL = {"ok": True, "message": ""}


def named(tree, **facts):
    """Named causes, most likely first, and whether all expressions of health are true."""
    names = {"service": {"name": "it", "host": "h"}, "the": {}, "host": {}, **facts}
    case = Case(TREES[tree], "it")
    found = [one.cause for one in ranking.order(ranking.suspects(case, names))]
    return found, all(ranking.holds(text, names) for text in case.tree.healthy)


def said(tree, cause, **facts):
    """Weight of a cause, and its evidence as one text; all facts to which the text refers must exist."""
    names = {"service": {"name": "api", "host": "app"}, "the": {}, "host": {"manager": "supervisor"}, **facts}
    for one in ranking.suspects(Case(TREES[tree], "api", "database" if TREES[tree].peers else ""), names):
        if one.cause == cause:
            text = " | ".join(seen.says for seen in one.supports)
            assert "{{" not in text + one.title + one.remedy, "an expression that the facts do not answer"
            return one.score, text
    return 0, ""


def fires(state):
    """One alert in the form of `prometheus.alerts`."""
    one = {"alert": "A", "state": state, "since": "2026-01-01T00:00:00Z", "value": "1", "labels": {"service": "api"}}
    return {
        **WELL,
        "firing": ["A"] * (state == "firing"),
        "pending": ["A"] * (state == "pending"),
        "count": 1,
        "alerts": [one],
    }


UP = {"unit": {**WELL, "unit": "api", "word": "RUNNING"}, "port": {**WELL, "listening": True}}
QUICK = {**WELL, "answered": True, "median_s": 0.01}
RULE = {
    "tool": "iptables",
    "table": "ip filter",
    "chain": "OUTPUT",
    "hook": "output",
    "rule": "-A OUTPUT -d 10.0.0.9/32 -j DROP",
    "verdict": "drop",
    "certain": True,
    "drillbook": True,
}


@pytest.mark.parametrize(
    ("facts", "weight", "words"),
    [
        ({}, 8, "silence"),
        (
            {
                "relay": {
                    "ok": False,
                    "mode": "drop",
                    "control": "/srv/paths/postgres",
                    "by": "run-1 inject.1",
                    "how": "hangs",
                }
            },
            10,
            "the relay path on app is in mode `drop`: /srv/paths/postgres, set by the drill run-1 inject.1",
        ),
        ({"relay": {"ok": False, "mode": "open", "control": "/c", "by": "", "how": "hangs"}}, 8, "silence"),
        (
            {"filters": {**WELL, "dropping": 1, "rules": [RULE, {**RULE, "rule": "-A perhaps", "certain": False}]}},
            10,
            "on app: iptables, table ip filter, chain OUTPUT (made by a drill): -A OUTPUT -d 10.0.0.9/32 -j DROP",
        ),
        (
            {"peer_filters": {**WELL, "dropping": 1, "rules": [{**RULE, "drillbook": False}]}},
            10,
            "on db: iptables, table ip filter, chain OUTPUT: -A",
        ),
        (
            {"filters": {**WELL, "dropping": 0, "rules": [{**RULE, "certain": False}]}},
            9,
            "rules on app that may drop it: iptables",
        ),
        (
            {"peer_filters": {**WELL, "dropping": 0, "rules": [{**RULE, "certain": False}]}},
            9,
            "rules on db that may drop it: iptables",
        ),
    ],
)
def test_what_cuts_the_way_is_named(facts, weight, words):
    route = {**WELL, "reached": False, "how": "silence", "address": "10.0.0.9", "port": 5432}
    peer = {"name": "database", "host": "db", "path": "path"}
    score, text = said("dependency", "network-cut", peer=peer, route=route, local={**WELL, "reached": True}, **facts)
    assert (score, words in text, "perhaps" in text) == (weight, True, False), text


SILENT = {**WELL, "value": None}
SLOW = {
    **WELL,
    "last_s": 10.0,
    "max_s": 2.0,
    "slowest_requests": [],
    "endpoints": [{"endpoint": "GET /x", "count": 9, "p50_s": 0.9}],
}


@pytest.mark.parametrize(
    ("facts", "weight", "words"),
    [
        ({"slowest": SLOW}, 4, "GET /x took 0.9 s (median of 9 requests in 10.0 s)"),
        ({"slowest": SLOW, "p95": {"ok": False, "message": "it hangs"}}, 4, "GET /x"),
        ({"slowest": SLOW, "p95": {**WELL, "value": None}}, 4, "GET /x"),
        (
            {"slowest": SLOW, "p95": {**WELL, "value": 0.81234}},
            5,
            "longer than about 0.81 s within the last minute (an estimate within",
        ),
        ({"slowest": SLOW, "p95": {**WELL, "value": 0.05}}, 3, "GET /x"),
        (
            {"slowest": SLOW, "process": {**WELL, "cpu_percent": 98.0, "cpu_error": 6.0, "processes": 3}},
            5,
            "98.0 % ± 6.0 % of a processor",
        ),
        ({"slowest": SLOW, "process": {**WELL, "cpu_percent": 55.0, "cpu_error": 6.0, "processes": 3}}, 4, "GET /x"),
        (
            {"slowest": SLOW, "container": {**WELL, "cpu_percent": 98.0, "memory_bytes": 5 << 20, "limit_bytes": 9 << 20}},
            5,
            "5 MiB of 9 MiB",
        ),
        (
            {"slowest": SLOW, "p95": SILENT, "alerts": fires("firing")},
            5,
            "the alert A has been firing since 2026-01-01T00:00:00Z",
        ),
        ({"slowest": SLOW, "p95": SILENT, "alerts": fires("pending")}, 4, "GET /x"),
        (
            {"slowest": SLOW, "p95": {**WELL, "value": 0.81234}, "alerts": fires("firing")},
            5,
            "); the alert A has been firing since 2026-01",
        ),
        (
            {
                "slowest": SLOW,
                "p95": {**WELL, "value": 3.0},
                "alerts": fires("firing"),
                "health": {**QUICK, "median_s": 1.5},
                "process": {**WELL, "cpu_percent": 98.0, "cpu_error": 6.0, "processes": 3},
            },
            7,
            "the alert A has been firing since 2026-01",
        ),  # all of it
        ({"health": {**QUICK, "median_s": 1.5}, "p95": {**WELL, "value": 1.25}}, 1, "its health report takes 1.5 s"),
        ({"slowest": SLOW, "health": {**QUICK, "ok": False, "failing": ["postgresql"], "status": 503}}, 1, "GET /x"),
        ({"p95": {**WELL, "value": 3.0}}, 0, ""),  # alone, the fact may be a minute old
        ({"alerts": fires("firing")}, 0, ""),
    ],
)
def test_what_shows_that_answers_come_late(facts, weight, words):
    score, text = said("http", "api-slow", **{**UP, "health": QUICK, **facts})
    assert (score, words in text) == (weight, True), text


BROKEN = {
    "endpoint": "GET /x",
    "count": 8,
    "broken": 6,
    "broken_share": 0.75,
    "last_failed": {"request": "GET /x", "status": 500},
}


@pytest.mark.parametrize(
    ("rows", "health", "weight"),
    [
        ([BROKEN], QUICK, 4),
        ([], QUICK, 0),
        ([{**BROKEN, "broken": 2}], QUICK, 0),
        ([{**BROKEN, "broken_share": 0.1}], QUICK, 0),
        ([BROKEN], {**QUICK, "ok": False}, 0),
    ],
)
def test_an_endpoint_fails_only_where_all_else_is_well(rows, health, weight):
    errors, log = {**WELL, "last_s": 10.0, "broken": 6, "endpoints": rows}, {**WELL, "last_error": "ValueError: no"}
    score, text = said("http", "endpoint-fails", **UP, health=health, errors=errors, error_log=log)
    assert score == weight
    assert not weight or text == (
        "GET /x failed 6 of 8 times in 10.0 s, last GET /x with status 500 | the last error in its log: ValueError: no"
    )


def test_memory_that_grows_and_grew():
    assert said("http", "memory-growing", **UP, growth={**WELL, "series": []}) == (0, "")
    score, text = said(
        "http", "memory-growing", **UP, growth={**WELL, "series": [{"labels": {}, "value": float(180 << 20)}]}
    )
    assert (score, "grew by 180 MiB" in text) == (2, True)
    down = {"ok": False, "unit": "api", "word": "failed, out of memory"}
    for value, words in ((float(300 << 20), True), (None, False), (1.0, False)):
        score, text = said(
            "http",
            "memory-leak",
            unit=down,
            port={**WELL, "listening": False},
            grew={**WELL, "value": value},
            log={**WELL, "lines": [], "last_error": ""},
        )
        assert (score, "grown by 300 MiB" in text) == (10 + words, words)


@pytest.mark.parametrize("tree", ["http", "postgres", "redis", "vectors", "unit"])
@pytest.mark.parametrize(
    ("used", "free", "inodes", "weight"),
    [
        (97, 900 << 20, 5, 2),
        (100, 1 << 20, 5, 9),
        (91, 1 << 20, 5, 7),
        (60, 1 << 20, 5, 0),
        (97, 40 << 30, 5, 0),
        (50, 900 << 20, 5, 0),
        (20, 9 << 30, 100, 6),
    ],
)
def test_a_full_disk(tree, used, free, inodes, weight):
    disk = {**WELL, "fullest": "/srv", "used_percent": used, "free_bytes": free, "inodes_percent": inodes}
    score, text = said(tree, "disk-full", disk=disk)
    assert (score, bool(text)) == (weight, weight > 0)


@pytest.mark.parametrize(
    ("tree", "service", "path"),
    [
        ("http", {"access_log": "/var/log/api/access.log", "env_file": "/etc/api.env"}, "/var/log/api"),
        ("http", {"access_log": "", "env_file": "/etc/api/env"}, "/etc/api"),
        ("http", {"access_log": "", "env_file": ""}, None),
        ("redis", {"data_directory": "/srv/redis"}, "/srv/redis"),
        ("redis", {"data_directory": ""}, None),
        ("postgres", {"data_directory": "/srv/pg"}, "/srv/pg"),
    ],
)
def test_the_disk_that_is_looked_at_is_that_of_its_files(tree, service, path):
    check = next(one for one in TREES[tree].checks if one.id == "disk")
    assert Disk.model_validate(template.evaluate(check.params, {"service": {"name": "it", **service}})).path == path


@pytest.mark.parametrize(
    ("state", "seconds", "cause"),
    [
        ("active", 4.0, "lock-held"),
        ("", 4.0, "lock-held"),
        ("active", 1.0, None),
        ("idle in transaction", 4.0, "idle-in-transaction"),
        ("unknown", 4.0, None),
    ],
)
def test_who_holds_others_up(state, seconds, cause):
    root = {
        "pid": 7,
        "state": state,
        "application": "report",
        "user": "u",
        "transaction_s": 9.0,
        "idle_s": 5.0,
        "holds_up": 1,
        "query": "ALTER",
    }
    blocked = {**WELL, "roots": [root], "waiting": [], "idle_in_transaction": []}
    lock = {"pid": 7, "mode": "AccessExclusiveLock", "type": "relation", "relation": "documents", "seconds": 0.0}
    locks = {
        **WELL,
        "exclusive": [lock, {**lock, "pid": 8}],
        "waiting": [{**lock, "pid": 9, "mode": "RowShareLock", "seconds": seconds}],
    }
    assert named("postgres", blocked=blocked, locks=locks)[0] == ([cause] if cause else [])
    _, text = said("postgres", cause or "lock-held", blocked=blocked, locks=locks)
    assert not cause or text.endswith(
        "process 7 holds AccessExclusiveLock on documents; 9 waits 4.0 s for RowShareLock on documents"
    )
    assert "process 8" not in text


def test_a_remedy_names_the_session_of_its_own_cause():
    """Also if another kind of session blocks more; an autovacuum worker has neither user nor state."""
    one = {"application": "", "user": "", "transaction_s": 9.0, "idle_s": 5.0, "query": "", "holds_up": 1}
    works, idle = {**one, "pid": 7, "state": ""}, {**one, "pid": 8, "user": "clerk", "state": "idle in transaction"}
    lock = {"pid": 7, "mode": "AccessExclusiveLock", "type": "relation", "relation": "documents", "seconds": 4.0}
    locks = {**WELL, "exclusive": [lock, {**lock, "pid": 8, "relation": "chunks"}], "waiting": [{**lock, "pid": 9}]}
    for roots in ([works, idle], [idle, works]):
        names = {
            "service": {"name": "it", "host": "h"},
            "blocked": {**WELL, "roots": roots, "idle_in_transaction": [idle]},
            "locks": locks,
        }
        found = {one.cause: one for one in ranking.suspects(Case(TREES["postgres"], "it"), names)}
        assert "pg_cancel_backend(7)" in found["lock-held"].remedy
        assert "pg_terminate_backend(8)" in found["idle-in-transaction"].remedy
        text, lines = (one.says for one in found["lock-held"].supports)
        assert text.startswith("process 7 (autovacuum), busy in a transaction for 9.0 s"), text
        assert "process 8" not in lines


@pytest.mark.parametrize(("user", "state", "told"), [("u", "", "unknown"), ("", "", ""), ("u", "active", "active")])
def test_a_state_that_may_not_be_seen_is_not_told(tmp_path, user, state, told):
    row = (7, user, "", "local", state, None, None, None, [], "")
    assert _session_facts(Site(tmp_path).ctx(), row)["state"] == told


def test_the_plan_of_a_statement_is_shown():
    working = [{"pid": 1, "seconds": 9, "query": "SELECT ?", "user": "u", "application": "", "upkeep": False}]
    plan = {
        "query": "SELECT x",
        "seconds": 1,
        "scanned": [{"table": "t", "rows": 20000, "filter": "(a = ?)", "reads": 1}],
        "why": "",
    }
    facts = {"statements": {**WELL, "working": working}, "plans": {**WELL, "plans": [plan, {**plan, "scanned": []}]}}
    for cause, heavy, weight in (("slow-query", [{"table": "t", "scans": 90}], 13), ("long-statement", [], 3)):
        score, text = said("postgres", cause, **facts, indexes={**WELL, "heavy": heavy, "invalid": [], "watched_s": 5})
        assert (score, "by its plan SELECT x reads as a whole t (20000 rows, for (a = ?))" in text) == (weight, True), text


@pytest.mark.parametrize(("reads", "weight"), [(1, 0), (19, 0), (20, 8), (500, 8)])
def test_a_missing_index_shows_where_no_statement_comes_to_its_end(reads, weight):
    plan = {
        "query": "SELECT x",
        "seconds": 1.5,
        "scanned": [{"table": "t", "rows": 20000, "filter": "(a = b.a)", "reads": reads}],
        "why": "",
    }
    facts = {
        "statements": {**WELL, "working": []},
        "plans": {**WELL, "plans": [plan]},
        "indexes": {**WELL, "heavy": [], "invalid": []},
    }
    score, text = said("postgres", "slow-query", **facts)
    assert (score, "which runs for 1.5 s, reads t (20000 rows, for (a = b.a)) as a whole about 500 times" in text) == (
        weight,
        reads == 500,
    ), text


@pytest.mark.parametrize(
    ("keys", "lasting", "flushes", "causes", "healthy"),
    [
        (600, 500, 0, [], True),
        (600, 0, 0, [], True),  # all of its keys expire
        (3, 0, 0, [], True),
        (0, 0, 0, [], False),  # empty, and nobody knows why
        (3, 0, 1, ["cache-lost"], True),
        (0, 0, 1, ["cache-lost"], False),
        (60, 50, 1, [], True),  # a small one, emptied long ago
        (600, 0, 1, [], True),  # filled again since
    ],
)
def test_a_cache(keys, lasting, flushes, causes, healthy):
    usage = {**WELL, "keys": keys, "lasting_keys": lasting, "flushes": flushes, "uptime_s": 9, "hit_rate": None}
    assert named("redis", unit=WELL, usage=usage) == (causes, healthy)


def test_documents():
    assert named("documents", tables={**WELL, "value": True}, orphans={**WELL, "value": 0}) == ([], True)
    assert named("documents", tables={**WELL, "value": True}, orphans={**WELL, "value": 2}) == (["data-orphans"], True)
    for failed in (
        {"tables": {**WELL, "value": True}, "orphans": {"ok": False, "message": "timeout"}},
        {"tables": {"ok": False, "message": "refused"}},
    ):
        assert named("documents", **failed) == ([], False)


@pytest.mark.parametrize(
    ("after", "oom", "leak"), [(0, [], True), (2, [], True), (3, [], False), (9, ["killed python"], False)]
)
def test_only_an_error_at_the_end_of_the_log_tells_of_memory(after, oom, leak):
    error = "ERROR out of memory: killed"
    down = {"ok": False, "message": "", "unit": "api", "word": "STOPPED"}
    causes, _ = named(
        "http",
        unit=down,
        log={**WELL, "lines": [error, *["shut down"] * after], "last_error": error, "errors": [error]},
        oom={**WELL, "recent": oom, "events": ["old kill"]},
        port={**WELL, "listening": False},
        health={**WELL, "answered": False},
    )
    assert (causes[0] == "memory-leak") == leak
    assert ("memory-leak" in causes) == (leak or bool(oom))


@pytest.mark.parametrize(
    ("working", "heavy", "causes"),
    [
        ([], [], []),
        (
            [{"pid": 1, "seconds": 9, "query": "SELECT ?", "user": "u", "application": "", "upkeep": False}],
            [],
            ["long-statement"],
        ),
        ([{"pid": 1, "seconds": 9, "query": "COPY t", "user": "u", "application": "", "upkeep": True}], [], []),
        (
            [{"pid": 1, "seconds": 9, "query": "SELECT ?", "user": "u", "application": "", "upkeep": False}],
            [{"table": "t", "scans": 90}],
            ["slow-query"],
        ),
    ],
)
def test_a_long_statement_alone_misses_no_index(working, heavy, causes):
    indexes = {**WELL, "heavy": heavy, "invalid": [], "watched_s": 5}
    assert named("postgres", statements={**WELL, "working": working}, indexes=indexes)[0] == causes


@pytest.mark.parametrize(
    ("query", "upkeep"),
    [
        ("COPY t TO STDOUT", True),
        ("/* dump */ -- x\n copy t from stdin", True),
        ("VACUUM (ANALYZE) t", True),
        ("analyze", True),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", True),
        ("SELECT 1", False),
        ("CREATE TABLE t AS SELECT 1", False),
        ("EXPLAIN ANALYZE SELECT 1", False),
        ("SELECT copy FROM t", False),
        ("/* a */" * 3000 + "x", False),
        (None, False),
    ],
)
def test_statements_that_take_long_by_their_nature(query, upkeep):
    assert is_upkeep(query) == upkeep


def test_a_container():
    state = {"message": "c is exited, status 1, not running", "container": "c", "oom_killed": False}
    assert named("container", state={**state, "ok": True}) == ([], True)
    assert named("container", state={**state, "ok": False}) == (["dependency-down"], False)
    assert named("container", state={**state, "ok": False, "oom_killed": True}) == (["memory-leak"], False)


@pytest.mark.parametrize(
    ("result", "word"), [("oom-kill", "failed (failed, out of memory)"), ("exit-code", "failed (failed)")]
)
def test_systemd_tells_of_memory(result, word):
    manager = manager_of(FakeHost("app", target=Target(name="app", manager=ManagerConfig(kind="systemd"))))
    assert any("Result" in one for one in manager.query("api"))
    assert (
        manager.read("api", f"LoadState=loaded\nActiveState=failed\nSubState=failed\nMainPID=0\nResult={result}\n").word
        == word
    )


def test_kills_of_the_last_hour(tmp_path):
    site = Site(tmp_path)
    host = site.hosts["controller"]
    host.on(("cat", "/proc/vmstat"), "oom_kill 3\n")
    host.on(("cat", "/proc/uptime"), "9000.50 100.00\n")
    lines = [
        "[  100.000000] Out of memory: Killed process 1 (old)",
        "[ 8999.000000] kernel: Out of memory: Killed process 2 (new)",
        "Out of memory: Killed process 3 (undated)",
    ]
    host.on(("sh",), "\n".join(lines))
    found = OomKills().run(site.ctx())
    assert (found["kills"], found["events"], found["recent"]) == (3, lines, lines[1:2])
    # the kernel's time may drift: at most 0.9 s in 9,000 s
    for ago, recent in ((2.0, lines[1:2]), (0.1, [])):
        since = replace(site.ctx(), evidence_since=time.monotonic() - ago)
        assert OomKills().run(since)["recent"] == recent, "in a drill, only kills since the disruption count"


def test_a_service_without_a_unit_is_judged_by_its_answer():
    answers = {**WELL, "answers": True, "address": "10.0.0.1", "port": 9000, "why": ""}
    skipped = {"service": {"name": "it", "host": "h", "kind": "s3", "unit": ""}}
    assert named("unit", **skipped, answers=answers)[0] == []
    down = {**answers, "ok": False, "answers": False, "why": "Connection refused"}
    assert named("unit", **skipped, answers=down)[0] == ["dependency-down"]
    assert "10.0.0.1:9000: Connection refused" in said("unit", "dependency-down", answers=down)[1]


def test_a_health_command_that_fails_names_its_service_down():
    found = {"ok": False, "message": "x", "exit": 2, "stdout": "", "stderr": "stuck"}
    assert named("command", health=found)[0] == ["dependency-down"]
    assert "stuck" in said("command", "dependency-down", health=found)[1]

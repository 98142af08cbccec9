"""The shipped trees, weighed over facts as checks give them. No lab."""

from pathlib import Path

import pytest

from drillbook.actions.host import OomKills
from drillbook.actions.postgres.activity import is_upkeep
from drillbook.diagnosing import ranking, source
from drillbook.diagnosing.scope import Case
from drillbook.host import ManagerConfig, Target
from drillbook.hosts.fake import FakeHost
from drillbook.manager import manager_of

from .test_trees import Site

TREES = {tree.tree: tree for tree in source.load_all(Path(__file__).parent.parent.parent / "drills" / source.FOLDER)}
WELL = {"ok": True, "message": ""}


def named(tree, **facts):
    """The causes that are named, likeliest first, and whether every expression of health holds."""
    names = {"service": {"name": "it", "host": "h"}, "the": {}, "host": {}, **facts}
    case = Case(TREES[tree], "it")
    found = [one.cause for one in ranking.order(ranking.suspects(case, names))]
    return found, all(ranking.holds(text, names) for text in case.tree.healthy)


@pytest.mark.parametrize(("keys", "lasting", "flushes", "causes", "healthy"), [
    (600, 500, 0, [], True),
    (600, 0, 0, [], True),             # all of its keys expire
    (3, 0, 0, [], True),
    (0, 0, 0, [], False),              # empty, and nobody knows why
    (3, 0, 1, ["cache-lost"], True),
    (0, 0, 1, ["cache-lost"], False),
    (60, 50, 1, [], True),             # a small one, emptied long ago
    (600, 0, 1, [], True),             # filled again since
])
def test_a_cache(keys, lasting, flushes, causes, healthy):
    usage = {**WELL, "keys": keys, "lasting_keys": lasting, "flushes": flushes, "uptime_s": 9, "hit_rate": None}
    assert named("redis", unit=WELL, usage=usage) == (causes, healthy)


def test_documents():
    assert named("documents", tables={**WELL, "value": True}, orphans={**WELL, "value": 0}) == ([], True)
    assert named("documents", tables={**WELL, "value": True}, orphans={**WELL, "value": 2}) == (["data-orphans"], True)
    for failed in ({"tables": {**WELL, "value": True}, "orphans": {"ok": False, "message": "timeout"}},
                   {"tables": {"ok": False, "message": "refused"}}):
        assert named("documents", **failed) == ([], False)


@pytest.mark.parametrize(("after", "oom", "leak"), [(0, [], True), (2, [], True), (3, [], False), (9, ["killed python"], False)])
def test_only_an_error_at_the_end_of_the_log_tells_of_memory(after, oom, leak):
    error = "ERROR out of memory: killed"
    down = {"ok": False, "message": "", "unit": "api", "word": "STOPPED"}
    causes, _ = named("http", unit=down, log={**WELL, "lines": [error, *["shut down"] * after], "last_error": error, "errors": [error]},
                      oom={**WELL, "recent": oom, "events": ["old kill"]}, port={**WELL, "listening": False},
                      health={**WELL, "answered": False})
    assert (causes[0] == "memory-leak") == leak
    assert ("memory-leak" in causes) == (leak or bool(oom))


@pytest.mark.parametrize(("working", "heavy", "causes"), [
    ([], [], []),
    ([{"pid": 1, "seconds": 9, "query": "SELECT ?", "user": "u", "application": "", "upkeep": False}], [], ["long-statement"]),
    ([{"pid": 1, "seconds": 9, "query": "COPY t", "user": "u", "application": "", "upkeep": True}], [], []),
    ([{"pid": 1, "seconds": 9, "query": "SELECT ?", "user": "u", "application": "", "upkeep": False}],
     [{"table": "t", "scans": 90}], ["slow-query"]),
])
def test_a_long_statement_alone_misses_no_index(working, heavy, causes):
    indexes = {**WELL, "heavy": heavy, "invalid": [], "watched_s": 5}
    assert named("postgres", statements={**WELL, "working": working}, indexes=indexes)[0] == causes


@pytest.mark.parametrize(("query", "upkeep"), [
    ("COPY t TO STDOUT", True), ("/* dump */ -- x\n copy t from stdin", True), ("VACUUM (ANALYZE) t", True), ("analyze", True),
    ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", True), ("SELECT 1", False), ("CREATE TABLE t AS SELECT 1", False),
    ("EXPLAIN ANALYZE SELECT 1", False), ("SELECT copy FROM t", False), ("/* a */" * 3000 + "x", False), (None, False)])
def test_statements_that_take_long_by_their_nature(query, upkeep):
    assert is_upkeep(query) == upkeep


def test_a_container():
    state = {"message": "c is exited, status 1, not running", "container": "c", "oom_killed": False}
    assert named("container", state={**state, "ok": True}) == ([], True)
    assert named("container", state={**state, "ok": False}) == (["dependency-down"], False)
    assert named("container", state={**state, "ok": False, "oom_killed": True}) == (["memory-leak"], False)


@pytest.mark.parametrize(("result", "word"), [("oom-kill", "failed (failed, out of memory)"), ("exit-code", "failed (failed)")])
def test_systemd_tells_of_memory(result, word):
    manager = manager_of(FakeHost("app", target=Target(name="app", manager=ManagerConfig(kind="systemd"))))
    assert any("Result" in one for one in manager.query("api"))
    assert manager.read("api", f"LoadState=loaded\nActiveState=failed\nSubState=failed\nMainPID=0\nResult={result}\n").word == word


def test_kills_of_the_last_hour(tmp_path):
    site = Site(tmp_path)
    host = site.hosts["controller"]
    host.on(("cat", "/proc/vmstat"), "oom_kill 3\n")
    host.on(("cat", "/proc/uptime"), "9000.50 100.00\n")
    lines = ["[  100.000000] Out of memory: Killed process 1 (old)", "[ 8999.000000] kernel: Out of memory: Killed process 2 (new)",
             "Out of memory: Killed process 3 (undated)"]
    host.on(("sh",), "\n".join(lines))
    found = OomKills().run(site.ctx())
    assert (found["kills"], found["events"], found["recent"]) == (3, lines, lines[1:2])

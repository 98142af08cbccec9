"""A channel ends without an exit status: a read-only command is repeated once, a changing command is not."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from drillbook.cli.orchestration import Orchestrator
from drillbook.engine.leases import Lease, Lock
from drillbook.errors import CommandLost
from drillbook.hosts import open_host
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.sdk.host import ManagerConfig, once_more
from drillbook.sdk.manager import manager_of
from tests.engine.leases.conftest import owner
from tests.hosts.servers import Cutting, Relay
from tests.hosts.suite import soon

HOSTS = """\
environment: lab
hosts: {far: %s}
services: {app: {kind: process, host: far}}
"""
DRILL = """\
drill: sample
title: A sample
service: app
backup:
  - command.run: {argv: [sh, -c, "echo x >> DIR/written; touch DIR/begun"], effect: write}
    hosts: far
verify:
  - command.run: {argv: [sh, -c, "echo x >> DIR/looked; cat DIR/begun"], effect: read}
    hosts: far
"""


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    one = Cutting(folder).start()
    yield one
    one.stop()


@pytest.fixture
def host(server, tmp_path):
    (tmp_path / "scratch").mkdir()
    supervisor = tmp_path / "supervisorctl"
    supervisor.write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\necho 'db RUNNING pid 7, uptime 0:01:00'\n")
    supervisor.chmod(0o755)
    one = open_host(server.target(scratch=str(tmp_path / "scratch"), manager=ManagerConfig(kind="supervisor")), targets={})
    yield one
    one.close()


def test_a_lock_is_looked_at_once_more(server, host):
    lock = Lock(host, "db", 30)
    server.cut(1)
    assert lock.state(deadline=soon()) is None
    held = lock.take(owner(), deadline=soon())
    server.cut(1)
    assert lock.state(deadline=soon()).token == held.token


def test_a_lease_is_looked_at_once_more(server, host):
    server.cut(1)
    assert Lease(host, "run-1", 30).state(deadline=soon()) is None


def test_a_unit_is_looked_at_once_more(server, host, tmp_path, monkeypatch):
    manager = manager_of(host)
    monkeypatch.setattr(type(manager), "_tool", lambda self: (str(tmp_path / "supervisorctl"),))
    server.cut(1)
    assert manager.state(host, "db", soon()).state == "running"
    assert (tmp_path / "asked").read_text() == "x\n" * 2


def test_a_lock_that_may_be_taken_already_is_not_taken_twice(server, host):
    server.cut(1)
    lock = Lock(host, "db", 30)
    with pytest.raises(CommandLost, match="without an exit status"):
        lock.take(owner(), deadline=soon())
    assert lock.state(deadline=soon()).owner.run == "run-1"


def test_a_look_that_is_lost_twice_is_lost(server, host):
    server.cut(2)
    with pytest.raises(CommandLost, match="without an exit status"):
        Lock(host, "db", 30).state(deadline=soon())
    assert (server.folder / "cut").read_text() == "0"


def test_a_look_is_asked_once_more_over_a_new_connection(server, tmp_path):
    relay = Relay(server.port)
    relay.open()
    (tmp_path / "known").write_text(server.known_hosts.read_text().replace(str(server.port), str(relay.port)))
    host = open_host(server.target(port=relay.port, known_hosts=str(tmp_path / "known")), targets={})
    begun = tmp_path / "begun"
    script = f"if [ -e {begun} ]; then echo here; else touch {begun}; sleep 30; fi"

    def look():
        return host.run(["sh", "-c", script], deadline=soon()).text

    def cut():
        until = time.monotonic() + 20
        while not begun.exists() and time.monotonic() < until:
            time.sleep(0.02)
        relay.drop()

    try:
        with ThreadPoolExecutor(1) as pool:
            cutting = pool.submit(cut)
            assert once_more(look) == "here"
            cutting.result()
    finally:
        host.close()
        relay.cut()


class Bench:
    def __init__(self, root, server):
        self.root = root
        (root / "drills").mkdir()
        fields = server.target().model_dump(include={"address", "port", "user", "identity", "known_hosts"})
        fields |= {"scratch": str(root / "scratch"), "lease": {"boot": "none"}}
        (root / "hosts.yml").write_text(HOSTS % json.dumps(fields))

    def run(self, observer):
        path = self.root / "drills" / "sample.yml"
        path.write_text(DRILL.replace("DIR", str(self.root)))
        made = planner.make(spec.load(path), inventory.load(self.root / "hosts.yml"))
        folder, view = Orchestrator(Project(self.root), inventory.load(self.root / "hosts.yml"), observer).run(made)
        return view.result, read(folder / FILE).events

    def lines(self, name):
        path = self.root / name
        return path.read_text().count("x") if path.exists() else 0


def cutting(server, step):
    """Ends the channel of the first command of ``step``."""

    def observe(event):
        if event.kind in ("step.started", "intent") and event.step == step:
            server.cut(1)

    return observe


def test_a_step_that_only_reads_is_asked_once_more_and_the_journal_holds_both(server, tmp_path):
    bench = Bench(tmp_path, server)
    result, events = bench.run(cutting(server, "verify.1"))
    assert {step.id: step.status for step in result.steps}["verify.1"] == "done"
    assert bench.lines("looked") == 2
    commands = [event.data for event in events if event.kind == "command" and event.step == "verify.1"]
    assert [(one["exit"], "without an exit status" in str(one["error"])) for one in commands[-2:]] == [
        (None, True),
        (0, False),
    ]


def test_a_step_that_changes_something_is_not_asked_once_more(server, tmp_path):
    bench = Bench(tmp_path, server)
    result, _ = bench.run(cutting(server, "backup.1"))
    assert {step.id: step.status for step in result.steps}["backup.1"] == "error"
    assert bench.lines("written") == 1
    assert result.verdict is Verdict.FAILED

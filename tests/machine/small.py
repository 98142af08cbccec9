"""Small drills on in-memory hosts, run by the real runner: no program is started, and nothing waits."""

from __future__ import annotations

import threading

from drillbook.engine.runner import Runner
from drillbook.engine.step_context import Stage
from drillbook.engine.stop_requests import Stop
from drillbook.hosts.fake import FakeHost, Reply
from drillbook.inventory import inventory
from drillbook.journal import journal
from drillbook.journal.journal import FILE, History, Journal, read
from drillbook.judge.judge import judge
from drillbook.plan import planner as plan
from drillbook.plan import spec
from drillbook.redact import Redactor
from tests.machine.world import RUN

HEAD = "drill: sample\ntitle: A sample\nservice: app\n"
HOSTS = """\
environment: lab
hosts: {a: {address: 127.0.0.1}, b: {address: 127.0.0.1, port: 2222}}
services: {app: {kind: process, host: a}, other: {kind: process, host: b}}
"""
VERIFY = "verify:\n  - command.run: {argv: [look], effect: read}\n    hosts: a\n"


class Small:
    """Two hosts that know only the commands that a test adds with ``on``; ``acts`` lists all commands that they
    received.
    """

    def __init__(self, folder, hosts=None):
        self.folder = folder
        self.hosts = hosts or {name: FakeHost(name) for name in ("a", "b")}
        self.stop = Stop()
        self.redactor = Redactor(())
        if hosts is None:
            for host in self.hosts.values():
                for word in ("sh", "rm", "look", "make", "mend"):
                    host.on(word, Reply(0))

    def plan(self, text, hosts=HOSTS):
        (self.folder / "hosts.yml").write_text(hosts)
        (self.folder / "sample.yml").write_text(HEAD + text + ("" if "verify:" in text else VERIFY))
        return plan.make(spec.load(self.folder / "sample.yml"), inventory.load(self.folder / "hosts.yml"))

    def stage(self, made, observer=None):
        """Stage for code that is called without a runner; its journal is closed at the end of the test."""
        writer = Journal(self.folder, self.redactor, origin=0.0, observer=observer)
        return Stage(made, writer, self.hosts.__getitem__, self.folder, dict(RUN), self.redactor)

    def run(self, text, observer=None):
        """Run a drill to its end. Return its events."""
        made = self.plan(text) if isinstance(text, str) else text
        stage = self.stage(made, observer)
        header = {"tool": "test", "operator": "nobody", "controller": "here"}
        try:
            return Runner(stage, lambda names: {}, self.stop, header=header).run()
        finally:
            stage.journal.close()

    @property
    def events(self):
        return read(self.folder / FILE).events

    def kinds(self, *kinds):
        """Step and kind of those events, in their order."""
        return [(event.step, event.kind) for event in self.events if event.kind in kinds]

    def ended(self):
        """Outcome of each step, by its id and host."""
        return {
            (event.step, event.host): event.kind if event.kind == "done" else event.data["outcome"]
            for event in self.events
            if event.kind in ("done", "failed")
        }

    @property
    def result(self):
        return judge(History(self.events, torn=False)).result

    def acts(self, name="a"):
        """First words of the commands that a host received, without checks for programs."""
        return [call.argv[0] for call in self.hosts[name].calls if call.argv[0] not in ("sh", "rm")]


class Disk:
    """Tracks the part of a journal that is certainly on the disk: its length at the last flush."""

    def __init__(self, monkeypatch, path):
        self.path, self.safe = path, b""
        self._lock = threading.Lock()
        flush = journal.os.fsync

        def fsync(descriptor):
            flush(descriptor)
            with self._lock:
                self.safe = self.path.read_bytes() if self.path.exists() else b""

        monkeypatch.setattr(journal.os, "fsync", fsync)

"""Abort conditions of the guard on this machine: real commands, real sockets, a real journal."""

import contextlib
import json
import re
import socket
import threading
import time

import pytest

from drillbook.cli import access
from drillbook.engine.abort_conditions import Watch
from drillbook.engine.open_hosts import Hosts
from drillbook.engine.step_context import Stage
from drillbook.inventory import inventory
from drillbook.journal.journal import Journal, read
from drillbook.judge.result import Verdict
from drillbook.plan import planner, spec
from drillbook.redact import Redactor
from tests.contents import content
from tests.engine.test_runner import Bench
from tests.waiting import nothing_happens_for

HOSTS = """\
environment: lab
hosts: {nowhere: {address: 127.0.0.1, port: 1, known_hosts: /dev/null}}
services: {app: {kind: process, host: controller}}
"""
PATIENCE_S = 30.0


class Post:
    """Stage on the controller with an active guard; ``DIR`` in a rule is the folder of the test."""

    def __init__(self, root):
        self.root = root
        (root / "hosts.yml").write_text(HOSTS)
        self.good = root / "good"
        self.good.touch()
        self.opened = []

    def watch(self, rules, secrets=()):
        text = f"drill: sample\ntitle: A sample\nservice: app\nguard: {rules.replace('DIR', str(self.root))}\n"
        (self.root / "sample.yml").write_text(
            text + 'verify:\n  - command.run: {argv: ["true"], effect: read}\n    hosts: controller\n'
        )
        made = planner.make(spec.load(self.root / "sample.yml"), inventory.load(self.root / "hosts.yml"))
        folder = self.root / f"run-{len(self.opened)}"
        folder.mkdir()
        redactor = Redactor(secrets)
        journal = Journal(folder, redactor, origin=time.monotonic())
        journal.append(content("test.started"))
        hosts = Hosts(lambda name: access.connect(made.inventory, name))
        self.stage = Stage(made, journal, hosts.get, folder, {"id": "r1", "started": "", "operator": ""}, redactor)
        watch = Watch(self.stage)
        self.opened += [watch.stop, hosts.close, journal.close]
        return watch

    def events(self, kind):
        return [event for event in read(self.stage.journal.path).events if event.kind == kind]

    def until(self, done):
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, "it did not come"
            time.sleep(0.02)

    def trips(self, watch):
        """Return the finding after the guard tripped; the stop flag is then set, too."""
        assert self.stage.cancel.wait(PATIENCE_S), "it did not trip"
        return watch.tripped


@pytest.fixture
def post(tmp_path):
    made = Post(tmp_path)
    yield made
    for close in made.opened:
        close()


def looking(argv, *more):
    words = "".join(f", {word}" for word in ("hosts: [controller]", "every: 100ms", *more))
    return f"{{command.run: {{argv: {json.dumps(argv)}, effect: read}}{words}}}"


def guarded(*conditions):
    return f"{{abort_if: [{', '.join(conditions)}]}}"


IS_GOOD = ["test", "-e", "DIR/good"]
COUNTED = ["sh", "-c", 'echo x >> "$1"; test -e "$2"', "sh", "DIR/looks", "DIR/good"]


def looks(post):
    path = post.root / "looks"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_condition_that_is_no_longer_good_stops_the_run(post):
    watch = post.watch(guarded(looking(COUNTED, "name: The mark is there")))
    assert watch.first() == []
    watch.start()
    post.until(lambda: looks(post) >= 4)
    assert watch.tripped is None
    assert not post.stage.cancel.is_set()
    post.good.unlink()
    found = post.trips(watch)
    assert (found.code, found.step, found.host) == ("guard-tripped", "guard.1", "controller")
    assert "The mark is there" in found.title
    assert "ended with status 1" in found.measured
    assert "UTC" in found.measured
    (event,) = post.events("guard.tripped")
    assert event.data["condition"] == "guard.1"
    assert post.events("command") == [], "looks are not journalled one by one"


def test_it_must_be_bad_for_as_long_as_the_drill_says(post):
    watch = post.watch(guarded(looking(COUNTED, "for: 1m")))
    watch.start()
    post.good.unlink()
    post.until(lambda: post.events("guard.condition"))
    seen = looks(post)
    post.until(lambda: looks(post) > seen + 2)
    assert watch.tripped is None
    post.good.touch()
    post.until(lambda: [one.data["state"] for one in post.events("guard.condition")] == ["bad", "good"])
    assert watch.tripped is None
    watch.stop()
    watch = post.watch(guarded(looking(COUNTED, "for: 500ms")))
    post.good.unlink()
    watch.start()
    found = post.trips(watch)
    (event,) = post.events("guard.tripped")
    assert event.data["not_good_for_s"] >= 0.5
    assert "not good for" in found.measured


def test_what_is_expected_of_a_result(post):
    (post.root / "value").write_text("41")
    rule = looking(["cat", "DIR/value"], "expect: result.stdout | int < 50", "tries: 2")
    watch = post.watch(guarded(rule))
    assert watch.first() == []
    watch.start()
    (post.root / "value").write_text("51")
    found = post.trips(watch)
    assert "expected result.stdout | int < 50" in found.measured
    assert "51" in found.measured
    assert found.wanted == "result.stdout | int < 50"


def test_an_expectation_without_a_value_is_no_answer(post):
    watch = post.watch(guarded(looking(["true"], "expect: result.nothing > 1", "tries: 2")))
    watch.start()
    assert "could not be checked 2 times in a row" in post.trips(watch).measured


def test_what_cannot_be_looked_at_is_not_good(post):
    watch = post.watch(
        guarded('{command.run: {argv: ["true"], effect: read}, hosts: [nowhere], every: 100ms, tries: 3, for: 1h}')
    )
    watch.start()
    found = post.trips(watch)
    assert "could not be checked 3 times in a row" in found.measured
    assert found.host == "nowhere"


def test_a_look_that_hangs_is_no_answer(post):
    watch = post.watch(guarded(looking(["sleep", "600"], "timeout: 300ms", "tries: 2")))
    watch.start()
    assert "could not be checked 2 times in a row" in post.trips(watch).measured
    watch.stop()


def test_a_look_that_heeds_no_deadline_holds_up_nobody(post):
    """A check hangs despite its deadline: it counts as failed, the other condition still trips, and stop returns."""
    watch = post.watch(guarded(looking(["true"], "tries: 50"), looking(IS_GOOD)))
    stuck = threading.Event()
    watch.eyes[0].ask = lambda deadline, folder: stuck.wait() and None
    watch.eyes[0].timeout_s = 0.1
    watch.start()
    post.good.unlink()
    assert post.trips(watch).step == "guard.2"
    watch.stop()
    stuck.set()


@contextlib.contextmanager
def served(port=0):
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.1)
        over, calls = threading.Event(), []

        def accept():
            while not over.is_set():
                with contextlib.suppress(OSError):
                    server.accept()[0].close()
                    calls.append(1)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], calls
        finally:
            over.set()
            thread.join()


def test_a_probe_must_stay_good(post):
    with served() as (port, calls):
        watch = post.watch(guarded(f"{{tcp.open: {{address: 127.0.0.1, port: {port}}}, every: 100ms}}"))
        assert post.stage.plan.guard.conditions[0].probe, "the probe of that name, not the action"
        assert watch.first() == []
        watch.start()
        post.until(lambda: len(calls) > 4)
        assert watch.tripped is None
    found = post.trips(watch)
    assert found.step == "guard.1"
    assert re.search("refused|reset", found.measured.lower()), "a connection that is just being made is reset"


def test_hosts_that_must_stay_reachable(post):
    watch = post.watch("{hosts: [controller]}")
    assert watch.first() == []
    watch = post.watch("{hosts: [nowhere]}")
    (found,) = watch.first()
    assert (found.code, found.host) == ("not-ready", "nowhere")
    watch.eyes[0].every_s = 0.1
    watch.start()
    found = post.trips(watch)
    assert "could not be checked 2 times in a row" in found.measured
    assert "nowhere must stay reachable" in found.title


def test_what_is_bad_before_the_drill_is_told_at_once(post):
    post.good.unlink()
    watch = post.watch(guarded(looking(IS_GOOD), looking(["true"])))
    (found,) = watch.first()
    assert found.code == "not-ready"
    assert found.step == "guard.1"
    assert not post.stage.cancel.is_set()


def test_after_stop_nothing_trips(post):
    watch = post.watch(guarded(looking(COUNTED)))
    watch.start()
    post.until(lambda: looks(post) >= 2)
    watch.stop()
    seen = looks(post)
    post.good.unlink()
    nothing_happens_for(0.4, lambda: looks(post) != seen)
    assert watch.tripped is None
    assert not post.stage.cancel.is_set()
    watch.stop()


def test_only_the_first_trip_counts(post):
    watch = post.watch(guarded(looking(IS_GOOD), looking(IS_GOOD)))
    post.good.unlink()
    watch.start()
    post.trips(watch)
    watch.stop()
    assert len(post.events("guard.tripped")) == 1


def test_a_run_without_conditions_watches_nothing(post):
    watch = post.watch("{}")
    assert watch.first() == []
    watch.start()
    watch.stop()
    assert watch.tripped is None


def test_no_secret_is_told(post):
    (post.root / "value").write_text("the-password-of-it")
    watch = post.watch(
        guarded(looking(["cat", "DIR/value"], "expect: result.stdout == 'x'")), secrets=["the-password-of-it"]
    )
    watch.start()
    found = post.trips(watch)
    assert "the-password" not in found.measured
    assert "the-password" not in post.stage.journal.path.read_text()


RUN = """\
guard:
  abort_if:
    - command.run: {argv: [test, "!", -e, DIR/broken], effect: read}
      hosts: controller
      every: 100ms
      name: Nothing is broken
inject:
  - command.run: {argv: [touch, DIR/broken], effect: fault, undo: [rm, -f, DIR/broken], proof: [test, -e, DIR/broken]}
    hosts: controller
restore:
  - command.run: {argv: [sleep, "600"], effect: read}
    hosts: controller
    timeout: 11m
"""


def test_a_run_whose_condition_trips_is_put_back_at_once(tmp_path):
    bench = Bench(tmp_path)
    begun = time.monotonic()
    view = bench.run(RUN)
    assert (view.result.verdict, view.result.exit) == (Verdict.ABORTED, 4), view.result.reason
    assert not (tmp_path / "broken").exists()
    (found,) = [one for one in view.result.findings if one.code == "guard-tripped"]
    assert "Nothing is broken" in found.title
    assert time.monotonic() - begun < 600, "nobody waited for the step"


def test_a_run_whose_condition_is_bad_before_it_never_begins(tmp_path):
    bench = Bench(tmp_path)
    (tmp_path / "broken").touch()
    view = bench.run(RUN)
    assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4), view.result.reason
    assert bench.events("intent") == []
    assert bench.events("guard.tripped") == []

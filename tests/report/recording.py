"""Records the journals of ``tests/report/journals`` again: ``python -m tests.report.recording [NAME...]``.

The real runner and the real recovery run on in-memory hosts, with a real server that fails while a thing is broken;
the runs of ``lab_recording`` are of shipped drills on the embedded lab. Review the differences of the golden files
before you commit them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drillbook.engine.closure import Settlement
from drillbook.hosts.fake import Call, FakeHost, Reply
from drillbook.journal.journal import FILE, Event
from drillbook.plan import closure_approval
from drillbook.sdk import discovery
from drillbook.signing.texts import NAMESPACE, Look
from tests import machine
from tests.machine.small import Small
from tests.machine.world import Controller, World
from tests.report import lab_recording
from tests.report.application import Application
from tests.report.samples import HOSTILE, JOURNALS
from tests.waiting import lasts

HOSTS = """\
environment: lab
contacts: {oncall: {role: 值班工程师, duty: 一线响应, email: oncall@example.com}}
hosts: {a: {address: 127.0.0.1}, b: {address: 127.0.0.1, port: 2222}}
services: {app: {kind: http, host: a, url: "URL/"}}
"""
PROBE = "probes:\n  - http.available: {url: '{{ services.app.url }}', every: 50ms, timeout: 1s}\n"
OBJECTIVES = "objectives: {rto: 30s}\n"
READY = "ready:\n  - pretend.whole:\n    hosts: a\n"
BREAK = "inject:\n  - pretend.break: {thing: door, how: commands}\n    hosts: a\n"
RESTORE = "restore:\n  - pretend.mend: {thing: door}\n    hosts: a\n"
VERIFY = "verify:\n  - pretend.whole:\n    hosts: [a, b]\n"
WHOLE = OBJECTIVES + PROBE + READY + BREAK + RESTORE + VERIFY
CANARY = """\
  - http.canary:
      write: {url: "{{ services.app.url }}records", method: POST, body: "${record}", status: 201}
      read: {url: "{{ services.app.url }}records"}
      remove: {url: "{{ services.app.url }}records", method: DELETE, status: 204}
      every: 200ms
"""
RARELY = "objectives: {rto: 30s, rpo: 5s, detect: 5s}\n" + PROBE.replace("every: 50ms", "every: 100ms") + CANARY
LONG_READY = READY.replace("hosts: a", "hosts: b") + READY.removeprefix("ready:\n")
TEXT = json.dumps(HOSTILE.replace("\x00", ""))
"""The hostile text as YAML, which has no NUL."""
DRILLS = {
    "put_back": WHOLE,
    "too_slow": WHOLE.replace("30s", "1ms"),
    "not_ready": WHOLE,
    "not_whole": WHOLE,
    "stuck": OBJECTIVES + PROBE + READY + BREAK + VERIFY,
    "unprobed": READY + BREAK + RESTORE + VERIFY,
    "killed": WHOLE,
    "recovered": WHOLE,
    "died": WHOLE,
    "still_broken": WHOLE,
    "closed": WHOLE,
    "inconclusive": RARELY + READY + BREAK + RESTORE + VERIFY,
    "long_run": RARELY.replace("rpo: 5s", "rpo: 30s") + LONG_READY + BREAK + RESTORE + VERIFY.replace("[a, b]", "a"),
    "hostile": f"description: {TEXT}\n" + OBJECTIVES + PROBE + READY + f"    name: {TEXT}\n" + BREAK + VERIFY,
}
DIES_AFTER = {
    "killed": "fault.active",
    "recovered": "fault.active",
    "died": "intent",
    "still_broken": "probe.samples",
    "closed": "fault.active",
}
"""Kind of the event after which the controller of a run dies; that of ``died`` dies while it writes the next event."""
REASON = "host decommissioned, ticket 4711"


def slow(world: World, seconds: float, *words: str, names: tuple[str, ...] = ("a", "b")) -> None:
    """Delay these commands of the hosts by some seconds, such as repairs, so that probes can see the time between."""
    for name in names:
        for word in words:
            act = world.hosts[name].commands[(word,)]

            def late(call: Call, act: Callable[[Call], Reply] = act) -> Reply:
                lasts(seconds)
                return act(call)

            world.hosts[name].on(word, late)


def without_threads(event: Event) -> None:
    """Deny the controller memory for threads after the fault, until the probe has failed."""
    if event.kind != "fault.active":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), hard))
    until = time.monotonic() + 10
    while any(thread.name.startswith("probe.1-_keep") for thread in threading.enumerate()):
        assert time.monotonic() < until, "the probe did not break"
        time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def record(name: str, folder: Path) -> None:
    """Run the drill ``name`` and store its journal."""
    world = World()
    application = Application(
        world,
        flaps=name == "long_run",
        hangs=name == "inconclusive",
        forgets=name == "inconclusive",
        says=HOSTILE if name == "hostile" else "down",
    )
    slow(world, 6 if name == "long_run" else 0.3, "mend", "restore")
    world.hosts["controller"] = FakeHost("controller")
    if name == "not_ready":
        world.hosts["a"].on("whole", Reply(1, stderr=b"something is lost"))
    if name == "not_whole":
        world.hosts["b"].on("whole", Reply(1, stderr=b"something is lost"))
    if name == "stuck":
        world.stuck.add(("a", "door"))
    if name == "long_run":
        slow(world, 40, "whole", names=("b",))
    if name == "hostile":
        raw = HOSTILE.encode() + b" \xff\xfe"
        world.hosts["a"].on("mend", Reply(1, stderr=raw))
        world.hosts["a"].on("whole", Reply(0, stdout=raw))
        world.hosts["b"].on("whole", Reply(1, stdout=raw * 3 + b"\n```\nfence\n", stderr=raw + b"\n\n| a | b |\n# head"))
    with application.serving() as url:
        small = Small(folder, world.hosts)
        hosts = HOSTS.replace("值班工程师", TEXT) if name == "hostile" else HOSTS
        plan = small.plan(DRILLS[name], hosts.replace("URL", url))
        controller = Controller(plan, world, folder, origin=time.monotonic())
        if name == "inconclusive":
            controller.saw = without_threads
        if name == "hostile":
            controller.header = {"tool": HOSTILE, "operator": HOSTILE, "controller": HOSTILE}
        ran = controller.run()
        if name in DIES_AFTER:
            moment = next(n for n, event in enumerate(small.events) if event.kind == DIES_AFTER[name])
            controller.died(moment, ran)
        if name == "died":
            written = controller.journal.read_bytes()
            controller.journal.write_bytes(ran.journal[: len(written) + 100])
        if name == "recovered":
            assert controller.recover() == []
        if name == "closed":
            world.hosts["a"].unreachable = True
            close(controller, folder)
    (JOURNALS / f"{name}.jsonl").write_bytes((folder / FILE).read_bytes())


def close(controller: Controller, folder: Path) -> None:
    """Close the residue of a run on an unreachable host, approved by a second person."""
    key, approvers = folder / "alice", folder / "approvers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    words = key.with_suffix(".pub").read_text().split()
    approvers.write_text(f'alice@example.com namespaces="{NAMESPACE}" {words[0]} {words[1]}\n')

    def approved(head: str) -> Look:
        closing = closure_approval.Closing("run", "lab", head, REASON, str(approvers))
        now = datetime.now(UTC)
        closure_approval.approve(closing, folder, now=now, until=timedelta(days=1), key=key)
        return closure_approval.look(closing, folder, now=now, operators=("nobody",))

    outcome = Settlement(controller.recovery(), REASON, approved).run({"tool": "test", "operator": "nobody"})
    assert outcome.refusals == (), outcome


def main() -> None:
    discovery.add(machine.SYSTEM)
    JOURNALS.mkdir(exist_ok=True)
    names = sys.argv[1:] or [*DRILLS, *lab_recording.DRILLS, *lab_recording.PRINTED]
    lab_recording.record([name for name in names if name in {**lab_recording.DRILLS, **lab_recording.PRINTED}])
    for name in [name for name in names if name in DRILLS]:
        with tempfile.TemporaryDirectory() as folder:
            record(name, Path(folder))


if __name__ == "__main__":
    main()

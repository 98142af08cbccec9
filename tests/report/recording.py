"""Records the journals of ``tests/report/journals`` anew: ``python -m tests.report.recording``.

The real runner and the real recovery, on hosts of memory and a real server that is down as long as a thing is broken. Look at
the difference of the golden files before you keep what was recorded.
"""

from __future__ import annotations

import http.server
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drillbook.engine.closure import Settlement
from drillbook.hosts.fake import Call, FakeHost, Reply
from drillbook.journal.journal import FILE
from drillbook.plan import closure_approval
from drillbook.sdk import discovery
from drillbook.signing.texts import NAMESPACE, Look
from tests import machine
from tests.machine.small import Small
from tests.machine.world import Controller, World
from tests.report.samples import JOURNALS

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
}
DIES_AFTER = {
    "killed": "fault.active",
    "recovered": "fault.active",
    "died": "intent",
    "still_broken": "probe.samples",
    "closed": "fault.active",
}
"""Kind of the event after which the controller of a run dies; ``died`` dies while it writes the next one."""
REASON = "host decommissioned, ticket 4711"


@contextmanager
def serving(world: World) -> Iterator[str]:
    """A server that is down as long as something is broken on host a."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            down = any(host == "a" for host, _ in world.things())
            self.send_response(503 if down else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def slow(world: World) -> None:
    """Hosts that take their time to put things back, so that probes see them broken."""
    for host in world.hosts.values():
        for word in ("mend", "restore"):
            act = host.commands[(word,)]

            def late(call: Call, act: Callable[[Call], Reply] = act) -> Reply:
                time.sleep(0.3)
                return act(call)

            host.on(word, late)


def record(name: str, folder: Path) -> None:
    """Run the drill ``name`` and keep its journal."""
    world = World()
    slow(world)
    world.hosts["controller"] = FakeHost("controller")
    if name == "not_ready":
        world.hosts["a"].on("whole", Reply(1, stderr=b"something is lost"))
    if name == "not_whole":
        world.hosts["b"].on("whole", Reply(1, stderr=b"something is lost"))
    if name == "stuck":
        world.stuck.add(("a", "door"))
    with serving(world) as url:
        small = Small(folder, world.hosts)
        controller = Controller(small.plan(DRILLS[name], HOSTS.replace("URL", url)), world, folder, origin=time.monotonic())
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
    """Close the residue of a run on a host that does not answer, with the approval of a second person."""
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
    for name in sys.argv[1:] or DRILLS:
        with tempfile.TemporaryDirectory() as folder:
            record(name, Path(folder))


if __name__ == "__main__":
    main()

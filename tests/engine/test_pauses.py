"""A controller that is really frozen: a call that holds Python's lock stops all of its threads."""

import ctypes
import json
import subprocess
import sys
import time

import pytest

from drillbook.engine.pauses import Pulse
from drillbook.journal.journal import Journal, read
from drillbook.judge.result import Verdict
from drillbook.judge.samples import Stalls
from drillbook.redact import Redactor
from tests.engine.test_runner import FAULT, Bench

SLOW = """
import http.server, pathlib, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.3)  # so that some request is always under way
        self.send_response(503 if pathlib.Path(sys.argv[1]).exists() else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
print(server.server_port, flush=True)
server.serve_forever()
"""


def stand_still(seconds):
    """Block all threads of this process for this time."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


@pytest.fixture
def served(tmp_path):
    """Address of a service in a separate process, which fails while the file ``broken`` exists."""
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path / "broken")], stdout=subprocess.PIPE, text=True)
    yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    process.kill()
    process.communicate()


def test_a_controller_that_stood_still_notes_it(tmp_path):
    journal = Journal(tmp_path, Redactor(()), origin=time.monotonic())
    pulse = Pulse(journal)
    pulse.start()
    begun = time.monotonic() - journal.origin
    stand_still(0.7)
    ended = time.monotonic() - journal.origin
    assert pulse.stood(begun, ended) > 0.5, "whoever asks first need not wait for the next beat"
    pulse.stop()
    pulse.stop()
    journal.close()
    assert Stalls.of(read(tmp_path / "journal.jsonl").events).during(begun, ended) > 0.5


def test_a_service_is_not_blamed_for_what_the_controller_slept_through(tmp_path, served):
    """The service was restored and healthy for long enough; then the controller was frozen for longer than a sample
    may take.
    """
    bench = Bench(tmp_path)
    stood = []

    def observe(event):
        if event.kind == "step.started" and event.step == "verify.2":
            stood.append(event.clock)
            stand_still(1.5)

    steps = "".join(
        f"  - command.run: {{argv: {json.dumps(argv)}, effect: {effect}}}\n    hosts: controller\n"
        for argv, effect in ((["sleep", "2.5"], "read"), (["true"], "read"))
    )
    restore = "restore:\n  - command.run: {argv: [rm, DIR/broken], effect: write}\n    hosts: controller\n"
    probes = f"probes:\n  - http.available: {{url: '{served}', every: 100ms, timeout: 1s}}\n"
    view = bench.run(probes + FAULT % "[rm, -f, DIR/broken]" + restore + "verify:\n" + steps, observe)
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    slept = [
        sample
        for event in bench.events("probe.samples")
        for sample in event.data["samples"]
        if not sample[2] and sample[0] < stood[0] < sample[1]
    ]
    assert slept, "some sample was under way, and got no answer"
    assert view.timeline.marks["recovered"] < stood[0], "it was recovered before, and did not relapse"
    (stalled,) = [one for one in view.result.findings if one.code == "controller-stalled"]
    assert f"probe.1: {len(slept)} sample" in stalled.measured


HANGS_ONCE = SLOW.replace(
    "time.sleep(0.3)  # so that some request is always under way",
    """
        hang = pathlib.Path(sys.argv[1]).with_name("hang")
        try:
            hang.unlink()
        except OSError:
            pass
        else:
            time.sleep(3)""",
)


def test_the_verification_does_not_end_while_a_request_hangs_beside_quick_ones(tmp_path):
    """One of many workers hangs: its failure moves the recovery, and the verification lasts until then."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS_ONCE, str(tmp_path / "broken")], stdout=subprocess.PIPE, text=True
    )
    try:
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/"
        bench = Bench(tmp_path)
        # One request begins to hang after the service was healthy for long enough.
        script = "sleep 2.5; touch DIR/hang; while test -e DIR/hang; do sleep 0.01; done"
        probes = f"probes:\n  - http.available: {{url: '{url}', every: 100ms, timeout: 1500ms}}\n"
        restore = "restore:\n  - command.run: {argv: [rm, DIR/broken], effect: write}\n    hosts: controller\n"
        verify = f"verify:\n  - command.run: {{argv: [sh, -c, {json.dumps(script)}], effect: read}}\n    hosts: controller\n"
        view = bench.run(probes + (FAULT % "[rm, -f, DIR/broken]") + restore + verify)
        assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
        (hung,) = [
            sample
            for event in bench.events("probe.samples")
            for sample in event.data["samples"]
            if not sample[2] and sample[1] - sample[0] > 1.4
        ]
        ended = next(event.clock for event in bench.events("phase.ended") if event.data["phase"] == "verify")
        assert hung[1] < ended, "the run waited"
        assert view.timeline.marks["recovered"] > hung[0], "and moved the recovery"
    finally:
        process.kill()
        process.communicate()

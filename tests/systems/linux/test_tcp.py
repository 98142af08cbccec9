"""tcp.open, the action, with real ports."""

import socket

import pytest

from drillbook.judge.result import Verdict
from tests.engine.test_runner import Bench


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def step(port, *more):
    return f"verify:\n  - tcp.open: {{address: 127.0.0.1, port: {port}{''.join(f', {one}' for one in more)}}}\n"


def test_an_open_port(bench, listener):
    view = bench.run(step(listener.getsockname()[1]))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.steps[0].facts["state"] == "open"
    view = bench.run(step(listener.getsockname()[1], "state: closed"))
    assert view.result.verdict is Verdict.FAILED
    assert [one.code for one in view.result.findings] == ["port-state"]


def test_a_closed_port(bench, listener):
    port = listener.getsockname()[1]
    listener.close()
    view = bench.run(step(port))
    assert view.result.verdict is Verdict.FAILED
    assert "refused" in view.result.findings[0].measured
    view = bench.run(step(port, "state: closed"))
    assert view.result.verdict is Verdict.PASSED


def test_a_name_that_nobody_knows_is_not_closed(bench):
    view = bench.run(step(80, "state: closed").replace("127.0.0.1", "nosuch.invalid"))
    assert view.result.verdict is Verdict.INCONCLUSIVE


def test_the_probe_measures_an_outage(bench, listener):
    """A drill with the probe: the port closes and opens again."""
    port = listener.getsockname()[1]
    listener.close()
    serve = (
        "import socket,time\ns=socket.create_server(('127.0.0.1',int(__import__('sys').argv[1])),backlog=512)\n"
        "time.sleep(60)"
    )
    script = 'python3 -c "$1" "$2" >/dev/null 2>&1 & echo $! > "$3"'
    start = ["sh", "-c", script, "sh", serve, str(port), "DIR/pid"]
    import json
    import subprocess

    first = [part.replace("DIR", str(bench.root)) for part in start]
    subprocess.run(first, check=True)
    stop = ["sh", "-c", 'kill "$(cat "$1")" 2>/dev/null || true', "sh", "DIR/pid"]
    try:
        view = bench.run(
            "objectives: {rto: 10s}\nguard: {environments: [lab]}\n"
            f"probes:\n  - tcp.open: {{address: 127.0.0.1, port: {port}, every: 50ms}}\n"
            f"inject:\n  - command.run: {{argv: {json.dumps(stop)}, effect: fault, undo: ['true'], "
            f"proof: [sh, -c, 'test ! -d /proc/$(cat \"$1\")', sh, DIR/pid]}}\n    hosts: controller\n"
            f"restore:\n  - command.run: {{argv: {json.dumps(start)}, effect: write}}\n    hosts: controller\n"
        )
    finally:
        subprocess.run([part.replace("DIR", str(bench.root)) for part in stop], check=True)
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    assert view.result.clocks["outage_s"] > 0

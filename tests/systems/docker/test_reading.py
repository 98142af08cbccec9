"""Read-only actions on containers, each with a real failure."""

import contextlib
import http.server
import json
import os
import re
import socket
import socketserver
import subprocess
import threading
from dataclasses import replace

import pytest

from drillbook.errors import Cancelled, CouldNotVerify, NotReady, StepFailed
from drillbook.hosts.open import open_host
from drillbook.sdk.host import Deadline
from drillbook.systems.docker.actions.change import Connect, SetMemory, Start
from drillbook.systems.docker.actions.reading import Inspect, Logs, Running, Stats
from drillbook.systems.docker.service import Container
from drillbook.systems.units.service import Process
from tests.hosts.servers import AsyncSsh
from tests.systems.refusals import refused_until


def test_running_says_why_it_does_not(box):
    box.container()
    assert Running(service="box").run(box.ctx())["state"] == "running"
    made = box.container("sh", "-c", "exit 7")
    box.until(lambda: made.reload() or made.status == "exited", 60)
    with pytest.raises(StepFailed, match="is exited, status 7, not running") as failure:
        Running(service="box").run(box.ctx())
    assert failure.value.findings[0].code == "service-state"
    assert Running(service="box", state="stopped").run(box.ctx())["exit"] == 7
    with pytest.raises(StepFailed, match="was started, but has exited with status 7"):
        Start(service="box").run(box.ctx())


def test_running_sees_what_the_kernel_killed(box):
    made = box.container(
        "python3", "-c", "kept = bytearray(100 << 20)", mem_limit=32 << 20, memswap_limit=32 << 20, init=False
    )
    box.until(lambda: made.reload() or made.status == "exited", 60)
    with pytest.raises(StepFailed, match="killed for lack of memory"):
        Running(service="box").run(box.ctx())


def test_running_knows_health(box):
    made = box.container(healthcheck={"test": ["CMD", "test", "-e", "/tmp/well"], "interval": 10**8, "retries": 1})
    box.until(lambda: made.reload() or made.attrs["State"]["Health"]["Status"] == "unhealthy", 60)
    with pytest.raises(StepFailed, match=r"is running \(unhealthy\), not running \(healthy\)"):
        Running(service="box", healthy=True).run(box.ctx())
    made.exec_run(["touch", "/tmp/well"])
    box.until(lambda: made.reload() or made.attrs["State"]["Health"]["Status"] == "healthy", 60)
    assert Running(service="box", healthy=True).run(box.ctx())["health"] == "healthy"


def test_logs_and_the_errors_in_them(box):
    script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; done; printf 'ERROR: no \\033[31mroute\\n'"
    box.container("sh", "-c", script).wait()
    facts = Logs(service="box", lines=50).run(box.ctx())
    assert facts["lines"] == 50
    assert facts["errors"] == ["ERROR: no \\x1b[31mroute"]
    assert "line 300" in facts["last"]
    assert (box.root / "run" / facts["evidence"]["file"]).read_bytes().count(b"\n") == 50


class Begun(Deadline):
    """Deadline that expires as soon as the engine has begun to send a log."""

    told = threading.Event()

    def remaining(self):
        return 0.0 if self.told.is_set() else super().remaining()


@pytest.fixture
def stalling(tmp_path):
    """Engine whose container logs stall after each byte; the path of its socket."""
    Begun.told.clear()
    over, said = (
        threading.Event(),
        {
            "/version": {"ApiVersion": "1.45"},
            "/containers/x/json": {"Id": "x", "Name": "/x", "State": {"Status": "running"}, "Config": {"Tty": False}},
        },
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = re.sub(r"^/v[0-9.]+|[?].*", "", self.path)
            self.send_response(200)
            body = json.dumps(said.get(path, {})).encode()
            self.send_header(*(("Content-Length", str(len(body))) if path in said else ("Transfer-Encoding", "chunked")))
            self.end_headers()
            self.wfile.write(body if path in said else b"1c\r\n\x01\0\0\0\0\0\0\x05line\n\x01\0\0\0\0\0\xff\xffhalf ..\r\n")
            with contextlib.suppress(OSError):
                while path not in said and not over.wait(0.1):
                    self.wfile.write(b"1\r\n.\r\n")
                    self.wfile.flush()
                    Begun.told.set()
            self.close_connection = path not in said

        def log_message(self, *arguments):
            pass

    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "stalling"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        timer = threading.Timer(60, over.set)
        timer.start()
        yield f"{tmp_path}/stalling"
        timer.cancel()
        over.set()
        server.shutdown()
        thread.join()


@pytest.fixture(params=["socket", "ssh"])
def stalled(request, stalling, box, tmp_path, monkeypatch):
    """Context in which the stalling engine is the service's engine, on this machine or behind SSH."""
    if request.param == "socket":
        box.services = {"box": Container(name="box", host="here", container="x", engine=f"unix://{stalling}")}
        yield box.ctx()
        return
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(f"#!/bin/sh\nexec socat - UNIX-CONNECT:{stalling}\n")
    (tmp_path / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    server = AsyncSsh(tmp_path).start()
    try:
        host = open_host(server.target(), targets={})
        box.services = {"box": Container(name="box", host="far", container="x")}
        yield replace(box.ctx(), host=host, host_named=lambda name: host)
        host.close()
    finally:
        server.stop()


def test_a_log_that_stalls_in_its_middle_ends_with_the_step(stalled):
    with pytest.raises(
        CouldNotVerify, match=r"the log of x could not be read to its end within the step's timeout; \d+ bytes were read"
    ):
        Logs(service="box").run(replace(stalled, deadline=Begun.after(60)))
    Begun.told.clear()
    with pytest.raises(Cancelled):
        Logs(service="box").run(replace(stalled, deadline=Deadline.after(60, Begun.told)))


def test_the_log_of_a_terminal_has_no_frames(box):
    box.container("sh", "-c", "echo one; echo error two", tty=True).wait()
    assert Logs(service="box").run(box.ctx())["last"] == ["one", "error two"]


def test_stats_of_a_busy_container(box):
    box.container("python3", "-c", "kept = bytearray(40 << 20)\nwhile True: pass", mem_limit=128 << 20)
    facts = Stats(service="box").run(box.ctx())
    assert facts["cpu_percent"] > 5
    assert 20 << 20 < facts["memory_bytes"] < 128 << 20
    assert facts["limit_bytes"] == 128 << 20
    box.made[0].kill()
    with pytest.raises(CouldNotVerify, match="its resource use cannot be measured"):
        Stats(service="box").run(box.ctx())


def test_inspect_tells_no_value_of_the_environment(box):
    box.container(environment={"DB_PASSWORD": "hunter2"}, mem_limit=64 << 20)
    facts = Inspect(service="box").run(box.ctx())
    assert "DB_PASSWORD" in facts["variables"]
    assert facts["limit_bytes"] == 64 << 20
    kept = (box.root / "run" / facts["evidence"]["file"]).read_text()
    assert "hunter2" not in kept + json.dumps(facts)
    assert "DB_PASSWORD=***" in kept


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (Logs, {}),
        (Stats, {}),
        (Inspect, {}),
        (SetMemory, {"memory": 64 << 20, "swap": 64 << 20}),
        (Connect, {"network": "none"}),
    ],
)
def test_a_container_that_is_absent_refuses_what_works_with_it(box, kind, params):
    made, gone = box.container(), Container(name="box", host="here", container="drillbook-test-absent")
    action = kind(service="box", **params)
    box.services["box"] = gone
    with pytest.raises(CouldNotVerify, match="there is no container"):
        action.run(box.ctx())
    told = []
    action.ready(replace(box.ctx(), changed=True, doubt=told.append))
    assert ["an earlier step may change this" in text for text in told] == [True]
    named = gone.model_copy(update={"container": made.name})
    refused_until(lambda: action.ready(box.ctx()), "there is no container", lambda: box.services.update(box=named))
    action.run(box.ctx())


def test_a_network_that_is_absent_refuses_a_connection(box):
    made = box.container()
    action = Connect(service="box", network="drillbook-test-absent")
    with pytest.raises(StepFailed, match="network drillbook-test-absent not found"):
        action.run(box.ctx())
    with pytest.raises(NotReady, match="network drillbook-test-absent not found") as refusal:
        action.ready(box.ctx())
    assert refusal.value.hint
    Connect(service="box", network=next(iter(made.attrs["NetworkSettings"]["Networks"]))).ready(box.ctx())


def test_a_container_that_is_stopped_refuses_a_measurement(box):
    made = box.container()
    made.stop(timeout=0)
    action = Stats(service="box")
    with pytest.raises(CouldNotVerify, match="is exited"):
        action.run(box.ctx())
    refused_until(lambda: action.ready(box.ctx()), "so its resource use could not be measured", made.start)
    action.run(box.ctx())


def test_an_unknown_container_and_a_service_that_is_none(box):
    made = box.container()
    box.services = {
        "box": Container(name="box", host="here", container="drillbook-test-none"),
        "other": Process(name="other", host="here"),
    }
    with pytest.raises(CouldNotVerify, match="there is no container 'drillbook-test-none'"):
        Running(service="box").run(box.ctx())
    refused_until(
        lambda: Running(service="other").ready(box.ctx()),
        "is not a container according to the inventory",
        lambda: box.services.update(other=Container(name="other", host="here", container=made.name)),
    )


def test_no_engine_there(box, tmp_path):
    box.services = {"box": Container(name="box", host="here", container="x", engine=f"unix://{tmp_path}/none.sock")}
    with pytest.raises(CouldNotVerify, match=r"none.sock does not answer"):
        Running(service="box").run(box.ctx())


def test_an_engine_that_hangs_is_left_at_the_deadline(box, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(8)
        box.services = {"box": Container(name="box", host="here", container="x", engine=f"unix://{tmp_path}/s")}
        ctx = box.ctx()
        object.__setattr__(ctx, "deadline", Deadline.after(1.0))
        with pytest.raises((CouldNotVerify, TimeoutError)):
            Running(service="box").run(ctx)


def test_the_engine_says_the_same_as_its_program(box):
    made = box.container()
    said = subprocess.run(
        ["docker", "inspect", "--format", "{{.Config.Image}}", made.name], capture_output=True, text=True, check=True
    )
    assert Inspect(service="box").run(box.ctx())["image"] == said.stdout.strip()

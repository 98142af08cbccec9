"""process.allocations on real Python processes: one that leaks, one that is idle; with memray, and with tracemalloc
in the lab's API.
"""

import asyncio
import contextlib
import json
import signal
import sys
import threading
import tracemalloc
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from drillbook.errors import Cancelled, CouldNotVerify, NotReady, PlanError
from drillbook.lab.app.allocations import Watch
from drillbook.sdk.action import Effect
from drillbook.sdk.service import Http
from drillbook.sdk.web import ask
from drillbook.systems.linux import attaching
from drillbook.systems.linux.actions.process.reading.allocations import Allocations
from tests.needs import need
from tests.ports import free_port
from tests.systems.ground import path_without
from tests.systems.linux.processes import OPEN
from tests.systems.refusals import refused_until

LEAKS = """\
import os, time
kept = []
def remember_everything(secret):
    kept.append(bytes(50_000))
def forget_again():
    return len(bytes(500_000))
round = 0
while True:
    remember_everything("s3cr3t-argument")
    forget_again()
    round += 1
    with open(PATH + ".new", "w") as beat:
        beat.write(f"{os.getpid()} {round}")
    os.rename(PATH + ".new", PATH)
    time.sleep(0.02)
"""
SERVES = """\
import threading, time
import uvicorn
from fastapi import FastAPI
from drillbook.lab.app import allocations
kept = []
def remember_everything(secret):
    while True:
        kept.append(bytes(50_000))
        time.sleep(0.02)
app = FastAPI()
allocations.add(app)
threading.Thread(target=remember_everything, args=("s3cr3t-argument",), daemon=True).start()
uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error")
"""
TRACKED = """\
import os, time
from memray import Tracker
with Tracker(PATH + ".theirs"):
    open(PATH, "w").write(str(os.getpid()))
    while True:
        kept = bytes(1000)
        time.sleep(0.02)
"""
LOOPS = """\
import platform
libc = ctypes.CDLL(None)
entry = ctypes.cast(libc.access, ctypes.c_void_p).value
loop = {"x86_64": bytes.fromhex("ebfe"), "aarch64": bytes.fromhex("00000014")}[platform.machine()]
assert libc.mprotect(ctypes.c_void_p(entry & ~4095), ctypes.c_size_t(8192), 7) == 0
ctypes.memmove(entry, loop, len(loop))
"""
"""Code after which `access` never returns; the debugger calls this function in the process before it waits for an
allocation.
"""
RESTS = """\
import os, signal
def wake(*seen):
    open(PATH + ".woken", "w").close()
signal.signal(signal.SIGUSR1, wake)
open(PATH, "w").write(str(os.getpid()))
while True:
    signal.pause()
"""


@pytest.fixture
def profiling(monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    need("memray")
    need("gdb")


def started(ground, code, *arguments):
    """Pid file of a started Python process that runs ``code``."""
    path = ground.root / "pid"
    child = ground.start(sys.executable, "-c", OPEN + code.replace("PATH", repr(str(path))), *arguments)
    ground.until(lambda: path.exists() and path.read_text().split()[:1] == [str(child.pid)], 60)
    return path, child


def held_by(pid, word):
    """Open files of the process whose names contain ``word``."""
    return [to for one in Path(f"/proc/{pid}/fd").iterdir() if word in (to := str(one.readlink()))]


def goes_on(ground, path):
    before = path.read_text()
    ground.until(lambda: path.read_text() != before, 60)


def test_memray_names_the_function_that_keeps_memory_and_lets_go(ground, profiling):
    path, child = started(ground, LEAKS, "--password=hunter2")
    action = Allocations(pid_file=str(path), by="memray", seconds="1s")
    ctx = ground.ctx("diagnose.1")
    action.ready(ctx)
    for _ in range(2):  # the first debugger has detached, otherwise the second would be refused
        facts = action.run(ctx)
        assert held_by(child.pid, "capture") == []
        goes_on(ground, path)
    assert facts["pid"] == child.pid
    assert facts["largest"].startswith("remember_everything (<string>:")
    assert facts["places"][0]["bytes"] >= 50_000
    assert facts["places"][0]["allocations"] >= 1
    assert facts["places"][0]["share"] > 0.9
    assert facts["held_bytes"] >= facts["places"][0]["bytes"]
    assert facts["peak_bytes"] >= 500_000, "also what was let go again"
    assert facts["seconds"] >= 1.0
    drawing = (ground.root / "run" / facts["flamegraph"]["file"]).read_text()
    assert "remember_everything" in drawing
    assert ET.fromstring(drawing).tag.endswith("svg")
    for secret in ("hunter2", "s3cr3t"):
        assert secret not in drawing + json.dumps(facts)
    ground.nothing_left()


def test_a_process_that_allocates_nothing_is_left_as_it_was(ground, profiling, monkeypatch):
    monkeypatch.setattr(attaching, "PATIENCE", 2)
    path, child = started(ground, RESTS)
    with pytest.raises(CouldNotVerify, match=r"allocated nothing within .* the process continues unchanged"):
        Allocations(pid_file=str(path), by="memray", seconds="1s").run(ground.ctx())
    assert "TracerPid:\t0" in Path(f"/proc/{child.pid}/status").read_text()
    child.send_signal(signal.SIGUSR1)
    ground.until(Path(f"{path}.woken").exists, 60)
    assert child.poll() is None
    ground.nothing_left()


def test_a_process_in_which_the_debugger_calls_a_function_is_left_as_it_was(ground, profiling, monkeypatch):
    """As on a busy machine, where such a function takes longer than the time limit."""
    monkeypatch.setattr(attaching, "PATIENCE", 5)
    path, child = started(ground, LOOPS + RESTS)
    with pytest.raises(CouldNotVerify, match=r"the process continues unchanged"):
        Allocations(pid_file=str(path), by="memray", seconds="1s").run(ground.ctx())
    child.send_signal(signal.SIGUSR1)
    ground.until(Path(f"{path}.woken").exists, 60)
    assert child.poll() is None
    ground.nothing_left()


def test_a_step_that_is_stopped_meanwhile_leaves_the_process_as_it_was(ground, profiling, monkeypatch):
    monkeypatch.setattr(attaching, "PATIENCE", 2)
    path, child = started(ground, RESTS)
    ctx = ground.ctx()
    status = Path(f"/proc/{child.pid}/status")
    caught = threading.Thread(
        target=lambda: (ground.until(lambda: "TracerPid:\t0\n" not in status.read_text(), 60), ctx.deadline.cancel.set())
    )
    caught.start()
    with pytest.raises(Cancelled):
        Allocations(pid_file=str(path), by="memray", seconds="1s").run(ctx)
    caught.join()
    ground.until(lambda: "TracerPid:\t0\n" in status.read_text(), 90)
    child.send_signal(signal.SIGUSR1)
    ground.until(Path(f"{path}.woken").exists, 60)
    assert child.poll() is None
    ground.nothing_left()


def test_what_stands_in_the_way_is_told(ground, profiling, monkeypatch):
    ctx = ground.ctx()
    child = ground.start("sleep", "60")
    (ground.root / "pid").write_text(str(child.pid))
    action = Allocations(pid_file=str(ground.root / "pid"), by="memray", seconds="1s")
    with pytest.raises(CouldNotVerify, match="is not a Python process"):
        action.run(ctx)
    tools = Path(path_without(ground.root / "bin"))
    (tools / "memray").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(CouldNotVerify, match="needs gdb or lldb, but neither of them is installed") as told:
        action.run(ctx)
    assert "package `gdb`" in told.value.hint
    refused_until(
        lambda: action.ready(ctx),
        "gdb or lldb, which memray needs, is not installed",
        lambda: (tools / "gdb").symlink_to("/bin/true"),
    )
    (tools / "memray").unlink()
    with pytest.raises(NotReady, match="not installed: memray"):
        action.ready(ground.ctx())  # a context checks each program of a host only once
    with pytest.raises(CouldNotVerify, match="memray does not exist"):
        action.run(ctx)
    with pytest.raises(CouldNotVerify, match="contains no pid of a running process"):
        Allocations(pid_file="/nonexistent", by="memray").run(ctx)
    with pytest.raises(PlanError, match="timeout is shorter"):
        Allocations(pid_file="/nonexistent", by="memray", seconds="10m").run(ctx)
    ground.nothing_left()


def test_who_watches_already_is_left_alone(ground, profiling):
    path, child = started(ground, TRACKED)
    with pytest.raises(CouldNotVerify, match=r"memray already traces process \d+") as told:
        Allocations(pid_file=str(path), by="memray", seconds="1s").run(ground.ctx())
    assert told.value.hint.endswith(f"`memray detach {child.pid}`")
    assert held_by(child.pid, "theirs"), "it goes on"


def watched(ground, port, **fields):
    ground.services = {"api": Http(host="here", url=f"http://127.0.0.1:{port}")}
    return Allocations(service="api", path="/debug/allocations", **fields)


def test_an_application_names_the_line_that_keeps_memory(ground):
    port = free_port()
    code = SERVES.replace("PORT", str(port))
    ground.start(sys.executable, "-c", code)
    ground.until(lambda: answers(port), 90)
    for _ in range(2):
        facts = watched(ground, port, seconds="1s", most=3).run(ground.ctx())
        line = code.splitlines().index("        kept.append(bytes(50_000))") + 1
        assert (facts["by"], facts["pid"], facts["largest"]) == ("tracemalloc", None, f"<string>:{line}")
    assert facts["places"][0]["bytes"] >= 50_000
    assert facts["places"][0]["share"] > 0.5
    assert len(facts["places"]) <= 3
    assert facts["held_bytes"] >= facts["places"][0]["bytes"]
    assert facts["peak_bytes"] > 0
    assert facts["seconds"] >= 1.0
    assert f"&lt;string&gt;:{line}" in (ground.root / "run" / facts["flamegraph"]["file"]).read_text()


def answers(port):
    with contextlib.suppress(OSError):
        return ask(f"http://127.0.0.1:{port}/", timeout=5).status == 404
    return False


def test_an_application_watches_itself_for_one_at_a_time_and_stops():
    async def twice():
        watch = Watch()
        return await asyncio.gather(watch.look(0.1, 5), watch.look(0.1, 5)), await watch.look(0.1, 5)

    (first, second), later = asyncio.run(twice())
    assert second is None
    assert first["held_bytes"] >= 0
    assert later is not None
    assert not tracemalloc.is_tracing()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "correct `path`"),
        (409, b"", "another trace"),
        (500, b"oh\x1b", "read the log"),
        (200, b"<html>", "the form of its answer"),
    ],
)
def test_an_application_that_does_not_offer_it_is_told(ground, status, body, said):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(CouldNotVerify, match=r"/debug/allocations (answered|gave an unexpected answer)") as told:
            watched(ground, server.server_port, seconds="1s").run(ground.ctx())
        thread.join()
    assert said in told.value.hint
    assert "\x1b" not in told.value.message
    with pytest.raises(CouldNotVerify, match="does not answer"):
        watched(ground, free_port(), seconds="1s").run(ground.ctx())


def test_code_in_a_process_must_be_written_out():
    for wrong in ({}, {"by": "tracemalloc"}, {"by": "auto"}):
        with pytest.raises(ValidationError, match="write `by: memray`, which runs code in the process"):
            Allocations(service="api", **wrong)
    with pytest.raises(ValidationError, match="`path` applies only to tracemalloc"):
        Allocations(service="api", by="memray", path="/debug/allocations")
    with pytest.raises(ValidationError, match="needs the `service`"):
        Allocations(port=8000, path="/debug/allocations")
    assert Allocations(service="api", by="memray").effect is Effect.WRITE
    assert Allocations(service="api", path="/debug/allocations").effect is Effect.READ

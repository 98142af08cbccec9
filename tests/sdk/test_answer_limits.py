"""Hostile targets: with any answer of any length, the controller's memory does not grow, and the answer is not taken
for a valid one.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.hosts.local import LocalHost
from drillbook.sdk.answer_limits import MOST_THINGS, Answer, Ignored, parsed
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.sdk.web import ask
from drillbook.values import Secret
from tests.program import Folder

MIB = 1 << 20
FLOOD = "#!/bin/sh\ncat >/dev/null &\nexec yes '[[[1,2],{\"a\":[]}],[[3]]],'\n"
PEAK = """
import re
from pathlib import Path

def peak():
    \"\"\"KiB that this program alone has held; its `ru_maxrss` begins with that of the process that started it.\"\"\"
    return int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])
"""
CHILD = (
    PEAK
    + """
import json, resource, sys, time
from drillbook.sdk.action import Context
from drillbook.errors import DrillbookError
from drillbook.sdk.host import Deadline, Target
from drillbook.hosts.local import LocalHost
from drillbook.sdk.transfer import Carrier
from drillbook.systems.files import content as files
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
host = LocalHost("db-1", target=Target(name="db-1", local=True))
ctx = Context(run_id="r", step="s", host=host, services={}, host_named=lambda name: host, deadline=Deadline.after(15), folder=Path("/"))
begun, told = time.monotonic(), []
for ask in (lambda: files.survey(ctx, "/etc"), lambda: Carrier(host, Deadline.after(15), "/tmp")._carry("survey", "/etc", "1", tool="python3")):
    try:
        ask()
        told.append("an answer")
    except (DrillbookError, MemoryError) as error:
        told.append(f"{type(error).__name__}: {error}")
print(json.dumps([told, peak() >> 10, time.monotonic() - begun]))
"""
)


def path_with(folder, name, text):
    """PATH on which a program of a target is replaced."""
    folder.mkdir()
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_host_that_never_stops_answering_is_cut_off(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=path_with(tmp_path / "bin", "python3", FLOOD),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told, peak, _ = json.loads(done.stdout)
    assert [line.startswith("CouldNotVerify: db-1: ") and "larger than" in line for line in told] == [True, True], told
    assert peak < 400, f"{peak} MiB"


def test_an_answer_of_few_bytes_that_would_be_large_in_memory_is_not_read():
    for data in (b"[" + b"[]," * (MOST_THINGS // 2 + 1) + b"1]", b"[" * MIB, b"{", b"\xff"):
        with pytest.raises(CouldNotVerify):
            parsed(data, "db-1: the answer")
    assert parsed(b'{"a": [1, 2]}', "") == {"a": [1, 2]}


def test_what_is_kept_and_what_is_not():
    sink = Answer("db-1: the list", 10)
    sink.write(b"12345")
    with pytest.raises(CouldNotVerify, match="db-1: the list is larger than the limit of 10 bytes"):
        sink.write(b"123456")
    assert sink.text == "12345"
    ignored = Ignored()
    host = LocalHost(target=Target(local=True))
    host.run(("head", "-c", "5000000", "/dev/zero"), deadline=Deadline.after(30), sink=ignored).check()
    assert ignored.getvalue() == b""


GARBAGE = """#!/bin/sh
if [ "$4" = lock_take ] || [ "$5" = "$GARBAGE" ] || [ "$4" = "$GARBAGE" ]; then
  if [ -n "$GARBAGE" ] && [ "$4" = lock_take ]; then exec /bin/sh "$@"; fi
  printf 'taken tw\\033[31melve\\n%s\\n' "$(head -c 3000 /dev/zero | tr '\\0' 9)"
  exit 0
fi
exec /bin/sh "$@"
"""


@pytest.mark.parametrize("function", ["lock_take", "lease_ready", "lease_arm"])
def test_a_garbage_answer_about_a_lock_or_a_lease_is_inconclusive(tmp_path, function):
    folder = Folder(tmp_path)
    folder.environment = {
        **folder.environment,
        **path_with(tmp_path / "bin", "sh", GARBAGE),
        "GARBAGE": "" if function == "lock_take" else function,
    }
    folder.write(
        "inject:\n  - command.run: {argv: [touch, DIR/x], effect: fault, undo: [rm, -f, DIR/x], proof: [test, -e, DIR/x]}\n"
        "    hosts: controller\n"
    )
    done = folder.run("drill", "sample")
    said = done.stdout + done.stderr
    assert "ValueError" not in said
    assert "cannot be parsed" in said, said
    assert "\033[31m" not in said
    assert done.returncode == (4 if function == "lease_ready" else 3), said
    assert not [line for line in said.splitlines() if len(line) > 2000]


def served(talk):
    """SSH server at which ``talk`` answers. Return its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line:
                try:
                    talk(line)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    return listener


def endless_banner(line):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        line.sendall(b"S" * MIB)


def huge_packet(line):
    line.sendall(b"SSH-2.0-Evil\r\n")
    line.sendall((0xFFFFFFF4).to_bytes(4, "big"))
    end = time.monotonic() + 20
    while time.monotonic() < end:
        line.sendall(b"S" * MIB)


CONNECT = (
    PEAK
    + """
import json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from drillbook.errors import DrillbookError
from drillbook.sdk.host import Deadline, Target
from drillbook.hosts.open import open_host
before, begun = peak(), time.monotonic()
try:
    host = open_host(Target(name="db-1", address="127.0.0.1", port=int(sys.argv[1]), user="root", known_hosts="/dev/null"), targets={})
    host.run(["true"], deadline=Deadline.after(12))
    said = "it ran"
except (DrillbookError, TimeoutError, MemoryError) as error:
    said = f"{type(error).__name__}: {error}"
print(json.dumps([said, (peak() - before) >> 10, time.monotonic() - begun]))
"""
)


@pytest.mark.parametrize("talk", [endless_banner, huge_packet])
def test_a_server_that_floods_before_any_key_is_cut_off(talk):
    with served(talk) as listener:
        done = subprocess.run(
            [sys.executable, "-c", CONNECT, str(listener.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    said, grown, _ = json.loads(done.stdout)
    assert said.startswith("Host"), said
    assert grown < 100, f"{grown} MiB"


@pytest.mark.parametrize("client", ["http", "s3"])
def test_half_an_answer_is_none(monkeypatch, client):
    """The server sends less than it announced, and closes the connection: the received part is not accepted as complete."""
    monkeypatch.setenv("HALF", "half-an-answer")
    secret = Secret(source="env", name="HALF")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    line.recv(65536)
                    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf")

        threading.Thread(target=answer, daemon=True).start()
        port = server.getsockname()[1]
        try:
            if client == "http":
                with pytest.raises(OSError, match="IncompleteRead"):
                    ask(f"http://127.0.0.1:{port}/", timeout=5)
            else:
                service = S3(
                    name="backups",
                    host="far",
                    endpoint=f"http://127.0.0.1:{port}",
                    bucket="b",
                    access_key=secret,
                    secret_key=secret,
                )
                with pytest.raises(CouldNotVerify, match="read key"):
                    Store(service).get("key")
        finally:
            server.shutdown(socket.SHUT_RDWR)

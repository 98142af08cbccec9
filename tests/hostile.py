"""Servers with endless answers, and a separate program that asks one and reports its peak memory."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

MIB = 1 << 20
LASTING_S = 90
Talk = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(talk: Talk, path: str = "") -> Iterator[int]:
    """Port, or socket at ``path``, at which ``talk`` answers each connection in a separate thread."""
    with _local(path) if path else socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, talk), daemon=True).start()
        try:
            yield 0 if path else listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _local(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def _accept(listener: socket.socket, talk: Talk) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_talked, args=(line, talk), daemon=True).start()


def _talked(line: socket.socket, talk: Talk) -> None:
    with line, contextlib.suppress(OSError, ValueError):
        talk(line)


def flood(line: socket.socket, unit: bytes) -> None:
    """Send ``unit`` repeatedly until the client closes the connection."""
    block, end = unit * max(1, MIB // len(unit)), time.monotonic() + LASTING_S
    while time.monotonic() < end:
        line.sendall(block)


def chunked(units: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks of a body without a declared length."""
    for unit in units:
        yield f"{len(unit):x}\r\n".encode() + unit + b"\r\n"


_CHILD = """
import json, re, resource, sys, time
from pathlib import Path

def peak():
    return int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from drillbook.sdk.action import Context
from drillbook.errors import DrillbookError
from drillbook.sdk.host import Deadline, Target
from drillbook.hosts.local import LocalHost
from drillbook.sdk import discovery
from drillbook.values import Secret
host = LocalHost("db-1", target=Target(name="db-1", local=True))
port, secret = int(sys.argv[1]), Secret(source="env", name="HOSTILE")

def context(*known, seconds=15):
    return Context(run_id="r", step="s", host=host, services={one.name: one for one in known}, host_named=lambda name: host,
                   deadline=Deadline.after(seconds), folder=Path(sys.argv[2]))
SETUP
before, begun = peak(), time.monotonic()
try:
    ASK
    said = "an answer"
except (DrillbookError, MemoryError, TimeoutError, OSError) as error:
    said = f"{type(error).__name__}: {error}"
print(json.dumps([said, (peak() - before) >> 10, time.monotonic() - begun]))
"""


def asked(talk: Talk, setup: str, ask: str, folder: str = "/", *, path: str = "") -> tuple[str, int, float]:
    """Output of a controller that asks a server which answers with ``talk``, the growth of its memory in MiB, and its
    duration in seconds.
    """
    program = _CHILD.replace("SETUP", setup).replace("    ASK", "\n".join(f"    {line}" for line in ask.splitlines()))
    with serving(talk, path) as port:
        done = subprocess.run(
            [sys.executable, "-c", program, str(port), folder],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "HOSTILE": "0123456789"},
        )
    assert done.stdout, done.stderr
    said, grown, seconds = json.loads(done.stdout)
    return said, grown, seconds

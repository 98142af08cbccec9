"""One lab for all tests that do not change it, and ways to inspect it from outside."""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("asyncssh", reason="the extra `lab` is not installed")

import paramiko

from drillbook.lab import control, processes
from drillbook.lab.layout import ADDRESS, USER, Lab

Ssh = Callable[..., "Done"]
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Done:
    status: int
    out: bytes
    err: bytes


def connect(lab: Lab, host: str, user: str = USER) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.load_host_keys(str(lab.folder / "known_hosts"))
    client.connect(
        ADDRESS,
        lab.port(f"ssh.{host}"),
        user,
        key_filename=str(lab.folder / "id"),
        allow_agent=False,
        look_for_keys=False,
        timeout=10,
    )
    return client


def run(lab: Lab, host: str, command: str, stdin: bytes = b"") -> Done:
    with connect(lab, host) as client:
        feed, out, err = client.exec_command(command, timeout=30)
        feed.write(stdin)
        feed.channel.shutdown_write()
        return Done(status=out.channel.recv_exit_status(), out=out.read(), err=err.read())


def get(lab: Lab, path: str) -> tuple[int, dict]:
    try:
        with _OPENER.open(lab.api + path, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def mentioning(folder: Path) -> list[str]:
    """Command lines of processes that mention the lab's folder."""
    found = []
    for pid in processes.everything():
        try:
            cmdline, environ = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        if str(folder).encode() in cmdline + b"\0" + environ:
            found.append(f"{pid} {cmdline!r}")
    return found


def short(name: str) -> Path:
    """Folder with a path short enough for sockets; pytest's paths are too long."""
    return Path(f"/var/tmp/drillbook-test-{hashlib.sha256(name.encode()).hexdigest()[:8]}")


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder for a separate lab of the test."""
    made = short(f"{tmp_path_factory.getbasetemp()} {request.node.nodeid}")
    yield made
    control.down(made)
    assert not made.exists()


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The shared lab."""
    made = short(str(tmp_path_factory.getbasetemp()))
    try:
        yield control.up(made)
    finally:
        control.down(made)

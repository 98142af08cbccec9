"""Servers that accept and never answer, stall in an answer, or send a byte now and then: a step ends at its deadline."""

from __future__ import annotations

import importlib
import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from drillbook.engine.steps import classify
from drillbook.hosts.fake import FakeHost
from drillbook.sdk.action import Context
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline, Target
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.sdk.web import ask
from drillbook.systems.docker.service import Container
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.redis.service import Redis
from drillbook.values import Secret
from tests.waiting import lasts

STEP_S = 2.0
PATIENCE_S = 30.0
"""Time limit of the test, not a measurement: a call that ignores the deadline of its step continues for minutes."""
FIRST = {
    "s3": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n<",
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nx",
    "postgres": b"NR\0\0\1\0",
    "redis": b"+O",
    "docker": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{",
    "qdrant": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{",
    "ssh": b"SSH-2.0-tarpit\r\n",
    "docker_ssh": b"SSH-2.0-tarpit\r\n",
}


@pytest.fixture(scope="session", autouse=True)
def _libraries():
    """Import the clients' libraries in advance: on a busy machine the import alone may take longer than a step of
    these tests.
    """
    for name in ("boto3", "docker", "fabric", "psycopg", "qdrant_client", "redis"):
        importlib.import_module(name)


class Tarpit:
    """Server on the loopback that accepts every connection and answers none: ``how`` is silent, stalls or trickles."""

    def __init__(self, how: str, first: bytes, path: Path | None) -> None:
        """Start on a socket file at ``path`` if given, otherwise on a port."""
        self.how, self.first = how, first
        self.over = threading.Event()
        self.reached = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1] if path is None else str(path)
        self._lines: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self._lines.append(line)
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        self.reached.set()
        try:
            if self.how == "stalls":
                line.recv(1 << 16)
                line.sendall(self.first)
            at = 0
            while not self.over.wait(0.2):
                if self.how == "trickles":
                    line.sendall((self.first + b"x" * 100_000)[at : at + 1])
                    at += 1
        except OSError:
            pass

    def close(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(PATIENCE_S)  # a connection that was just accepted is closed, too
        self._listener.close()
        for line in self._lines:
            line.close()


@contextmanager
def tarpit(how: str, client: str, folder: Path):
    server = Tarpit(how, FIRST[client], folder / "docker.sock" if client == "docker" else None)
    try:
        yield server
    finally:
        server.close()


def context(folder, deadline, **services) -> Context:
    host = FakeHost("far")
    return Context(
        run_id="run",
        step="restore.1",
        host=host,
        services=services,
        host_named=lambda name: host,
        deadline=deadline,
        folder=folder,
    )


def s3(port, ctx):
    store = S3.model_validate(
        {
            "kind": "s3",
            "endpoint": f"http://127.0.0.1:{port}",
            "bucket": "bucket",
            "access_key": secret(),
            "secret_key": secret(),
            "host": "far",
            "name": "backups",
        }
    )
    Store(store).get("key")


def http(port, ctx):
    ask(f"http://127.0.0.1:{port}/", timeout=ctx.deadline.remaining())


def postgres(port, ctx):
    from drillbook.systems.postgres.connection import connected

    with connected(ctx, postgres_at(port)) as session:
        session.execute("SELECT 1")


def postgres_at(port):
    return Postgres.model_validate(
        {
            "kind": "postgres",
            "host": "far",
            "address": "127.0.0.1",
            "port": port,
            "database": "d",
            "user": "u",
            "name": "database",
            "data_directory": "/d",
            "admin": {"user": "postgres"},
        }
    )


def redis(port, ctx):
    from drillbook.systems.redis.connection import connected

    service = Redis.model_validate({"kind": "redis", "host": "far", "address": "127.0.0.1", "port": port, "name": "cache"})
    with connected(ctx, service) as session:
        session.ask("PING")


def qdrant(port, ctx):
    from drillbook.systems.qdrant.client import connected
    from drillbook.systems.qdrant.service import Qdrant

    service = Qdrant.model_validate(
        {"kind": "qdrant", "host": "far", "url": f"http://127.0.0.1:{port}", "collection": "c", "name": "vectors"}
    )
    with connected(ctx, service) as session:
        session.count()


def docker(port, ctx):
    _engine(f"unix://{port}", ctx)


def docker_ssh(port, ctx):
    _engine(f"ssh://nobody@127.0.0.1:{port}", ctx)


def _engine(url, ctx):
    from drillbook.systems.docker.client import Place, engine

    service = Container.model_validate({"kind": "container", "host": "far", "container": "c", "name": "worker"})
    with engine(ctx, Place(service=service, engine=url, container="c")) as one:
        one.container("c")


def ssh(port, ctx):
    from drillbook.hosts.ssh.host import SshHost

    host = SshHost(Target(name="far", address="127.0.0.1", port=port, user="nobody"))
    try:
        host.run(("true",), deadline=ctx.deadline)
    finally:
        host.close()


def secret() -> Secret:
    return Secret(source="env", name="TARPIT")


CLIENTS = [s3, http, postgres, redis, qdrant, docker, docker_ssh, ssh]


def ended(work, deadline):
    """Exception that ``work`` raised; None when it still runs after the time limit of this test."""
    errors = []

    def run():
        with under(deadline):
            try:
                work()
            except Exception as error:  # noqa: BLE001  the test examines the error
                errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return errors[0] if errors else None


@pytest.mark.parametrize("how", ["silent", "stalls", "trickles"])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_step_ends_with_its_time_whatever_its_server_does(tmp_path, monkeypatch, client, how):
    monkeypatch.setenv("TARPIT", "secret-of-the-tarpit")
    with tarpit(how, client.__name__, tmp_path) as server:
        deadline = Deadline.after(STEP_S)
        error = ended(lambda: client(server.port, context(tmp_path, deadline)), deadline)
        assert server.reached.is_set()
        assert error is not None, "it goes on, long after its time is over"
        outcome, code, message = classify(error)
        assert (outcome, code in ("timeout", "command-timed-out", "host-unreachable")) == ("error", True), repr(error)
        assert client is http or str(server.port) in message or "far" in message, message


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_stop_ends_a_call_that_nobody_answers(tmp_path, monkeypatch, client):
    monkeypatch.setenv("TARPIT", "secret-of-the-tarpit")
    with tarpit("silent", client.__name__, tmp_path) as server:
        deadline = Deadline.after(600)

        def stop():
            server.reached.wait(PATIENCE_S)
            lasts(0.3)  # the client waits for the answer by then
            deadline.cancel.set()

        threading.Thread(target=stop, daemon=True).start()
        error = ended(lambda: client(server.port, context(tmp_path, deadline)), deadline)
        assert error is not None, "it goes on, although it was stopped"
        assert classify(error)[0] == "cancelled", repr(error)


@pytest.mark.parametrize("stopped", [False, True], ids=["time is over", "stopped"])
def test_a_query_that_the_server_neither_answers_nor_cancels_ends_with_its_step(tmp_path, stopped):
    """The server accepts the client, and afterwards does not answer, not even to the request to cancel."""
    from drillbook.systems.postgres.connection import connected

    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    lines, asked = [], threading.Event()

    def serve():
        with suppress(OSError):
            lines.append(listener.accept()[0])
            lines[0].recv(1024)
            lines[0].sendall(b"N")
            lines[0].recv(1024)
            lines[0].sendall(b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I")
            lines[0].recv(1024)
            asked.set()
            while True:
                lines.append(listener.accept()[0])

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    deadline = Deadline.after(600 if stopped else STEP_S)
    service = postgres_at(listener.getsockname()[1])

    def ask_it():
        with connected(context(tmp_path, deadline), service) as session:
            session.execute("SELECT 1")

    if stopped:
        threading.Thread(target=lambda: asked.wait(PATIENCE_S) and deadline.cancel.set(), daemon=True).start()
    error = ended(ask_it, deadline)
    listener.shutdown(socket.SHUT_RDWR)
    serving.join(PATIENCE_S)
    for line in [listener, *lines]:
        line.close()
    assert asked.is_set()
    assert error is not None, "it goes on, long after its time is over"
    assert classify(error)[:2] == (("cancelled", "cancelled") if stopped else ("error", "timeout")), repr(error)

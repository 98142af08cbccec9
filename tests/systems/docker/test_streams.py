"""Output of containers as a stream: an engine that stalls, and a terminal without frames."""

import contextlib
import http.server
import json
import os
import re
import socketserver
import threading
from dataclasses import replace

import pytest

from drillbook.errors import Cancelled, CouldNotVerify
from drillbook.hosts.open import open_host
from drillbook.sdk.host import Deadline
from drillbook.systems.docker.actions.reading import Logs
from drillbook.systems.docker.service import Container
from tests.hosts.servers import AsyncSsh


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

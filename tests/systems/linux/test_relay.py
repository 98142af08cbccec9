"""Relays that a fault cannot use: reported before a drill, and usable once the cause is removed."""

import contextlib
import re
import socketserver
import subprocess
import sys
import threading

import pytest

from drillbook.errors import NotReady, PlanError
from drillbook.sdk.action import find
from drillbook.systems.linux.actions import relay as relays
from drillbook.systems.linux.service import Relay
from drillbook.systems.redis.service import Redis
from drillbook.systems.units.service import Process
from tests.ports import free_port
from tests.systems.refusals import refused_until
from tests.waiting import lasts


class Behind(socketserver.ThreadingTCPServer):
    """A server that answers after ``seconds``."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, port):
        self.seconds = 0.0
        super().__init__(("127.0.0.1", port), Answering)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answering(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            while data := self.request.recv(1000):
                lasts(self.server.seconds)
                self.request.sendall(data)


@pytest.fixture
def path(ground, tmp_path, monkeypatch):
    """A relay of the lab in front of a server."""
    monkeypatch.setattr(relays, "SETTLED_S", 0.2)
    made = Path(ground, tmp_path / "controls")
    yield made
    made.stop()


class Path:
    def __init__(self, ground, folder):
        self.ground, self.control, self.servers = ground, folder / "it", []
        near, self.port = free_port(), free_port()
        self.serve()
        argv = [sys.executable, "-m", "drillbook.lab.relay", str(folder), f"it={near}:{self.port}"]
        ground.ours.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
        relay = Relay(name="path", host="here", port=near, to="behind", control=str(self.control))
        ground.services = {"path": relay, "behind": Redis(name="behind", host="here", port=self.port)}
        self.ctx = ground.ctx()
        ground.until(lambda: relays.exchange(self.ctx, relay)[0] == "answers")

    def serve(self):
        self.servers.append(Behind(self.port))

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.servers.clear()

    def controlled_by(self, control):
        services = self.ground.services
        services["path"] = services["path"].model_copy(update={"control": str(control)})

    def slow(self, seconds):
        self.servers[0].seconds = seconds


def broken(path):
    path.control.write_text("drop 0 another-run inject.1\n")


@pytest.mark.parametrize(
    ("spoil", "said", "mend"),
    [
        (
            lambda path: path.controlled_by(""),
            "the relay 'path' cannot be controlled: it has no `control` in the inventory",
            lambda path: path.controlled_by(path.control),
        ),
        (
            lambda path: path.controlled_by("/nowhere/it"),
            "/nowhere is not a folder that .* may write to",
            lambda path: path.controlled_by(path.control),
        ),
        (broken, "is already broken: drop 0 another-run", lambda path: path.control.unlink()),
        (lambda path: path.stop(), "behind does not answer through the relay path", lambda path: path.serve()),
    ],
    ids=["control", "folder", "fault", "server"],
)
def test_a_relay_that_cannot_be_used(path, monkeypatch, spoil, said, mend):
    spoil(path)
    drop = find("relay.drop").model_validate({"service": "path"})
    refused_until(lambda: drop.ready(path.ctx), said, lambda: mend(path))
    monkeypatch.undo()
    path.ground.cycle(drop)


@pytest.mark.parametrize(
    ("name", "arguments", "otherwise"),
    [("drop", {}, ", or use `path.cut`, which then cuts .*"), ("reset", {}, ""), ("delay", {"by": "400ms"}, "")],
)
def test_only_a_drop_can_be_replaced_by_a_cut_of_the_path(path, name, arguments, otherwise):
    path.controlled_by("")
    with pytest.raises(NotReady) as refused:
        find(f"relay.{name}").model_validate({"service": "path", **arguments}).ready(path.ctx)
    assert re.fullmatch(f"set `control` of the relay in the inventory{otherwise}", refused.value.hint)


@pytest.mark.parametrize(
    ("by", "seconds", "said"),
    [("5ms", 0.0, "a delay of 5ms cannot be verified"), ("60ms", 0.1, "takes 0.1.* s without the fault")],
)
def test_a_delay_that_could_not_be_seen(path, by, seconds, said):
    path.slow(seconds)
    actions = [find("relay.delay").model_validate({"service": "path", "by": one}) for one in (by, "400ms")]
    refused_until(lambda: actions[0].ready(path.ctx), said, lambda: actions.pop(0))


@pytest.mark.parametrize("name", ["relay.status", "relay.open"])
def test_a_control_file_that_cannot_be_read(path, name):
    path.controlled_by(path.control.parent)
    action = find(name).model_validate({"service": "path"})
    with pytest.raises(Exception, match="directory"):
        action.run(path.ctx)
    said = "the control file .* of the relay path cannot be read: "
    refused_until(lambda: action.ready(path.ctx), said, lambda: path.controlled_by(path.control))
    action.run(path.ctx)


@pytest.mark.parametrize("name", ["relay.status", "relay.open"])
def test_a_service_that_cannot_be_asked_for_an_answer(path, name):
    action, behind = find(name).model_validate({"service": "path"}), path.ground.services["behind"]
    path.ground.services["behind"] = Process(name="behind", host="here")
    for ask in (action.run, action.ready):
        with pytest.raises(PlanError, match="a test through the relay could not show a fault"):
            ask(path.ctx)
    find("relay.status").model_validate({"service": "path", "exchange": False}).ready(path.ctx)
    path.ground.services["behind"] = behind
    action.ready(path.ctx)
    action.run(path.ctx)

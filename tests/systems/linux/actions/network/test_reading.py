"""network.capture: real packets on loopback as root; reasons why others cannot capture."""

import contextlib
import socket
import subprocess
import threading
from dataclasses import replace

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.hosts.local import LocalHost
from drillbook.sdk.service import Http
from drillbook.systems.linux.actions.network.reading import Capture
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.units.service import Process
from tests.needs import need
from tests.ports import free_port
from tests.systems.ground import PLAIN, is_root, path_without
from tests.systems.refusals import refused_until

SECRET = b"s3cr3t-payload"


@pytest.fixture
def allowed():
    need("tcpdump")
    if not is_root():
        pytest.skip("only root captures packets")


class Traffic:
    """Repeated connections to a port that answers and to one that refuses, until the process is ended."""

    def __init__(self, answering, refusing):
        self.ports, self.halt, self.done = (answering, refusing), threading.Event(), 0
        self.thread = threading.Thread(target=self._go)
        self.thread.start()

    def _go(self):
        while not self.halt.wait(0.05):
            for port in self.ports:
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                        client.sendall(SECRET)
                        client.recv(1)
                    self.done += 1
                except OSError:
                    pass

    def end(self):
        self.halt.set()
        self.thread.join()


@pytest.fixture
def traffic(ground):
    _, port = ground.serve()
    made = Traffic(port, free_port())
    yield made
    made.end()


def left(port):
    return [
        line
        for line in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
        if "tcpdump" in line and f"port {port}" in line
    ]


def test_connections_are_counted_and_nothing_that_they_carry_is_kept(ground, allowed, traffic):
    answering, refusing = traffic.ports
    action = Capture(port=answering, seconds="4s", interface="lo")
    action.ready(ground.ctx())
    facts = action.run(ground.ctx())
    assert facts["connections"] > 0
    assert (facts["refused"], facts["ended"], facts["other"]) == (0, "time", 0)
    assert facts["flags"]["syn"] > 0
    assert facts["flags"]["syn_ack"] > 0
    data = (ground.root / "run" / facts["capture"]["file"]).read_bytes()
    assert len(data) == facts["capture"]["bytes"] > 100
    assert SECRET[:4] not in data
    told = subprocess.run(
        ["tcpdump", "-n", "-r", str(ground.root / "run" / facts["capture"]["file"])],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert len(told.splitlines()) == facts["packets"], "any reader can read what is kept"
    assert left(answering) == []
    facts = Capture(port=refusing, seconds="4s").run(ground.ctx("inject.2"))
    assert 0 <= facts["connections"] - facts["refused"] <= 1, "the last one may have been cut off"
    assert facts["refused"] > 0
    assert facts["flags"]["rst"] > 0


def test_it_ends_when_it_is_large(ground, allowed):
    _, port = ground.serve()
    halt = threading.Event()

    def talk():
        while not halt.is_set():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                pass

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        facts = Capture(port=port, seconds="30s", size="16KiB").run(ground.ctx())
    finally:
        halt.set()
        thread.join()
    assert facts["ended"] == "size"
    assert 0 < facts["capture"]["bytes"] <= 16384
    ground.until(lambda: left(port) == [])


def test_no_packet_is_no_connection(ground, allowed):
    facts = Capture(port=free_port(), peer="192.0.2.0/24", seconds="1s").run(ground.ctx())
    assert (facts["packets"], facts["connections"], facts["unanswered"]) == (0, 0, 0)


class Ordinary(LocalHost):
    def run(self, argv, *, env=None, **options):
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--") if is_root() else ()
        return super().run((*prefix, *argv), env={**PLAIN, **(env or {})}, **options)


def test_an_ordinary_user_could_not_verify(ground):
    need("tcpdump")
    if is_root():
        need("setpriv")
    ground.host = Ordinary("here", target=ground.host.target)
    with pytest.raises(CouldNotVerify, match="may not capture packets") as told:
        Capture(port=9, seconds="1s").run(ground.ctx())
    assert "sudo" in told.value.hint


@pytest.mark.parametrize(
    ("account", "interface", "said"),
    [(Ordinary, "lo", "may not capture packets"), (LocalHost, "nosuch0", "could not capture: .*[Nn]o such device")],
    ids=["right", "interface"],
)
def test_what_a_capture_lacks_is_told_before(ground, allowed, account, interface, said):
    hosts = [account("here", target=ground.host.target), ground.host]
    names = [interface, "lo"]
    refused_until(
        lambda: Capture(port=9, seconds="1s", interface=names[0]).ready(replace(ground.ctx(), host=hosts[0])),
        said,
        lambda: (hosts.pop(0), names.pop(0)),
    )


def test_what_else_stands_in_the_way(ground, allowed, monkeypatch):
    ground.services["worker"] = Process(name="worker", host="here")
    with pytest.raises(NotReady, match="has no port"):
        Capture(service="worker").ready(ground.ctx())
    with pytest.raises(ValueError, match="select the traffic"):
        Capture()
    monkeypatch.setattr("drillbook.systems.linux.capturing._PATH", f"PATH={path_without(ground.root / 'bin')}")
    monkeypatch.setattr(
        "drillbook.systems.linux.capturing._CAPTURE",
        f"PATH={ground.root / 'bin'}\ncommand -v tcpdump >/dev/null || exit 127",
    )
    with pytest.raises(CouldNotVerify, match="tcpdump is not installed"):
        Capture(port=9).run(ground.ctx())
    refused_until(
        lambda: Capture(port=9, interface="lo").ready(ground.ctx()),
        "`tcpdump` or `timeout` is not installed",
        monkeypatch.undo,
    )


def test_ports_of_services(ground):
    ground.services |= {
        "api": Http(name="api", host="here", url="https://x"),
        "own": Http(name="own", host="here", url="http://x:81"),
        "db": Postgres(name="db", host="here", port=6000, database="d", user="u", admin={"user": "a"}, data_directory="/d"),
    }
    assert [Capture(service=name)._port(ground.ctx()) for name in ("api", "own", "db")] == [443, 81, 6000]
    assert Capture(service="db", port=7)._port(ground.ctx()) == 7

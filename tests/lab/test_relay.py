"""The relay alone, as seen by its peers, and the network faults that it makes possible in the lab."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.lab.layout import ADDRESS
from tests.e2e.conftest import ROOT, Bench
from tests.ports import free_port
from tests.waiting import unchanged_for

from .conftest import get, run

PATIENCE = 20.0
AT_ONCE = struct.pack("ii", 1, 0)
IDLE = 3
"""Sockets of an idle relay: the listening one, and the two with which asyncio wakes itself."""


class Behind(socketserver.BaseRequestHandler):
    """Echo server that says goodbye at the end; ``big`` requests more than any buffer can hold."""

    def handle(self):
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                if data == b"big":
                    self.request.settimeout(PATIENCE)
                    for _ in range(1000):
                        self.request.sendall(bytes(65536))
                        self.server.sent += 65536
                    return
                self.request.sendall(data)
            self.server.ends += 1
            self.request.sendall(b"bye")


class Relay:
    """Relay in a separate process, in front of a server in this process."""

    def __init__(self, folder: Path) -> None:
        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64
            sent = ends = 0

        self.server = Server((ADDRESS, 0), Behind)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.control = folder / "controls" / "it"
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self):
        argv = [
            sys.executable,
            "-m",
            "drillbook.lab.relay",
            str(self.control.parent),
            f"it={self.port}:{self.server.server_address[1]}",
        ]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        until(self.listens, "the relay listens")

    def listens(self):
        with contextlib.suppress(ConnectionRefusedError):
            self.dial().close()
            return True
        return False

    def stop(self):
        self.process.kill()
        self.process.wait()

    def dial(self):
        sock = socket.create_connection((ADDRESS, self.port), timeout=PATIENCE)
        sock.settimeout(PATIENCE)
        return sock

    def set(self, line):
        draft = self.control.with_suffix(".draft")
        draft.write_text(line + "\n")
        draft.replace(self.control)

    def open(self):
        self.control.unlink()

    def descriptors(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def sockets(self):
        ends = []
        for number in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                ends.append(str(number.readlink()))
        return sum(end.startswith("socket:") for end in ends)

    def state(self):
        """State of the process: ``S`` while it sleeps, ``R`` while it runs or is ready to run."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2][0]

    def rss(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def until(held, what):
    end = time.monotonic() + PATIENCE
    while not held():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


def silent(sock, seconds=0.4):
    """Return True when nothing arrives for a while."""
    sock.settimeout(seconds)
    try:
        return sock.recv(1) is None
    except TimeoutError:
        return True
    finally:
        sock.settimeout(PATIENCE)


def echoes(sock, text=b"ping"):
    sock.sendall(text)
    got = b""
    while len(got) < len(text):
        piece = sock.recv(len(text) - len(got))
        assert piece, "the end"
        got += piece
    return got == text


def is_cut(relay):
    """Return True when a new connection gets no answer."""
    with relay.dial() as sock:
        sock.sendall(b"x")
        return silent(sock, 0.3)


def is_reset(relay):
    try:
        with relay.dial() as sock:
            sock.sendall(b"x")
            sock.recv(1)
    except ConnectionError:
        return True
    return False


@pytest.fixture
def relay(tmp_path):
    made = Relay(tmp_path)
    yield made
    made.stop()
    made.server.shutdown()
    made.server.server_close()


def test_what_passes_is_unchanged_and_each_way_ends_for_itself(relay):
    data = os.urandom(3_000_000)
    with relay.dial() as sock:
        threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)), daemon=True).start()
        got = b"".join(iter(lambda: sock.recv(65536), b""))
    assert got == data + b"bye", "what follows the client's end still arrives"


def test_a_drop_holds_everything_back_and_loses_nothing(relay):
    with relay.dial() as old:
        assert echoes(old)
        relay.set("drop 0 run step")
        until(lambda: is_cut(relay), "a new connection hangs")
        old.sendall(b"while it is cut")
        assert silent(old)
        relay.open()
        assert old.recv(100) == b"while it is cut"
        with relay.dial() as new:
            assert echoes(new)


def test_while_it_is_cut_connections_pile_up_nowhere_and_nothing_spins(relay):
    before = relay.descriptors()
    relay.set("drop 0 run step")
    until(lambda: is_cut(relay), "the cut")
    waiting = []
    for _ in range(60):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((ADDRESS, relay.port))
        waiting.append(sock)
    busy = 0
    for _ in range(50):
        time.sleep(0.02)
        busy += relay.state() == "R"
    assert busy < 25, "it spins: at most looks it is running and not waiting"
    assert relay.descriptors() <= before + 6
    for sock in waiting:
        sock.close()
    relay.open()
    with relay.dial() as sock:
        assert echoes(sock)
    until(lambda: relay.descriptors() <= before + 4, "the abandoned connections are given up")


def test_a_reset_ends_old_connections_and_new_ones(relay):
    with relay.dial() as old:
        assert echoes(old)
        relay.set("reset 0 run step")
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    until(lambda: is_reset(relay), "new ones too")
    relay.open()
    until(lambda: not is_reset(relay), "open again")


def test_a_delay_is_that_of_the_answer_and_keeps_the_order(relay):
    with relay.dial() as sock:
        assert echoes(sock)
        relay.set("delay 300 run step")

        def seconds(text=b"again"):
            start = time.monotonic()
            assert echoes(sock, text)
            return time.monotonic() - start

        until(lambda: seconds() >= 0.3, "answers come late")
        assert seconds(os.urandom(200_000)) >= 0.3
        relay.open()
        until(lambda: seconds() < 0.3, "and in time again")


def test_a_peer_that_does_not_read_holds_up_the_sender_and_little_memory(relay):
    before = relay.rss()
    with relay.dial() as slow:
        slow.sendall(b"big")
        until(lambda: relay.server.sent, "the answer")
        unchanged_for(0.5, lambda: relay.server.sent)
        assert relay.server.sent < 60_000_000
        assert relay.rss() - before < 16 << 20


def test_an_end_that_breaks_is_a_reset_on_the_other_side(relay):
    sock = relay.dial()
    assert echoes(sock)
    until(lambda: relay.sockets() == IDLE + 2, "both ends are there, and no others")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    sock.close()
    until(lambda: relay.sockets() == IDLE, "neither end is kept")
    relay.server.shutdown()
    relay.server.server_close()
    until(lambda: is_reset(relay), "nobody listens behind it")


def test_a_fault_outlives_the_relay_and_nonsense_changes_nothing(relay):
    relay.set("drop 0 run step")
    until(lambda: is_cut(relay), "the cut")
    relay.set("explode now")
    assert is_cut(relay)
    relay.set("drop 0 run step")
    relay.stop()
    relay.start()
    assert is_cut(relay)


# In the lab


@pytest.fixture
def bench(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("DRILLBOOK_LAB", str(lab.folder))
    for folder in ("drills", "inventory"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    yield Bench(tmp_path, lab.folder)
    assert list(lab.relays.iterdir()) == [], "a fault is left"
    until(lambda: get(lab, "/health")[0] == 200, "the API is back")


def proofs(events):
    return [(event.kind, event.data["active"]) for event in events if event.kind in ("fault.active", "fault.gone")]


DROP = "path.cut: {service: database_path}"


def test_the_drill_passes_and_leaves_nothing(bench):
    events = []
    _, view = bench.run(bench.plan("network-cut"), events.append)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert proofs(events) == [("fault.active", True), ("fault.gone", False)]


RESET = (DROP, "relay.reset: {service: database_path}")
SLOW = (DROP, "relay.delay: {service: database_path, by: 700ms}")


@pytest.mark.parametrize("change", [RESET, SLOW], ids=["reset", "delay"])
def test_the_other_faults_are_proven_and_gone(bench, change):
    text, events = bench.text("network-cut"), []
    diagnose = text[text.index("diagnose:") : text.index("restore:")]  # another fault has another cause
    _, view = bench.run(bench.plan("network-cut", change, (diagnose, "")), events.append)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert proofs(events) == [("fault.active", True), ("fault.gone", False)]


def test_the_cache_may_be_away(bench):
    """The API works without a cache that does not answer: the undo opens the path, not a restore step."""
    text = bench.text("network-cut")
    restore = text[text.index("restore:") : text.index("verify:")]
    detect = text[text.index("detect:\n") : text.index("restore:")]
    plan = bench.plan("network-cut", (DROP, "relay.drop: {service: cache_path}"), (restore, ""), (detect, ""))
    events = []
    _, view = bench.run(plan, events.append)
    assert view.result.residue == ()
    assert proofs(events) == [("fault.active", True), ("fault.gone", False)]


def test_a_fault_of_somebody_else_is_refused_and_stays(bench, lab):
    foreign = lab.relays / "postgres"
    line = "delay 1 another-run inject.1\n"
    foreign.write_text(line)
    try:
        _, view = bench.run(bench.plan("network-cut"))
        assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4)
        assert foreign.read_text() == line

        foreign.unlink()

        def set_now(event):
            if event.kind == "intent":
                foreign.write_text(line)

        _, view = bench.run(bench.plan("network-cut"), set_now)
        assert view.result.verdict is not Verdict.PASSED
        assert foreign.read_text() == line, "neither the fault nor its undo touches it"
    finally:
        foreign.unlink(missing_ok=True)


def test_a_path_that_is_cut_by_something_else_is_not_taken_for_gone(bench, lab):
    """The undo runs, but the database does not answer: the run reports residue and not a finished undo."""
    pid = int(run(lab, "app-1", "supervisorctl -c supervisord.conf pid relay").out)

    def hang(event):
        if event.kind == "step.started" and event.step == "restore.1":
            os.kill(pid, signal.SIGSTOP)

    try:
        _, view = bench.run(bench.plan("network-cut"), hang)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert view.result.exit == 5
    assert "inject.1" in {left.step for left in view.result.residue}


def test_a_killed_run_is_recovered_from_its_journal(bench, lab):
    """The fault stays active when the controller dies; its undo is in the journal, and can run twice."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from drillbook.cli.program import main; main()", "drill", "network-cut"],
        cwd=bench.project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until((lab.relays / "postgres").exists, "the fault is set")
    finally:
        process.kill()
        process.wait()
    assert (lab.relays / "postgres").exists()
    (folder,) = (path.parent for path in bench.project.reports.glob("*/journal.jsonl"))
    bench.recover(folder)
    assert not (lab.relays / "postgres").exists()
    (undo,) = (event.data["undo"] for event in read(folder / FILE).events if event.kind == "intent")
    for argv in undo["commands"] * 2:
        assert run(lab, "app-1", shlex.join(argv)).status == 0

"""Reading from a connection: many packets in one call, and few wake-ups of a command's reader."""

import contextlib
import socket
import threading
import types

import pytest

from drillbook.hosts import open_host
from drillbook.hosts.ssh.channel import MUCH, _Wake
from drillbook.hosts.ssh.packets import Packets, ReadAhead
from tests.hosts.suite import soon


class Counting:
    """A socket that counts the calls of ``recv``."""

    def __init__(self, inner):
        self.inner, self.calls = inner, 0

    def recv(self, n):
        self.calls += 1
        return self.inner.recv(n)

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.fixture
def pair():
    near, far = socket.socketpair()
    yield near, far
    near.close()
    far.close()


def test_parts_of_packets_are_read_in_one_call(pair):
    near, far = pair
    counting = Counting(near)
    ahead = ReadAhead(counting)
    far.sendall(b"0123456789")
    assert [ahead.recv(4), ahead.recv(4), ahead.recv(4)] == [b"0123", b"4567", b"89"]
    assert counting.calls == 1
    far.sendall(b"more")
    assert ahead.recv(100) == b"more"
    far.close()
    assert ahead.recv(1) == b""


def test_a_close_wakes_the_reader(pair):
    ahead = ReadAhead(pair[0])

    def read():
        with contextlib.suppress(OSError):  # it was closed before the reader began
            ahead.recv(1)

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.2)
    ahead.close()
    reader.join(20)
    assert not reader.is_alive()


def test_the_limit_of_the_handshake_ends_once():
    ended = []
    packets = Packets(None)
    packets._Packetizer__timer = types.SimpleNamespace(cancel=lambda: ended.append(1))
    packets.complete_handshake()
    packets.complete_handshake()
    assert ended == [1]
    assert not packets.handshake_timed_out()


def test_openssh_is_spoken_to_with_a_cipher_that_checks_packets_itself(openssh):
    host = open_host(openssh.target(), targets={})
    try:
        transport = host.link(soon()).transport
        assert (transport.local_cipher, transport.remote_cipher) == ("aes128-gcm@openssh.com",) * 2
    finally:
        host.close()


@pytest.mark.parametrize(
    ("out", "err", "eof", "closed", "wakes"),
    [
        (0, 10, False, False, False),
        (MUCH, 0, False, False, True),
        (MUCH - 1, 1, False, False, True),
        (0, 0, True, False, True),
        (0, 0, False, True, True),
    ],
)
def test_little_output_wakes_nobody(out, err, eof, closed, wakes):
    buffers = [types.SimpleNamespace(_buffer=b"x" * size) for size in (out, err)]
    channel = types.SimpleNamespace(in_buffer=buffers[0], in_stderr_buffer=buffers[1], eof_received=eof, closed=closed)
    wake = _Wake(channel)
    wake.set()
    assert wake.is_set() is wakes


def test_little_output_reaches_its_sink_while_the_command_runs(openssh, tmp_path):
    flag = tmp_path / "seen"

    class Sink:
        def write(self, data):
            flag.touch()
            return len(data)

    host = open_host(openssh.target(), targets={})
    try:
        script = f"echo first; until test -e {flag}; do sleep 0.05; done; exit 3"
        assert host.run(["sh", "-c", script], deadline=soon(), sink=Sink()).exit == 3
    finally:
        host.close()

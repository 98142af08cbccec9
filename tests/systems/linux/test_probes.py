"""Probe tcp.open, with real ports."""

import socket

import pytest

from drillbook.systems.linux.probes import Open
from drillbook.values import Duration


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def test_the_probe_says_what_is_bad(listener):
    port = listener.getsockname()[1]
    probe = Open(address="127.0.0.1", port=port, timeout=Duration(0.2))
    assert probe.check(None) is None
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        held = []
        for _ in range(8):  # a queue that nobody serves takes no more
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
            held.append(waiting)
        slow = Open(address="127.0.0.1", port=full.getsockname()[1], timeout=Duration(0.2))
        assert slow.check(None) == "no connection within 200ms"
        for waiting in held:
            waiting.close()
    listener.close()
    assert "refused" in (probe.check(None) or "")

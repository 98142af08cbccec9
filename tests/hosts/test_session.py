"""Sessions for commands, on servers that allow few."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from drillbook.errors import (
    Cancelled,
    CommandTimedOut,
)
from drillbook.hosts.ssh import early_channels
from tests.hosts.servers import OpenSsh, descendants
from tests.hosts.suite import soon
from tests.waiting import until


def test_flag_ends_the_wait_for_a_channel(own_server, opened, monkeypatch):
    monkeypatch.setattr(early_channels, "FRESH_S", 0.0)  # as when the server does not answer for a while
    host = opened(own_server.target())
    host.run(["true"], deadline=soon())
    pids = [own_server._process.pid, *descendants(own_server._process.pid, "sshd")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        deadline = soon()
        timer = threading.Timer(0.3, deadline.cancel.set)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Cancelled, match="had not started"):
            host.run(["true"], deadline=deadline)
        assert time.monotonic() - started > 0.2
        timer.join()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert host.run(["true"], deadline=soon()).ok


def test_server_that_allows_few_channels(tmp_path, opened):
    server = OpenSsh(tmp_path)
    server.extra += "MaxSessions 2\n"
    server.start()
    try:
        host = opened(server.target())
        with ThreadPoolExecutor(8) as pool:
            assert all(done.ok for done in pool.map(lambda _: host.run(["sleep", "0.1"], deadline=soon()), range(16)))
    finally:
        server.stop()


def test_cancelled_while_all_channels_are_taken(openssh, opened, tmp_path):
    host = opened(openssh.target())
    host.open()
    with ThreadPoolExecutor(8) as pool:
        marks = [tmp_path / str(number) for number in range(8)]
        nap = 'touch "$0"; sleep 8'
        naps = [pool.submit(host.run, ["sh", "-c", nap, str(mark)], deadline=soon()) for mark in marks]
        until(lambda: all(mark.exists() for mark in marks))
        with pytest.raises(CommandTimedOut, match="had not started"):
            host.run(["true"], deadline=soon(0.3))
        assert not any(nap.done() for nap in naps)
        assert all(nap.result().ok for nap in naps)

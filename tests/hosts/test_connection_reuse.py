"""One connection for all commands of a host, opened again after it broke."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drillbook.errors import (
    Cancelled,
    CommandTimedOut,
    HostUnreachable,
)
from tests.hosts.servers import Relay, descendants
from tests.hosts.suite import soon


def test_lost_in_flight_and_connected_again(own_server, opened):
    host = opened(own_server.target())
    assert host.run(["true"], deadline=soon()).ok
    timer = threading.Timer(0.5, own_server.stop)
    timer.start()
    with pytest.raises(HostUnreachable, match="the connection was lost"):
        host.run(["sleep", "60"], deadline=soon())
    timer.join()
    with pytest.raises(HostUnreachable, match="cannot connect"):
        host.run(["true"], deadline=soon())
    own_server.start()
    assert host.run(["true"], deadline=soon()).ok
    host.put(b"x", str(own_server.folder / "file"))


def test_a_way_that_is_cut_and_opened_again(openssh, opened, tmp_path):
    """The running command fails with an error; the next command opens a new connection, within its deadline."""
    relay, path = Relay(openssh.port), str(tmp_path / "file")
    known = tmp_path / "known"
    known.write_text(f"* {openssh.host_key.with_suffix('.pub').read_text()}")
    host = opened(openssh.target(port=relay.port, known_hosts=str(known)))
    relay.open()
    try:
        for use in (lambda: host.run(["true"], deadline=soon()), lambda: host.put(b"x", path), lambda: host.get(path)):
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(host.run, ["sh", "-c", f"echo begun > {path}.begun; sleep 60"], deadline=soon())
                until = time.monotonic() + 20
                while not Path(f"{path}.begun").exists() and time.monotonic() < until:
                    time.sleep(0.02)
                relay.cut()
                with pytest.raises(HostUnreachable, match="the connection was lost"):
                    running.result()
            with pytest.raises(HostUnreachable, match="cannot connect"):
                host.run(["true"], deadline=soon())
            Path(f"{path}.begun").unlink()
            relay.open()
            use()
    finally:
        relay.cut()


def test_killed_while_idle_is_not_noticed(own_server, opened):
    host = opened(own_server.target())
    path = str(own_server.folder / "file")
    for use in (lambda: host.run(["true"], deadline=soon()), lambda: host.put(b"x", path), lambda: host.get(path)):
        use()
        own_server.stop()
        own_server.start()
        use()


def test_one_connection_for_everything(own_server, opened):
    host = opened(own_server.target())
    with ThreadPoolExecutor(8) as pool:
        assert all(done.ok for done in pool.map(lambda _: host.run(["true"], deadline=soon()), range(40)))
    host.put(b"", str(own_server.folder / "file"))
    with host.forward("127.0.0.1", own_server.port):
        pass
    host.open()
    established = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()]
    assert len([1 for _, peer, state in established if peer.endswith(f":{own_server.port:04X}") and state == "01"]) == 1


@pytest.mark.parametrize("stdin", [b"", bytes(32 << 20)], ids=["idle", "writing"])
def test_host_that_hangs(own_server, opened, stdin):
    """Deadline and stop flag take effect even if the host answers nothing."""
    host = opened(own_server.target())
    host.run(["true"], deadline=soon())
    server = own_server._process.pid
    pids = [server, *descendants(server, "sshd")]
    timer = threading.Timer(0.3, lambda: [os.kill(pid, signal.SIGSTOP) for pid in pids])
    timer.start()
    started = time.monotonic()
    try:
        with pytest.raises(CommandTimedOut, match="could not be killed"):
            host.run(["sleep", "300"], stdin=stdin, deadline=soon(1))
        assert time.monotonic() - started < 300, "before the command would end by itself"
        deadline = soon()
        threading.Timer(0.2, deadline.cancel.set).start()
        with pytest.raises(Cancelled):
            host.run(["true"], deadline=deadline)
    finally:
        timer.join()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

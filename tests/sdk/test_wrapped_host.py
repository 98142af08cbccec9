"""A wrapped host behaves like the original, except for the changes by the wrapper."""

import socket
import threading

import pytest

from drillbook.engine.fenced_host import FencedHost
from drillbook.engine.recorded_host import RecordingHost
from drillbook.errors import HostError
from drillbook.hosts.fake import FakeHost
from drillbook.hosts.privileged import PrivilegedHost
from drillbook.sdk.become import Become
from drillbook.sdk.host import Host
from drillbook.sdk.sandbox_host import SandboxHost
from drillbook.sdk.wrapped_host import WrappedHost

WRAPPERS = [
    lambda inner: FencedHost(inner, lambda argv: argv),
    lambda inner: RecordingHost(inner, None, "verify.1", None),
    lambda inner: PrivilegedHost(inner, Become()),
    lambda inner: SandboxHost(inner, lambda argv, env: tuple(argv)),
]


def _greet_two(server):
    for _ in range(2):
        with server.accept()[0] as connection:
            connection.sendall(b"hello")


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_name_and_connections_are_those_of_the_wrapped_host(wrap):
    inner = FakeHost("far")
    host = wrap(inner)
    assert isinstance(host, WrappedHost)
    assert isinstance(host, Host)
    assert (host.name, host.target.name) == ("far", "far")
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = server.getsockname()[1]
        inner.forwards = {("10.0.0.9", 80): there, ("/run/app", 0): there}
        greet = threading.Thread(target=_greet_two, args=(server,))
        greet.start()
        with host.forward("10.0.0.9", 80) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            assert client.recv(5) == b"hello"
        with host.forward_socket("/run/app", "app.sock") as folder, socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{folder}/app.sock")
            assert client.recv(5) == b"hello"
        greet.join()


@pytest.mark.parametrize(("wrap", "closes"), list(zip(WRAPPERS, (True, False, True, False), strict=True)))
def test_only_the_wrapper_that_owns_the_connection_closes_it(wrap, closes):
    inner = FakeHost("far")
    wrap(inner).close()
    try:
        inner.put(b"", "/file")
        open_still = True
    except HostError:
        open_still = False
    assert open_still is not closes

import socketserver
import threading

import pytest

from drillbook.hosts import open_host
from tests.hosts.servers import AsyncSsh, Echo, OpenSsh
from tests.hosts.suite import threads_left
from tests.ports import free_port


@pytest.fixture(scope="session")
def echo_server():
    """Port of an echo server."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def unused_port():
    return free_port()


@pytest.fixture(scope="session")
def openssh(tmp_path_factory):
    server = OpenSsh(tmp_path_factory.mktemp("openssh")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def asyncssh_server(tmp_path_factory):
    server = AsyncSsh(tmp_path_factory.mktemp("asyncssh")).start()
    yield server
    server.stop()


@pytest.fixture
def opened():
    """Function that creates hosts, which are closed at the end."""
    hosts = []

    def make(target, targets=None, **options):
        hosts.append(open_host(target, targets=targets or {}, **options))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()
    assert not threads_left(12)  # connecting to a host that hangs goes on for its 10 s


@pytest.fixture(params=["openssh", "asyncssh_server"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[OpenSsh, AsyncSsh])
def own_server(request, tmp_path):
    """Server that the test may kill."""
    folder = tmp_path / "server"
    folder.mkdir()
    one = request.param(folder).start()
    yield one
    one.stop()

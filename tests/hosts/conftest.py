import socketserver
import threading

import pytest

from tests.hosts.servers import AsyncSsh, Echo, OpenSsh
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

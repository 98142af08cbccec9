"""Servers on loopback: one that answers, and one whose answer never ends."""

import http.server
import socket
import threading

import pytest

from tests.systems.http.answering import Answers


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.fixture
def drip():
    """Server that sends its answer byte by byte, without end."""
    listener = socket.create_server(("127.0.0.1", 0))
    halt = threading.Event()

    def serve():
        while not halt.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                    while not halt.wait(0.1):
                        connection.sendall(b"x")
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    halt.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()

"""Real HTTP server for messages that apprise sends to ``json://``; ``hanging`` accepts connections and never answers."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, status=200):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.got = status, []
        self.changed = threading.Condition()

    def wait(self, count, seconds=60):
        """Wait for the first ``count`` messages, and return them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, seconds), self.got
            return list(self.got)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.took({})

    def do_POST(self):
        self.took(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def took(self, body):
        with self.server.changed:
            self.server.got.append({"path": self.path, **body})
            self.server.changed.notify_all()
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def listening(status=200):
    server = Listener(status)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def hanging():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]

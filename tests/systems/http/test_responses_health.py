"""http.health: what a service says of itself."""

import http.server
import threading

import pytest

from drillbook.errors import StepFailed
from drillbook.systems.http.actions.reading.responses import Health
from tests.ports import free_port


@pytest.fixture
def server():
    """Service that reports the given state of itself."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = self.server.says
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            del args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def ask(server, ground):
    return Health(url=f"http://127.0.0.1:{server.server_port}/health").run(ground.ctx())


def test_a_service_that_is_well(server, ground):
    server.says = 200, b'{"status": "ok", "dependencies": {"postgresql": "up", "redis": {"status": "UP"}}}'
    found = ask(server, ground)
    assert (found["status"], found["state"], found["failing"]) == (200, "ok", [])


@pytest.mark.parametrize(
    ("status", "body", "failing"),
    [
        (503, b'{"status": "unavailable", "dependencies": {"postgresql": "down", "redis": "up"}}', ["postgresql"]),
        (200, b'{"status": "degraded", "failing": {"redis": "refused"}}', ["redis"]),
        (500, b"<h1>oops</h1>", []),
    ],
)
def test_a_service_that_is_not_well(server, ground, status, body, failing):
    server.says = status, body
    with pytest.raises(StepFailed) as told:
        ask(server, ground)
    assert (told.value.facts["status"], told.value.facts["failing"]) == (status, failing)


def test_a_service_that_does_not_answer(ground):
    with pytest.raises(StepFailed, match="does not answer") as told:
        Health(url=f"http://127.0.0.1:{free_port()}/health").run(ground.ctx())
    assert told.value.facts["answered"] is False

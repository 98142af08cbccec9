"""http.load with a real server on loopback that is healthy, slow, broken, or silent."""

import contextlib
import http.server
import socket
import threading

import pytest

from drillbook.errors import Cancelled
from drillbook.sdk.service import Http
from drillbook.systems.http.actions.reading.load import Load
from tests.systems.ground import Ground


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers depend on the path: healthy, `/slow` as soon as its gate is opened, `/third` with 503 every third time,
    `/404`.
    """

    count, lock, gate = 0, threading.Lock(), threading.Event()

    def do_GET(self):
        with Answers.lock:
            Answers.count += 1
            third = Answers.count % 3 == 0
        if self.path == "/slow":
            Answers.gate.wait(60)
        status = 503 if self.path == "/third" and third else 404 if self.path == "/404" else 200
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 200


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Answers) as found:
        Answers.count = 0
        Answers.gate.clear()
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        Answers.gate.set()
        found.shutdown()
        thread.join()


@pytest.fixture
def ctx(tmp_path, server):
    ground = Ground(tmp_path, services={"api": Http(name="api", host="here", url=server)})
    yield ground.ctx()
    ground.close()


def test_a_good_server(ctx):
    facts = Load(service="api", path="/x", rate=20, seconds="1500ms", patience="10s").run(ctx)
    assert (facts["requests"], facts["good"], facts["errors"], facts["statuses"]) == (30, 30, 0, {"200": 30})
    assert Answers.count == 30, "as many as it says"
    assert 0 < facts["p50_s_low"] <= facts["p50_s"] <= facts["p95_s"] <= facts["max_s"]
    assert facts["p99_s_high"] is None, "thirty requests say little of the slowest hundredth"
    assert (facts["error_share"], facts["error_share_low"]) == (0, 0)
    assert 0 < facts["error_share_high"] < 0.15


def test_errors_are_counted_and_make_the_tail_unknown(ctx):
    facts = Load(service="api", path="/third", rate=20, seconds="1500ms", patience="10s").run(ctx)
    assert facts["statuses"] == {"200": 20, "503": 10}
    assert facts["error_share_low"] < 1 / 3 < facts["error_share_high"]
    assert facts["p50_s"] is not None
    assert facts["p95_s"] is None, "a quick 503 is no quick answer"


def test_a_wrong_path_is_no_good_answer(ctx):
    facts = Load(service="api", path="/404", rate=20, seconds="500ms", patience="10s").run(ctx)
    assert (facts["good"], facts["error_share"]) == (0, 1)


def test_a_slow_answer_delays_no_other_request(ctx):
    """Clients that waited for answers would let one hanging answer delay all other requests."""
    facts = Load(service="api", path="/slow", rate=40, seconds="500ms", patience="700ms").run(ctx)
    assert (facts["requests"], facts["answered"]) == (20, 0)
    assert Answers.count > 1
    assert list(facts["problems"].values()) == [20]
    assert "no answer within" in next(iter(facts["problems"]))


def test_nobody_there(ctx):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    facts = Load(url=f"http://127.0.0.1:{port}", rate=20, seconds="500ms").run(ctx)
    assert facts["answered"] == 0
    assert list(facts["problems"]) == ["Connection refused"]


def test_a_stop_ends_it(ctx):
    ctx.deadline.cancel.set()
    with pytest.raises(Cancelled):
        Load(service="api", rate=10, seconds="30s").run(ctx)
    assert Answers.count <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"service": "api", "url": "http://x"},
        {"url": "http://x", "rate": 200, "patience": "2s"},
        {"url": "http://x", "rate": 200, "seconds": "600s"},
        {"url": "http://x", "seconds": 10},
        {"url": "http://x", "method": "POST"},
    ],
)
def test_what_is_not_bounded_is_refused(wrong):
    with pytest.raises(ValueError):
        Load.model_validate(wrong)

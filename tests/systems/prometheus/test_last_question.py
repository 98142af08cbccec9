"""A last question that the end of `within` cuts off hides no complete answer. Here a server stops answering near the end."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk.action import find
from drillbook.systems.prometheus.client import LATE
from drillbook.systems.prometheus.service import Alertmanager, Prometheus

RULE = {"name": "Down", "health": "ok", "alerts": [], "lastEvaluation": "2026-01-01T00:00:00Z"}
RULES = {"status": "success", "data": {"groups": [{"interval": 1, "rules": [RULE]}]}}
WITHIN_S = 2.0


class Silent(ThreadingHTTPServer):
    """Answers all questions with ``answer``, but none in the last ``silent_s`` seconds of ``WITHIN_S``."""

    daemon_threads = True

    def __init__(self, answer, silent_s):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.until, self.stop = answer, time.monotonic() + WITHIN_S - silent_s, threading.Event()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if time.monotonic() > self.server.until:
            self.server.stop.wait(10)
        body = json.dumps(self.server.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def asked(ground):
    """Function that waits for an alert of such a server, and returns the error and its outcomes."""

    def ask(name, silent_s):
        kind, answer = (Alertmanager, []) if name == "alertmanager.received" else (Prometheus, RULES)
        with Silent(answer, silent_s) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            ground.services["it"] = kind(name="it", host="here", url=f"http://127.0.0.1:{server.server_port}")
            action = find(name).model_validate({"service": "it", "alert": "Down", "within": f"{WITHIN_S:g}s"})
            try:
                with pytest.raises((StepFailed, CouldNotVerify)) as caught:
                    action.run(ground.ctx())
            finally:
                server.stop.set()
                server.shutdown()
        return caught.value, {row["outcome"]: row["count"] for row in caught.value.outcomes}

    return ask


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        ("prometheus.alert_fires", "the alert is inactive", "is inactive after 2s, not firing; it was inactive {} times"),
        ("alertmanager.received", "the alert did not arrive", "within 2s: the alert did not arrive, {} times in 2.0 s"),
    ],
)
def test_the_last_complete_answer_is_told(asked, name, outcome, said):
    error, outcomes = asked(name, 0.5)
    assert isinstance(error, StepFailed)
    assert [problem.code for problem in error.findings] == ["alert-missing"]
    assert list(outcomes) == [outcome], "the question that was cut off is not counted"
    assert outcomes[outcome] > 1
    assert error.message.endswith(said.format(outcomes[outcome]) + LATE)


@pytest.mark.parametrize("name", ["prometheus.alert_fires", "alertmanager.received"])
def test_a_longer_silence_is_not_verified_and_names_the_answers_before(asked, name):
    """In this time, the alert may have come."""
    error, outcomes = asked(name, 1.7)
    assert isinstance(error, CouldNotVerify)
    assert "does not answer" in error.message
    first, *others = outcomes
    assert first.startswith("the alert ")
    assert others
    assert f"; the other attempts: {outcomes[first]} × {first}" in error.message

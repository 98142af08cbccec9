"""Servers that do not answer as Prometheus or Alertmanager."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drillbook.errors import CouldNotVerify, DrillbookError
from drillbook.judge.result import Verdict
from drillbook.sdk.action import find
from drillbook.sdk.host import Deadline
from drillbook.systems.prometheus import client
from drillbook.systems.prometheus.client import Api
from drillbook.systems.prometheus.service import Alertmanager, Prometheus
from tests.ports import free_ports
from tests.systems.postgres.site import secret
from tests.systems.prometheus.watched import BREAK, FIRES, MEND, Watched
from tests.systems.refusals import refused_until


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("prometheus.query", {"query": "up"}),
        ("prometheus.alerts", {}),
        ("prometheus.alert_fires", {"alert": "FileThere", "labels": {"file": "none"}, "within": "9s"}),
        ("alertmanager.received", {"alert": "NoSuchAlert", "within": "9s"}),
    ],
)
def test_a_server_that_does_not_answer_is_told_before(ground, watch, name, fields):
    url = watch.alertmanager if name == "alertmanager.received" else watch.prometheus
    kind = Alertmanager if name == "alertmanager.received" else Prometheus
    action = find(name).model_validate({"service": "it", **fields})

    def at(place):
        ground.services["it"] = kind(name="it", host="here", url=place)

    at(f"http://127.0.0.1:{free_ports(1)[0]}")
    refused_until(lambda: action.ready(ground.ctx()), "does not answer: .*refused", lambda: at(url))


def test_a_url_that_is_not_of_prometheus_is_told_before(ground, watch):
    action = find("prometheus.alerts").model_validate({"service": "it"})

    def at(place):
        ground.services["it"] = Prometheus(name="it", host="here", url=place)

    at(watch.alertmanager)
    with pytest.raises(DrillbookError, match="it answered /api/v1/alerts with status"):
        action.run(ground.ctx())
    refused_until(
        lambda: action.ready(ground.ctx()), "it answered /api/v1/alerts with status 4", lambda: at(watch.prometheus)
    )
    action.run(ground.ctx())


def test_without_a_prometheus_the_drill_is_refused(tmp_path, watch):
    bench = Watched(tmp_path, watch, prometheus=f"http://127.0.0.1:{free_ports(1)[0]}")
    view = bench.run(BREAK + FIRES % ("FileThere", "60s") + MEND)
    assert view.result.verdict is Verdict.REFUSED
    assert re.search(r"metrics \(http://127.0.0.1:\d+\) does not answer: ", view.result.findings[0].measured)
    assert "prometheus-alertmanager" in view.result.findings[0].remedy
    assert not bench.events("intent")


@pytest.fixture
def answering():
    """URL of a server, its next answer (status and body), and the requests that it got."""
    state = {"status": 200, "body": b"{}", "asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state["asked"].append((self.command, self.path, data, self.headers.get("Authorization")))
            self.send_response(state["status"])
            self.send_header("Content-Length", str(len(state["body"])))
            self.end_headers()
            self.wfile.write(state["body"])

        do_POST = do_GET  # noqa: N815  the name that the library calls

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", state
    server.shutdown()
    thread.join()
    server.server_close()


def api(kind, url, **changes):
    return Api(kind(name="it", host="here", url=url, **changes), Deadline.after(20))


def test_a_request_has_the_token_and_its_parameters(answering):
    url, state = answering
    state["body"] = b'{"data": [1]}'
    own = api(Prometheus, url, token=secret("word-of-the-bearer", "TEST_PROMETHEUS_TOKEN"))
    assert own.get("/api/v1/x", [("a", "b c"), ("a", "&")]) == [1]
    assert own.post("/api/v1/y", [("query", "up{}")]) == [1]
    assert state["asked"] == [
        ("GET", "/api/v1/x?a=b+c&a=%26", b"", "Bearer word-of-the-bearer"),
        ("POST", "/api/v1/y", b"query=up%7B%7D", "Bearer word-of-the-bearer"),
    ]
    api(Prometheus, url).get("/api/v1/x")
    assert state["asked"][-1] == ("GET", "/api/v1/x", b"", None)


def test_an_alertmanager_answers_without_an_envelope(answering):
    url, state = answering
    state["body"] = b'{"data": [1]}'
    assert api(Alertmanager, url).get("/api/v2/x") == {"data": [1]}
    state["body"] = b"[1]"
    assert api(Prometheus, url).get("/api/v1/x") is None


@pytest.mark.parametrize(
    ("status", "body", "said", "hint"),
    [
        (
            400,
            b'{"error": "parse error\\u001b[2J"}',
            r"it answered /x with status 400: parse error\\x1b",
            "correct the query",
        ),
        (422, b"{}", "status 422: {}", "correct the query"),
        (401, b"<html>", "status 401: <html>", "check `url` and `token` of it"),
        (200, b"no JSON", "status 200: no JSON", "check `url` and `token` of it"),
    ],
)
def test_an_error_of_the_server_is_told_in_its_words(answering, status, body, said, hint):
    url, state = answering
    state.update(status=status, body=body)
    with pytest.raises(CouldNotVerify, match=said) as failure:
        api(Prometheus, url).get("/x")
    if hint == "correct the query":
        assert failure.value.hint == hint
    else:
        assert "url" in failure.value.hint
        assert "token" in failure.value.hint


def test_an_answer_that_is_too_long_is_refused(answering, monkeypatch):
    monkeypatch.setattr(client, "LIMIT", 10)
    url, state = answering
    state["body"] = b'{"data": "0123456789"}'
    with pytest.raises(CouldNotVerify, match="the answer of it is longer than"):
        api(Prometheus, url).get("/x")

"""Middleware of the API: each request is in the access log and in the metrics, also one that fails."""

import asyncio
import logging
import re
from types import SimpleNamespace

import pytest

from drillbook.lab.app.access import Access
from drillbook.lab.app.metrics import Metrics
from drillbook.lab.app.switches import Switches


async def answers(scope, receive, send):
    scope["route"] = SimpleNamespace(path="/documents/{number}")
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def request(app, path, kind="http"):
    """Messages of the application's answer to a request."""
    sent = []

    async def send(message):
        sent.append(message["type"])

    asyncio.run(app({"type": kind, "method": "GET", "path": path}, None, send))
    return sent


def test_a_request_is_counted_under_its_route_and_logged_with_its_path(caplog):
    metrics = Metrics()
    with caplog.at_level(logging.INFO, "access"):
        sent = request(Access(answers, metrics, Switches()), "/documents/7")
    assert sent == ["http.response.start", "http.response.body"]
    assert metrics.requests == {("GET", "/documents/{number}", 404): 1}
    assert re.fullmatch(r"GET /documents/7 status=404 duration=\d+\.\d{4}", caplog.records[-1].getMessage())


def test_a_request_that_fails_is_counted_as_an_error_of_the_server(caplog):
    metrics = Metrics()
    app = Access(answers, metrics, Switches(fail_path="/documents/7"))
    with pytest.raises(RuntimeError, match="no page layout is known"), caplog.at_level(logging.INFO, "access"):
        request(app, "/documents/7")
    assert metrics.requests == {("GET", "other", 500): 1}
    assert "status=500" in caplog.records[-1].getMessage()


def test_the_start_of_the_application_is_no_request():
    metrics = Metrics()
    request(Access(answers, metrics, Switches(fail_path="/")), "/", kind="lifespan")
    assert metrics.requests == {}

"""A diagnosing step of a drill looks again while the result is unknown, because a busy machine may answer late."""

import contextlib
import http.server
import threading
import time

import pytest

from drillbook.diagnosis import actions, trees
from drillbook.diagnosis.run import Book, examine
from drillbook.errors import StepFailed
from drillbook.hosts.fake import FakeHost
from drillbook.inventory.inventory import load
from drillbook.sdk.action import Context, find
from drillbook.sdk.host import Deadline

TREE = """
tree: web
title: Something that answers HTTP
kind: http
checks:
  health: {http.health: {url: "{{ service.url }}/health"}}
healthy: [health.ok]
causes:
  api-down:
    title: it says that it is down
    class: unavailable
    for: [{when: "health.state == 'down'", weight: 3, says: it says so}]
    remedy: {text: start it}
"""
BUSY, DOWN, WELL = (503, '{"status": "busy"}'), (503, '{"status": "down"}'), (200, '{"status": "ok"}')


@contextlib.contextmanager
def saying(*answers):
    """Server that gives these answers in turn, and repeats the last one; its address, and the times of the requests."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(time.monotonic())
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def finds(folder, url, cause, within="10s"):
    (folder / "site.yml").write_text(
        "environment: lab\nhosts: {app: {address: 127.0.0.1}}\nservices:\n"
        f"  api: {{kind: http, host: app, url: '{url}'}}\n"
    )
    (folder / "web.yml").write_text(TREE)
    known = load(folder / "site.yml")
    ctx = Context(
        run_id="r",
        step="diagnose.1",
        host=FakeHost("app"),
        services=known.services,
        host_named=FakeHost,
        deadline=Deadline.after(30),
        folder=folder,
        book=Book((trees.load(folder / "web.yml"),), known),
    )
    return find("diagnosis.finds").model_validate({"service": "api", "cause": cause, "within": within}).run(ctx)


@pytest.mark.parametrize(("then", "cause"), [(DOWN, "api-down"), (WELL, "healthy")])
def test_what_is_unknown_at_first_is_looked_at_again(tmp_path, then, cause):
    with saying(BUSY, then) as (url, asked):
        begun = time.monotonic()
        found = finds(tmp_path, url, cause)
        assert (found["found"], found["correct"], len(asked)) == (cause, True, 2)
        assert 0.5 <= found["seconds"] <= time.monotonic() - begun + 0.001, "its time counts from the first look"


def test_a_wrong_answer_stands(tmp_path):
    with saying(WELL, DOWN) as (url, asked), pytest.raises(StepFailed, match="the diagnosis found healthy, not api-down"):
        finds(tmp_path, url, "api-down")
    assert len(asked) == 1


def test_what_stays_unknown_ends_in_its_time(tmp_path, monkeypatch):
    lefts = []

    def look(ctx, book, services, left):
        lefts.append(left)
        return examine(ctx, book, services, left)

    monkeypatch.setattr(actions, "examine", look)
    with saying(BUSY) as (url, asked), pytest.raises(StepFailed, match="the diagnosis found unknown, not api-down"):
        finds(tmp_path, url, "api-down", within="3s")
    assert len(asked) == len(lefts) >= 2
    assert lefts[0] == 3.0
    assert lefts == sorted(lefts, reverse=True)
    assert lefts[-1] >= actions.AGAIN_S, "no look begins after its time, or when too little of it remains"

"""http.canary with a small application that keeps its records in memory."""

import json
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from pydantic import ValidationError

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk import examples
from drillbook.sdk.probe import Probe, find_probe
from drillbook.systems.redis.service import Redis
from tests.systems.refusals import refused_until


class Application(ThreadingHTTPServer):
    """API of notes, whose ids the server assigns: POST, GET one or search, DELETE; requires a token."""

    def __init__(self):
        self.notes, self.answer, self.token = {}, None, ""
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def root(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        """Print nothing."""

    def _done(self, status, value=None):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _handle(self):
        size = int(self.headers.get("Content-Length") or 0)
        body, notes = json.loads(self.rfile.read(size) or b"null"), self.server.notes
        self.server.token = self.headers.get("Authorization", "")
        if self.server.answer:
            self._done(self.server.answer, "out of order")
        elif self.command == "POST":
            number = max(notes, default=0) + 1
            notes[number] = body["text"]
            self._done(201, {"id": number})
        elif self.command == "DELETE":
            number = int(self.path.rpartition("/")[2])
            self._done(204 if notes.pop(number, None) else 404)
        elif found := re.fullmatch(r"/notes\?text=(.+)", self.path):
            self._done(200, [{"id": number, "text": text} for number, text in notes.items() if text == found[1]])
        else:
            self._done(200, [{"id": number, "text": text} for number, text in notes.items()])

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815  names of the base class


@pytest.fixture
def application():
    server = Application()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def make(application, **options):
    root = application.root
    given = {
        "write": {"url": f"{root}/notes", "method": "POST", "body": {"text": "${record}"}, "status": 201},
        "read": {"url": f"{root}/notes"},
        "remove": [
            {"url": f"{root}/notes?text=${{record}}", "save": {"id": "0.id"}},
            {"url": f"{root}/notes/${{id}}", "method": "DELETE", "status": 204},
        ],
    }
    return find_probe("http.canary").model_validate({**given, **options})


def written(canary, ctx, numbers):
    writer = canary.writer(ctx)
    lost = [(number, lost) for number in numbers if (lost := writer.write(number))]
    writer.close()
    return lost


@pytest.mark.parametrize("each", [False, True], ids=["all at once", "each by itself"])
def test_acknowledged_records_are_read_back_one_by_one_and_removed(ground, application, each):
    application.notes[1] = "of others"
    options = {"read": {"url": f"{application.root}/notes?text=${{record}}"}} if each else {}
    canary, ctx = make(application, **options), ground.ctx("probe.1")
    canary.reach(ctx)
    canary.prepare(ctx)
    assert written(canary, ctx, range(1, 31)) == []
    ctx = replace(ctx, written=30)
    assert canary.survivors(ctx) == list(range(1, 31))
    application.notes = {key: text for key, text in application.notes.items() if not text.endswith(("-7", "-8"))}
    assert canary.survivors(ctx) == sorted({*range(1, 31)} - {7, 8})
    canary.clean(ctx)
    canary.clean(ctx)
    assert list(application.notes.values()) == ["of others"]


def test_the_example_of_the_reference_works(ground, application):
    text = examples.declared("http.canary", Probe).replace("{{ services.api.url }}", application.root)
    (given,) = yaml.safe_load(text)["probes"]
    canary, ctx = find_probe("http.canary").model_validate(given["http.canary"]), ground.ctx("probe.1")
    canary.reach(ctx)
    canary.prepare(ctx)
    assert written(canary, ctx, range(1, 4)) == []
    ctx = replace(ctx, written=3)
    assert canary.survivors(ctx) == [1, 2, 3]
    canary.clean(ctx)
    assert application.notes == {}


def test_a_server_error_is_in_doubt_and_a_refusal_is_not(ground, application):
    canary, ctx = make(application), ground.ctx("probe.1")
    for status, doubt in ((502, True), (403, False), (200, True)):
        application.answer = status
        ((_, lost),) = written(canary, ctx, [1])
        assert (str(status) in lost.reason, lost.doubt) == (True, doubt)
    gone = application.root
    application.shutdown()
    application.server_close()
    ((_, lost),) = written(make(application, read={"url": gone}), ctx, [1])
    assert (lost.doubt, "refused" in lost.reason) == (False, True)


def test_records_that_cannot_be_read_are_not_counted_as_lost(ground, application):
    canary, ctx = make(application), ground.ctx("probe.1")
    written(canary, ctx, [1])
    application.answer = 503
    with pytest.raises(CouldNotVerify, match=r"`read`: GET .*status 503"):
        canary.survivors(ctx)
    with pytest.raises(CouldNotVerify, match="503"):
        canary.clean(ctx)
    # The whole collection is gone: nothing survived.
    refused_until(lambda: canary.reach(ctx), "cannot read: .*503", lambda: setattr(application, "answer", 404))
    assert canary.survivors(ctx) == []


def test_reading_must_show_what_was_written(ground, application):
    root = application.root
    with pytest.raises(NotReady, match="does not show it"):
        make(application, read={"url": f"{root}/notes?text=another"}).prepare(ground.ctx("probe.1"))
    assert len(application.notes) == 1, "the run removes it, since it announced the canary before"
    with pytest.raises(NotReady, match="reading still shows it"):
        make(application, remove={"url": f"{root}/notes"}).prepare(ground.ctx("probe.1"))


def test_a_secret_header_is_sent_and_saved_values_are_not_shown(ground, application, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cret-token")
    secret = {"source": "env", "name": "TOKEN"}
    ground.services["app"] = Redis.model_validate({"name": "app", "host": "here", "password": secret})
    canary = make(application, headers={"Authorization": "!secret services.app.password"})
    assert written(canary, ground.ctx("probe.1"), [1]) == []
    assert application.token == "s3cret-token"


def test_mistakes_in_placeholders_are_found_in_the_file(application):
    with pytest.raises(ValidationError, match="the same record each time"):
        make(application, write={"url": f"{application.root}/notes", "method": "POST"})
    with pytest.raises(ValidationError, match=r"`read` contains \$\{id\}, which is not a known placeholder"):
        make(application, read={"url": f"{application.root}/notes/${{id}}"})

"""Expectations of a step: an unmet one says what was wanted and measured, and one that cannot be evaluated is unverified."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from drillbook.engine.steps import carry_out
from drillbook.hosts.fake import FakeHost
from drillbook.judge.result import Verdict
from tests.engine.test_steps import run
from tests.engine.test_steps_cases import staged, step_of, told
from tests.machine.small import Small


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


@pytest.fixture
def http_answer():
    """Address of a server that answers in JSON."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"text": "only-here"}')

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_an_expectation_that_is_not_met_says_what_was_wanted_and_what_was_there(small):
    small.hosts["a"].on("say", "text")
    small.run("verify:\n" + run("say", expect=["result.exit == 0", "result.stdout == 'other'"], name="Say it"))
    failed = next(event for event in small.events if event.kind == "failed")
    (found,) = failed.data["findings"]
    assert (found["code"], found["wanted"], found["measured"]) == (
        "expectation",
        "result.stdout == 'other'",
        "{'stdout': 'text'}",
    )
    assert (found["step"], found["host"]) == ("verify.1", "a")
    assert " If the answer is right, correct the expectation in `" in found["remedy"]
    assert failed.data["facts"]["stdout"] == "text"
    assert small.result.verdict is Verdict.FAILED


def test_an_expectation_that_is_not_met_shows_an_answer_in_json_once(small, http_answer):
    small.hosts["controller"] = FakeHost("controller")
    small.run(f"verify:\n  - http.responds: {{url: '{http_answer}'}}\n    expect: [result == 1]\n")
    failed = next(event for event in small.events if event.kind == "failed")
    (found,) = failed.data["findings"]
    assert found["measured"].count("only-here") == 1
    assert failed.data["facts"]["json"] == {"text": "only-here"}


@pytest.mark.parametrize(("name", "title"), [({}, "command.run"), ({"name": "Say it"}, "Say it")])
def test_an_expectation_is_told_by_the_name_of_its_step_with_what_it_speaks_of(small, name, title):
    small.hosts["a"].on("say", "text")
    stage = staged(small, "restore:\n" + run("say", expect=["result.exit == 0", "1 == 2"], **name))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is False
    stage.journal.close()
    ((_, _, data),) = told(small, "failed")
    (found,) = data["findings"]
    assert found["title"].endswith(f": {title}")
    assert (found["wanted"], found["measured"]) == (
        "1 == 2",
        "{'exit': 0, 'stdout': 'text', 'stderr': '', 'effect': 'read'}",
    )
    assert (data["outcome"], data["message"]) == ("failed", "expected 1 == 2")


def test_an_expectation_that_cannot_be_evaluated_is_not_verified(small):
    stage = staged(small, "restore:\n" + run("look", expect="result.nothing.there == 1"))
    assert carry_out(stage, [step_of(stage, "restore.1")]) is False
    stage.journal.close()
    ((_, _, data),) = told(small, "failed")
    assert (data["outcome"], data["message"].startswith("expect: ")) == ("unverified", True)

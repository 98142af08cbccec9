"""http.flow with a real server: values of answers in later requests, and refused flows."""

import http.server
import json
import threading

import pytest

from drillbook.errors import StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.judge.result import Verdict
from drillbook.language import placeholders
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, Target
from drillbook.systems.http.actions.reading.flow import Flow
from tests.engine.test_runner import Bench

TOKEN = "t0ken-of-the-session"


class Shop(http.server.BaseHTTPRequestHandler):
    seen: list[tuple[str, str, str, bytes]] = []

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def do_GET(self):
        self.answer(b"")

    def answer(self, body):
        self.seen.append((self.command, self.path, self.headers.get("Authorization", ""), body))
        status, data = 404, {"error": f"no {self.path}, {TOKEN}"}
        if self.path == "/login":
            status, data = 200, {"session": {"token": TOKEN, "roles": ["a", {"b": 7}], "none": None, "odd": "a/b?c"}}
        elif self.headers.get("Authorization") == f"Bearer {TOKEN}":
            status, data = 201, {"id": 7, "echo": json.loads(body) if body else None, "path": self.path}
        text = json.dumps(data).encode() if self.path != "/text" else b"no json"
        self.send_response(200 if self.path == "/text" else status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Shop.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def run(bench, *steps, **more):
    return bench.run("verify:\n  - http.flow: " + json.dumps({"steps": steps, **more}) + "\n")


def login(server, **save):
    return {
        "name": "Log in",
        "url": f"{server}/login",
        "method": "POST",
        "body": {"user": "ada"},
        "save": {"token": "session.token", **save},
    }


AUTHORIZED = {"Authorization": "Bearer ${token}"}


def test_values_of_answers_go_into_later_requests(bench, server):
    view = run(
        bench,
        login(server, number="session.roles.1.b", odd="session.odd"),
        {
            "url": f"{server}/orders/${{odd}}",
            "method": "POST",
            "headers": AUTHORIZED,
            "status": 201,
            "body": {"of": "${number}", "text": "order ${number}", "list": ["${odd}"]},
            "save": {"id": "id"},
            "contains": "order ${number}",
        },
        {"url": f"{server}/orders/${{id}}", "headers": AUTHORIZED, "status": 201},
        show=["id", "number"],
    )
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert json.loads(Shop.seen[1][3]) == {"of": 7, "text": "order 7", "list": ["a/b?c"]}
    assert [path for _, path, _, _ in Shop.seen] == ["/login", "/orders/a%2Fb%3Fc", "/orders/7"]
    facts = view.result.steps[0].facts
    assert facts["saved"] == {"token": None, "number": 7, "odd": None, "id": 7}
    assert [one["status"] for one in facts["requests"]] == [200, 201, 201]
    assert all(one["seconds"] > 0 for one in facts["requests"])
    assert facts["requests"][0]["name"] == "Log in"
    assert TOKEN not in (bench.folder / "journal.jsonl").read_text(), "what a login gives is shown nowhere"


def test_a_failure_names_the_request_and_hides_what_was_saved(bench, server):
    view = run(bench, login(server), {"name": "Look", "url": f"{server}/nothing"}, {"url": f"{server}/never"})
    assert view.result.verdict is Verdict.FAILED
    [found] = view.result.findings
    assert (found.code, found.wanted) == ("http-unexpected", "status 200")
    assert "Look" in found.title
    assert "request 2 of 3, Look: answered 404, expected 200" in view.steps[0].message
    assert found.measured == "status 404"
    assert view.result.steps[0].facts["body"] == '{"error": "no /nothing, ***"}', "the body is a fact, and no headline"
    assert len(Shop.seen) == 2, "the flow ends at its first wrong answer"
    assert len(view.result.steps[0].facts["requests"]) == 2
    assert TOKEN not in (bench.folder / "journal.jsonl").read_text()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("session.nothing", "no 'nothing'"),
        ("session.none", "null"),
        ("session.roles", "a list"),
        ("session", "a mapping"),
        ("session.roles.2", "no '2'"),
        ("session.token.x", "no 'x'"),
    ],
)
def test_a_value_that_is_not_there(bench, server, path, said):
    view = run(bench, login(server, value=path))
    assert view.result.verdict is Verdict.FAILED
    assert said in view.result.findings[0].measured
    assert "Log in" in view.result.findings[0].title


def test_an_answer_that_is_no_json_or_does_not_contain(bench, server):
    view = run(bench, {"url": f"{server}/text", "save": {"a": "b"}})
    assert view.result.findings[0].measured == "the answer is not JSON"
    view = run(bench, {"url": f"{server}/text", "contains": "yes"})
    assert view.result.findings[0].measured == "the answer does not contain 'yes'"
    assert view.result.steps[0].facts["body"] == "no json"
    view = run(bench, {"url": "http://127.0.0.1:1/"})
    assert view.result.verdict is Verdict.FAILED
    assert "no answer" in view.result.findings[0].measured


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"url": "http://a/${x}"}], "no earlier request saves 'x'"),
        ([{"url": "http://a/", "save": {"x": "x"}, "contains": "${x}"}], "no earlier request saves 'x'"),
        ([{"url": "ftp://a/"}], "pattern"),
        ([], "at least 1"),
        ([{"url": "http://a/", "save": {"x": "a..b"}}], "not a path"),
        ([{"url": "http://a/", "odd": 1}], "not permitted"),
    ],
)
def test_a_flow_that_cannot_work_is_told_before_it_runs(steps, said):
    with pytest.raises(ValueError, match=said):
        Flow.model_validate({"steps": steps})


def test_what_an_answer_says_is_never_read_again():
    assert placeholders.fill({"a": "${x} ${y}"}, {"x": "${y}", "y": True}) == {"a": "${y} true"}
    assert placeholders.url("http://a/${x}", {"x": "../?b=1#c é"}) == "http://a/..%2F%3Fb%3D1%23c%20%C3%A9"
    assert placeholders.hide("abc secret-1 secret", ["secret", "secret-1", "a"]) == "abc *** ***"


def test_a_header_that_an_answer_breaks(bench, server):
    """A line break in a saved value does not create a second header."""
    assert placeholders.text("Bearer ${x}", {"x": "a\r\nEvil: 1"}) == "Bearer a\r\nEvil: 1"
    flow = Flow.model_validate({"steps": [{"url": f"{server}/login", "headers": {"X": "a\r\nEvil: 1"}}]})
    here = LocalHost(target=Target(name="c", local=True))
    with pytest.raises(StepFailed, match="Invalid header"):
        flow.run(Context("r", "s", here, {}, lambda name: here, Deadline.after(5), bench.root))
    assert Shop.seen == []

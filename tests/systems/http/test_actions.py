"""http.responds and http.available with a real server on loopback."""

import http.server
import re
import socket
import subprocess
import threading
from dataclasses import replace

import pytest

from drillbook.errors import StepFailed
from drillbook.judge.result import Verdict
from drillbook.sdk.action import find
from drillbook.sdk.host import Deadline
from drillbook.sdk.service import Http
from drillbook.sdk.web import ask
from drillbook.systems.http.probes.http.available import Available
from drillbook.values import Duration
from tests.engine.test_runner import Bench


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(self.path.rpartition("/")[2] or 200)
        body = b'{"said": "<script>hello</script>"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.fixture
def drip():
    """Server that sends its answer byte by byte, without end."""
    listener = socket.create_server(("127.0.0.1", 0))
    halt = threading.Event()

    def serve():
        while not halt.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                    while not halt.wait(0.1):
                        connection.sendall(b"x")
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    halt.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def verify(url, more=""):
    return f'verify:\n  - http.responds: {{url: "{url}"{more}}}\n'


def test_responds(server, tmp_path):
    bench = Bench(tmp_path)
    view = bench.run(verify(f"{server}/x/200", ", contains: hello"))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert view.result.steps[0].facts["json"] == {"said": "<script>hello</script>"}
    assert bench.run(verify(f"{server}/x/503")).result.verdict is Verdict.FAILED
    assert bench.run(verify(f"{server}/x/503", ", status: 503")).result.verdict is Verdict.PASSED
    assert bench.run(verify(f"{server}/x/200", ", contains: bye")).result.verdict is Verdict.FAILED
    view = bench.run(verify("http://127.0.0.1:9/"))
    assert (view.result.verdict, view.result.findings[0].code) == (Verdict.FAILED, "http-unexpected")


@pytest.mark.parametrize(
    ("path", "more", "said", "measured"),
    [
        ("503", "", "answered 503, expected 200", "status 503"),
        ("200", ", contains: bye", "answers without 'bye'", "status 200, a body without 'bye'"),
    ],
)
def test_the_body_of_an_unexpected_answer_is_a_fact_and_no_headline(server, tmp_path, path, more, said, measured):
    result = Bench(tmp_path).run(verify(f"{server}/x/{path}", more)).result
    assert result.reason.endswith(said)
    assert result.findings[0].measured == measured
    assert "hello" in result.steps[0].facts["body"]


@pytest.mark.parametrize(
    ("what", "doubted"),
    [("x/200", True), ("x/404", True), ("x/503", False), ("nobody", False)],
)
def test_the_remedy_of_an_unexpected_answer_doubts_the_drill_only_while_the_service_is_healthy(
    server, tmp_path, what, doubted
):
    url = f"{server}/{what}" if what != "nobody" else "http://127.0.0.1:9/"
    result = Bench(tmp_path).run(verify(url, ", status: 201")).result
    (found,) = [one for one in result.findings if one.code == "http-unexpected"]
    assert found.remedy.startswith("Send the same request by hand")
    line = re.search(r" If the answer is right, correct the expectation in `[\w.-]+\.yml:\d+`\.$", found.remedy)
    assert bool(line) is doubted, found.remedy


def test_the_answer_of_a_unit_that_serves_wrongly_is_a_fact(server, managed):
    subprocess.run(
        ["supervisorctl", "-c", managed.host.target.manager.config, "stop", "app"], check=True, capture_output=True
    )
    managed.services["it"] = Http(name="it", host="here", url=server, unit="app")
    serve = find("http.serve").model_validate({"service": "it", "path": "/x/503"})
    with pytest.raises(StepFailed) as caught:
        serve.run(replace(managed.ctx(), deadline=Deadline.after(5.0)))
    assert caught.value.message.endswith("/x/503 does not give the expected answer: answered 503, expected 200")
    assert "hello" in str(caught.value.facts["body"])


def test_a_unit_whose_last_request_was_cut_off_is_told_by_the_answer_before(managed):
    deadline, halt = Deadline.after(5.0), threading.Event()

    class HangsAtLast(Answers):
        def do_GET(self):
            if deadline.remaining() < 1.5:
                halt.wait(5)
            super().do_GET()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), HangsAtLast) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        managed.services["it"] = Http(name="it", host="here", url=f"http://127.0.0.1:{found.server_port}", unit="app")
        serve = find("http.serve").model_validate({"service": "it", "path": "/x/503"})
        try:
            with pytest.raises(StepFailed) as caught:
                serve.run(replace(managed.ctx(), deadline=deadline))
        finally:
            halt.set()
            found.shutdown()
    assert caught.value.message.endswith("does not give the expected answer: answered 503, expected 200")
    assert caught.value.findings[0].measured == "answered 503, expected 200"
    assert "hello" in str(caught.value.facts["body"])


def test_available(server, drip):
    """Also for a server whose answer never ends."""
    assert Available(url=f"{server}/x/200").check(None) is None
    assert "status 500" in Available(url=f"{server}/x/500").check(None)
    assert "refused" in Available(url="http://127.0.0.1:9/").check(None)
    assert "no answer within" in Available(url=drip, timeout=Duration(0.5), every=Duration(0.1)).check(None)


def test_a_drip_ends_at_the_deadline(drip):
    with pytest.raises(TimeoutError):
        ask(drip, timeout=0.4)


@pytest.mark.parametrize("every", ["0s", "10ms"])
def test_a_probe_that_cannot_keep_its_rate_is_refused(every):
    with pytest.raises(ValueError):
        Available.model_validate({"url": "http://x", "every": every, "timeout": "2s"})

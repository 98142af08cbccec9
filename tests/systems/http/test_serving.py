"""http.serve: a unit that serves wrongly is told by its answer."""

import http.server
import subprocess
import threading
from dataclasses import replace

import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.action import find
from drillbook.sdk.host import Deadline
from drillbook.sdk.service import Http
from tests.systems.http.answering import Answers


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
        def do_GET(self):  # noqa: N802  the base class names it so
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

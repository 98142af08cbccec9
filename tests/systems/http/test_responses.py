"""http.responds with a real server on loopback."""

import re

import pytest

from drillbook.judge.result import Verdict
from tests.engine.test_runner import Bench


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

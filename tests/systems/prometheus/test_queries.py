"""Answers of a real Prometheus to valid and invalid queries."""

import json

import pytest

from drillbook.judge.result import Verdict
from tests.systems.prometheus.test_alerts import Watched


@pytest.fixture
def bench(tmp_path, watch):
    return Watched(tmp_path, watch, objectives="{}")


def verify(action, **params):
    return f"verify:\n  - prometheus.{action}: {json.dumps({'service': 'metrics', **params})}\n"


def test_one_value_and_what_it_must_be(bench):
    view = bench.run(verify("query", query='file_there{file="NAME"}') + "    expect: result.value == 0\n")
    assert view.result.verdict is Verdict.PASSED, view.result.findings
    facts = view.result.steps[0].facts
    assert (facts["count"], facts["value"], facts["type"]) == (1, 0.0, "vector")
    assert facts["series"][0]["labels"]["file"] == bench.name
    view = bench.run(verify("query", query='file_there{file="NAME"}') + "    expect: result.value == 1\n")
    assert view.result.verdict is Verdict.FAILED


def test_many_values_are_no_value(bench):
    facts = bench.run(verify("query", query="vector(1) or label_replace(vector(2), 'a', 'b', '', '')")).result.steps[0].facts
    assert facts["count"] == 2
    assert facts["value"] is None
    assert bench.run(verify("query", query="1 + 1")).result.steps[0].facts["value"] == 2


@pytest.mark.parametrize("query", ["vector(0) / 0", "vector(1) / 0", "0 / 0"])
def test_what_is_no_number_is_no_value(bench, query):
    view = bench.run(
        verify("query", query=query) + "    expect: result.value is none\n"
        f"  - prometheus.range: {{service: metrics, query: {query}, over: 2s, step: 1s}}\n"
    )
    assert view.result.verdict is Verdict.PASSED, view.result.findings
    points = view.result.steps[1].facts["points"]["file"]
    assert "NaN" not in (bench.folder / points).read_text()


def test_a_wrong_query_is_refused_with_what_prometheus_says(bench):
    view = bench.run(verify("query", query="sum(file_there"))
    assert view.result.verdict is Verdict.REFUSED
    assert "parse error" in view.result.findings[0].measured


def test_how_a_value_went(bench, watch):
    watch.until(lambda: int(watch.query(f'count_over_time(file_there{{file="{bench.name}"}}[1m])')[0]["value"][1]) >= 4)
    view = bench.run(verify("range", query='file_there{file="NAME"}', over="2s", step="250ms"))
    (series,) = view.result.steps[0].facts["series"]
    assert series["count"] >= 2
    assert (series["min"], series["max"], series["last"]) == (0.0, 0.0, 0.0)
    points = json.loads((bench.folder / view.result.steps[0].facts["points"]["file"]).read_text())
    assert len(points[0]["points"]) == series["count"]


def test_the_alerts_of_now(bench, watch):
    bench.file.touch()
    watch.until(lambda: watch.query(f'ALERTS{{alertstate="firing",file="{bench.name}"}}'))
    steps = verify("alerts") + "".join(
        f"  - prometheus.alerts: {{service: metrics, labels: {{file: {name}}}}}\n" for name in ("NAME", "other")
    )
    facts, own, none = (step.facts for step in bench.run(steps).result.steps)
    assert (own["firing"], own["count"], none["firing"], none["count"]) == (["FileThere"], 2, [], 0)
    assert "FileThere" in facts["firing"]
    assert "FileThereForLong" in facts["pending"]
    assert {"alert": "FileThere", "file": bench.name} in [
        {"alert": one["alert"], "file": one["labels"]["file"]} for one in facts["alerts"]
    ]
    bench.file.unlink()

"""Values that a real Prometheus returns for valid and invalid queries."""

import json

import pytest

from drillbook.judge.result import Verdict
from drillbook.systems.prometheus import series
from tests.systems.prometheus.watched import Watched


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


def test_values_that_are_not_finite_count_but_have_no_size():
    points = [[1.0, 3.0], [2.0, float("nan")], [3.0, 1.0], [4.0, float("inf")]]
    assert series.summary(points) == {"count": 4, "first": 3.0, "last": 1.0, "min": 1.0, "max": 3.0, "mean": 2.0}
    assert series.summary([[1.0, float("nan")]]) == {"count": 1} | dict.fromkeys(("first", "last", "min", "max", "mean"))
    assert series.finite([{"labels": {"a": "b"}, "points": points}]) == [
        {"labels": {"a": "b"}, "points": [[1.0, 3.0], [2.0, None], [3.0, 1.0], [4.0, None]]}
    ]


@pytest.mark.parametrize("value", [None, [], {}, {"alerts": None}, {"alerts": {"a": 1}}])
def test_an_answer_of_another_form_has_no_mappings(value):
    assert list(series.mappings(value, "alerts")) == []
    assert list(series.mappings({"alerts": [{"a": 1}, 7, None, []]}, "alerts")) == [{"a": 1}]

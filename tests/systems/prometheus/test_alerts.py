"""Alerts of a real Prometheus: their states, and the time at which they began to fire."""

import time

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.judge.result import Verdict
from drillbook.sdk.host import Deadline
from drillbook.systems.prometheus import alerts, series
from drillbook.systems.prometheus.client import Api
from drillbook.systems.prometheus.service import Prometheus
from tests.systems.prometheus.watch import SCRAPE_S
from tests.systems.prometheus.watched import BREAK, CLEARS, FIRES, MEND


def test_an_alert_that_fires_and_clears_passes_and_measures_the_detection(bench):
    view = bench.run(BREAK + FIRES % ("FileThere", "60s") + MEND + CLEARS % "60s")
    assert view.result.verdict is Verdict.PASSED, view.result.findings
    detect = view.result.objectives["detect"]
    assert detect.met is True
    assert detect.clock == "disruption to the expected alert"
    assert detect.error_s > 2 * SCRAPE_S
    (fired,) = bench.events("alert.firing")
    began = next(event.clock for event in bench.events("step.started") if event.data["phase"] == "detect")
    assert 2 * SCRAPE_S < fired.data["error_s"] < 2 * SCRAPE_S + fired.clock - began, "one scrape, one evaluation, one query"
    disruption = view.result.clocks["disruption_s"]
    assert 0 <= detect.measured_s <= fired.clock - disruption
    broken = next(event.clock for event in bench.events("step.started") if event.data["phase"] == "inject")
    assert disruption + detect.measured_s + detect.error_s > broken, "it cannot have fired before the fault began"
    assert "alerted" in view.timeline.marks
    assert any("the alert FileThere began to fire" in note.text for note in view.notes)
    assert bench.events("alert.cleared")
    for report in ("report.html", "report.md"):
        text = (bench.folder / report).read_text()
        assert "began to fire" in text
        assert "The duration of the query to Prometheus" in text


@pytest.fixture
def api(watch):
    return Api(Prometheus(name="metrics", host="here", url=watch.prometheus), Deadline.after(60))


def test_the_state_of_an_alert_is_that_of_the_wanted_labels(api, watch, tmp_path):
    watch.watch(tmp_path.name, tmp_path / "broken")
    labels = {"file": tmp_path.name}
    calm = alerts.state_of(api, "FileThere", labels)
    assert (calm.state, calm.active, calm.evaluation_s) == ("inactive", (), SCRAPE_S)
    (tmp_path / "broken").touch()
    watch.until(lambda: alerts.state_of(api, "FileThere", labels).state == "firing")
    begun = time.monotonic()
    firing = alerts.state_of(api, "FileThere", labels)
    assert [alert["labels"]["file"] for alert in firing.active] == [tmp_path.name]
    assert firing.evaluated != calm.evaluated
    assert alerts.state_of(api, "FileThereForLong", labels).state == "pending"
    assert alerts.state_of(api, "FileThere", {"file": "none"}).state == "inactive"
    assert alerts.fired(api, firing, labels, 3600.0).at < begun
    assert alerts.fired(api, firing, {"file": "none"}, 3600.0) is None
    assert alerts.scrape_s(api) == SCRAPE_S


def test_an_alert_without_a_rule_is_told_with_a_similar_one(api):
    with pytest.raises(CouldNotVerify, match="metrics has no alerting rule 'FileTheer'") as failure:
        alerts.state_of(api, "FileTheer", {})
    assert failure.value.hint == "did you mean 'FileThere'? its rules: FileThere, FileThereForLong"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        ("", None),
        ("1", None),
        ("1m 30s", None),
        ("m", None),
    ],
)
def test_a_duration_of_prometheus_in_seconds(text, seconds):
    assert alerts.duration(text) == seconds


def test_an_alert_began_after_the_last_gap_of_its_samples():
    assert alerts._episode([], 1.0) is None
    assert alerts._episode([1.0, 2.0, 4.5], 1.0) == 1.0
    assert alerts._episode([1.0, 2.0, 4.6, 5.6, 9.0, 10.0], 1.0) == 9.0


def test_a_label_is_quoted_as_a_literal_of_promql(api, watch):
    text = 'a "b" \\ c\nd'
    (row,) = series.instant(api, f"label_replace(vector(1), 'x', {alerts.quoted(text.replace('$', ''))}, '', '')")[1]
    assert row["labels"] == {"x": text}

"""Alerts that arrive at a real Alertmanager, or notify nobody."""

from drillbook.judge.result import Verdict
from tests.systems.prometheus.watched import BREAK, MEND, RECEIVED


def test_an_alert_that_came_to_alertmanager(bench):
    view = bench.run(BREAK + RECEIVED % "60s" + MEND)
    assert view.result.verdict is Verdict.PASSED, view.result.findings
    assert view.result.steps[1].facts["receivers"] == ["oncall"]
    assert view.result.objectives["detect"].met is True


def test_an_alert_that_is_silenced_tells_nobody(bench, watch):
    def observe(event):
        if event.kind == "fault.active":
            watch.until(lambda: watch.received(bench.name))

    watch.silence(bench.name)
    view = bench.run(BREAK + RECEIVED % "1s" + MEND, observe)
    assert view.result.verdict is Verdict.FAILED
    (found,) = [one for one in view.result.findings if one.code == "alert-missing"]
    assert "silenced by" in found.measured

"""Actions that wait for an alert of a real Prometheus, and the checks before a drill."""

import os
import re
import signal
from dataclasses import replace

import pytest

from drillbook.errors import NotReady
from drillbook.judge.result import Verdict
from drillbook.report.wording import state_of
from drillbook.sdk.action import find
from drillbook.systems.prometheus import alerts
from drillbook.systems.prometheus.actions import alertmanager, prometheus
from tests.systems.prometheus.watched import BREAK, CLEARS, FIRES, MEND, Watched, codes
from tests.systems.refusals import refused_until


def test_an_alert_that_does_not_fire_misses_the_objective(bench):
    view = bench.run(BREAK + FIRES % ("FileThereForLong", "1s") + MEND)
    assert view.result.verdict is Verdict.FAILED
    assert {"alert-missing", "objective-missed"} <= codes(view)
    detect = view.result.objectives["detect"]
    assert (detect.met, detect.measured_s) == (False, None)
    assert re.fullmatch("the alert FileThereForLong is (pending|inactive) after 1s, not firing; it was .*", detect.reason)
    assert not bench.file.exists()
    assert state_of(detect.met, detect.measured_s) == "missed"
    assert detect.reason in (bench.folder / "report.md").read_text()


def test_an_alert_that_remains_fails_the_drill(bench):
    view = bench.run(BREAK + FIRES % ("FileThere", "60s") + CLEARS % "1s")
    assert view.result.verdict is Verdict.FAILED
    assert "alert-remains" in codes(view)
    assert not bench.file.exists()


@pytest.mark.parametrize(("alert", "why"), [("FileTheer", "did you mean 'FileThere'"), ("FileThere", "is already firing")])
def test_a_drill_that_could_show_nothing_is_refused(bench, watch, monkeypatch, alert, why):
    monkeypatch.setattr(prometheus, "CALM_S", 0.5)
    if alert == "FileThere":
        bench.file.touch()
        watch.until(lambda: watch.query(f'ALERTS{{alertstate="firing",file="{bench.name}"}}'))
    view = bench.run(BREAK + FIRES % (alert, "60s") + MEND)
    assert view.result.verdict is Verdict.REFUSED
    assert re.search(why, " ".join(f"{one.measured} {one.remedy}" for one in view.result.findings)), view.result.findings
    assert not bench.events("intent")


def test_an_alert_that_is_active_is_told_until_it_is_over(ground, bench, watch, monkeypatch):
    fires, received = (
        find(name).model_validate({"service": service, "alert": "FileThere", "labels": {"file": bench.name}, "within": "9s"})
        for name, service in (("prometheus.alert_fires", "metrics"), ("alertmanager.received", "alerts"))
    )

    def over():
        bench.file.unlink()
        monkeypatch.undo()

    def ready(action):
        action.ready(replace(ground.ctx(), services=bench.inventory.services))

    monkeypatch.setattr(prometheus, "CALM_S", 0.0)
    monkeypatch.setattr(alertmanager, "CALM_S", 0.0)
    bench.file.touch()
    watch.until(lambda: watch.received(bench.name))
    with pytest.raises(NotReady, match="alerts already has the alert 'FileThere', so the alert would not show"):
        ready(received)
    refused_until(lambda: ready(fires), "the alert 'FileThere' is already firing, so it would not show", over)
    ready(received)


def test_an_alert_that_is_about_to_clear_is_waited_for(bench, watch, monkeypatch):
    """As after another drill of the same suite. The file is removed when the check before the drill has seen the alert fire."""
    asked, states = alerts.state_of, []

    def clearing(*given):
        found = asked(*given)
        states.append(found.state)
        if states == ["firing"]:
            bench.file.unlink()
        return found

    bench.file.touch()
    watch.until(lambda: watch.query(f'ALERTS{{alertstate="firing",file="{bench.name}"}}'))
    monkeypatch.setattr(alerts, "state_of", clearing)
    monkeypatch.setattr(prometheus, "CALM_S", 60.0)
    view = bench.run(BREAK + FIRES % ("FileThere", "60s") + MEND)
    assert view.result.verdict is Verdict.PASSED, view.result.findings
    assert states[0] == "firing"
    assert "inactive" in states


def test_a_prometheus_that_stands_still_shows_nothing(bench, watch):
    def observe(event):
        if event.kind == "fault.active":
            os.kill(watch.process.pid, signal.SIGSTOP)

    try:
        view = bench.run(BREAK + FIRES % ("FileThere", "1s") + MEND, observe)
    finally:
        os.kill(watch.process.pid, signal.SIGCONT)
    assert view.result.verdict is Verdict.INCONCLUSIVE, view.result.reason
    assert view.result.objectives["detect"].met is None


def test_the_alerts_of_now(tmp_path, watch):
    bench = Watched(tmp_path, watch, objectives="{}")
    bench.file.touch()
    watch.until(lambda: watch.query(f'ALERTS{{alertstate="firing",file="{bench.name}"}}'))
    steps = "verify:\n  - prometheus.alerts: {service: metrics}\n" + "".join(
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

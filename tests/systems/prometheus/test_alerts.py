"""Drills whose fault a real Prometheus detects, or does not; each test has a separate file to monitor."""

import os
import re
import signal
from dataclasses import replace

import pytest

from drillbook.errors import DrillbookError, NotReady
from drillbook.inventory import inventory
from drillbook.judge.result import Verdict
from drillbook.report.wording import state_of
from drillbook.sdk.action import find
from drillbook.systems.prometheus import alerts
from drillbook.systems.prometheus.actions import alertmanager, prometheus
from drillbook.systems.prometheus.service import Alertmanager, Prometheus
from tests.engine.test_runner import FAULT, HOSTS, Bench, step
from tests.ports import free_ports
from tests.systems.prometheus.watch import SCRAPE_S
from tests.systems.refusals import refused_until

MEND = "restore:\n" + step(["rm", "-f", "DIR/broken"])
FIRES = "detect:\n  - prometheus.alert_fires: {service: metrics, alert: %s, labels: {file: NAME}, within: %s}\n"
CLEARS = "verify:\n  - prometheus.alert_clears: {service: metrics, alert: FileThere, labels: {file: NAME}, within: %s}\n"
RECEIVED = "detect:\n  - alertmanager.received: {service: alerts, alert: FileThere, labels: {file: NAME}, within: %s}\n"
BREAK = FAULT % "[rm, -f, DIR/broken]"


class Watched(Bench):
    """Bench whose file ``broken`` is monitored by Prometheus; ``NAME`` in a drill is its name there."""

    def __init__(self, root, watch, prometheus="", objectives="{detect: 60s}"):
        super().__init__(root)
        self.file, self.name, self.objectives = root / "broken", root.name, objectives
        watch.watch(self.name, self.file)
        services = (
            f"  metrics: {{kind: prometheus, host: controller, url: '{prometheus or watch.prometheus}'}}\n"
            f"  alerts: {{kind: alertmanager, host: controller, url: '{watch.alertmanager}'}}\n"
        )
        (root / "hosts.yml").write_text(
            HOSTS.replace("SCRATCH", str(root / "scratch")).replace(
                "services: {app: {kind: process, host: controller}}\n",
                f"services:\n  app: {{kind: process, host: controller}}\n{services}",
            )
        )
        self.inventory = inventory.load(root / "hosts.yml")

    def run(self, text, observer=lambda event: None):
        return super().run(f"objectives: {self.objectives}\n" + text.replace("NAME", self.name), observer)


@pytest.fixture
def bench(tmp_path, watch):
    return Watched(tmp_path, watch)


def codes(view):
    return {one.code for one in view.result.findings}


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


def test_an_alert_that_does_not_fire_misses_the_objective(bench):
    view = bench.run(BREAK + FIRES % ("FileThereForLong", "1s") + MEND)
    assert view.result.verdict is Verdict.FAILED
    assert {"alert-missing", "objective-missed"} <= codes(view)
    detect = view.result.objectives["detect"]
    assert (detect.met, detect.measured_s) == (False, None)
    assert re.fullmatch("the alert FileThereForLong is (pending|inactive) after 1s, not firing", detect.reason)
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


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("prometheus.query", {"query": "up"}),
        ("prometheus.alerts", {}),
        ("prometheus.alert_fires", {"alert": "FileThere", "labels": {"file": "none"}, "within": "9s"}),
        ("alertmanager.received", {"alert": "NoSuchAlert", "within": "9s"}),
    ],
)
def test_a_server_that_does_not_answer_is_told_before(ground, watch, name, fields):
    url = watch.alertmanager if name == "alertmanager.received" else watch.prometheus
    kind = Alertmanager if name == "alertmanager.received" else Prometheus
    action = find(name).model_validate({"service": "it", **fields})

    def at(place):
        ground.services["it"] = kind(name="it", host="here", url=place)

    at(f"http://127.0.0.1:{free_ports(1)[0]}")
    refused_until(lambda: action.ready(ground.ctx()), "does not answer: .*refused", lambda: at(url))


def test_a_url_that_is_not_of_prometheus_is_told_before(ground, watch):
    action = find("prometheus.alerts").model_validate({"service": "it"})

    def at(place):
        ground.services["it"] = Prometheus(name="it", host="here", url=place)

    at(watch.alertmanager)
    with pytest.raises(DrillbookError, match="it answered /api/v1/alerts with status"):
        action.run(ground.ctx())
    refused_until(
        lambda: action.ready(ground.ctx()), "it answered /api/v1/alerts with status 4", lambda: at(watch.prometheus)
    )
    action.run(ground.ctx())


def test_without_a_prometheus_the_drill_is_refused(tmp_path, watch):
    bench = Watched(tmp_path, watch, prometheus=f"http://127.0.0.1:{free_ports(1)[0]}")
    view = bench.run(BREAK + FIRES % ("FileThere", "60s") + MEND)
    assert view.result.verdict is Verdict.REFUSED
    assert re.search(r"metrics \(http://127.0.0.1:\d+\) does not answer: ", view.result.findings[0].measured)
    assert "prometheus-alertmanager" in view.result.findings[0].remedy
    assert not bench.events("intent")


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

"""Detection of drills' faults by the lab's Prometheus with the handbook's rules."""

import contextlib

import pytest

from drillbook.judge.result import Verdict
from drillbook.sdk.host import Deadline
from drillbook.systems.prometheus import alerts
from drillbook.systems.prometheus.client import Api
from tests import waiting
from tests.needs import need

DRILL = """\
drill: alerted
title: The database stops, and whoever is on duty hears of it
service: database
objectives: {detect: 60s}
guard: {environments: [lab]}
inject:
  - service.stop: {service: database}
detect:
  - prometheus.alert_fires: {service: metrics, alert: ApiErrorRate, labels: {job: api}, within: 60s}
  - alertmanager.received: {service: alerts, alert: ApiErrorRate, within: 60s}
restore:
  - service.start: {service: database}
verify:
  - http.responds: {url: "{{ services.api.url }}/health"}
    every: 200ms
    timeout: 60s
  - prometheus.alert_clears: {service: metrics, alert: ApiErrorRate, within: 2m}
"""


@pytest.fixture(autouse=True)
def monitored():
    need("prometheus")
    need("prometheus-alertmanager")


@pytest.mark.long(30)
def test_an_api_without_its_database_is_noticed(bench):
    path = bench.project.root / "drills" / "alerted.yml"
    path.write_text(DRILL)
    _, view = bench.run(bench.plan("alerted"))
    assert view.result.verdict is Verdict.PASSED, view.result.findings
    detect = view.result.objectives["detect"]
    assert detect.error_s >= 2.0, "scraped and evaluated once a second"
    fires, received = (step for step in view.result.steps if step.id.startswith("detect"))
    assert (fires.facts["scrape_s"], fires.facts["evaluation_s"]) == (1.0, 1.0)
    assert received.facts["receivers"] == ["oncall"]


def state(bench, alert):
    return alerts.state_of(Api(bench.inventory.services["metrics"], Deadline.after(30)), alert, {}).state


def until(bench, alert, wanted):
    waiting.until(lambda: state(bench, alert) == wanted, f"the state {wanted} of {alert}")


def test_too_many_connections_are_noticed(bench):
    with contextlib.ExitStack() as held:
        for _ in range(82):
            held.enter_context(bench.admin())
        until(bench, "DatabaseConnections", "firing")
    until(bench, "DatabaseConnections", "inactive")

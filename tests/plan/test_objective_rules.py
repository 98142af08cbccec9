"""An objective that no probe of the drill can measure is refused before anything is broken."""

import pytest

from tests.plan.test_planner import HOSTS, made
from tests.plan.test_planner_cases import STEPS, drill, refused

PROBES = STEPS.partition("inject:")[0]
WITHOUT = STEPS.removeprefix(PROBES)


def test_an_rto_without_an_availability_probe_is_refused_with_its_line(tmp_path):
    message, hint, at = refused(tmp_path, drill(WITHOUT))
    assert message == "the RTO cannot be measured: the drill has no availability probe"
    assert hint == "add one to `probes`, such as http.available or tcp.open; or remove `rto`"
    assert at.startswith("rto: 5m")


def test_the_probe_of_the_kind_of_the_service_is_named_first(tmp_path):
    hosts = HOSTS.replace("services:", "services:\n  cache: {kind: redis, host: db-1}", 1)
    _, hint, _ = refused(tmp_path, drill(WITHOUT).replace("service: api\nowner", "service: cache\nowner"), hosts)
    assert "such as redis.available or http.available or tcp.open" in hint


@pytest.mark.parametrize(
    "text",
    [
        drill(),
        drill(WITHOUT).replace("rto: 5m, ", ""),
        drill(WITHOUT.replace("inject:\n  - service.kill: {service: api}\n", "")),
    ],
    ids=["a probe", "no rto", "no fault"],
)
def test_what_can_be_measured_or_breaks_nothing_is_planned(tmp_path, text):
    assert made(tmp_path, text).steps

"""Phases and the steps that may be in them: faults only in `inject`, and only reading steps where nothing is changed."""

import pytest

from tests.plan.test_planner import made
from tests.plan.test_planner_cases import RUN, STEPS, drill, refused


@pytest.mark.parametrize("phase", ["ready", "backup", "detect", "diagnose", "restore", "verify", "cleanup"])
def test_a_fault_stands_in_inject_alone(tmp_path, phase):
    text = drill("", **{"inject": f"  - {RUN}\n", phase: "  - service.kill: {service: api}\n"})
    message, _, at = refused(tmp_path, text)
    assert ("service.kill is a fault; faults are allowed only in `inject`" in message) is (phase != "diagnose")
    assert at.startswith("service.kill")


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        ("ready", "service.start makes changes, but the phase `ready` allows only read-only steps"),
        ("diagnose", "service.start makes changes, but a diagnosis must be read-only"),
        ("backup", ""),
        ("detect", ""),
        ("inject", ""),
        ("cleanup", ""),
    ],
)
def test_where_nothing_is_changed_only_what_reads_stands(tmp_path, phase, message):
    text = drill(
        STEPS.partition("inject:")[0] + "verify:\n" + STEPS.partition("verify:\n")[2],
        **{phase: "  - service.start: {service: api}\n"},
    )
    if not message:
        assert made(tmp_path, text).phase(phase)[0].effect == "write"
        return
    told, _, at = refused(tmp_path, text)
    assert told.endswith(message)
    assert at.startswith("service.start")

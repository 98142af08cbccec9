"""No shipped drill depends on the speed of the machine: it waits for a service instead of checking it once."""

from pathlib import Path

import pytest

from drillbook.plan.spec import load
from tests.examples import drill_files

DRILLS = Path(__file__).parents[2] / "drills"
SHIPPED = drill_files(DRILLS, DRILLS / "handbook")
WITHOUT_TREES = DRILLS / "none"
"""Empty folder of diagnosis trees: loading trees takes most of the time."""
AWAITED = {"ready": "http.responds", "detect": "service.status", "verify": "http.responds"}
"""Steps whose success depends on time, by phase: a service answers, or its manager notices a failure.

Right after a start step the unit runs for certain.
"""
ONCE = {
    ("memory-leak", "Its memory stays where it is"),
    ("host-faults", "The service manager still reports the API as running"),
}
"""Steps that check a condition that must hold all the time."""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_whether_a_service_is_up_is_waited_for(path):
    hasty = [
        (step.place.line, step.keywords.name)
        for phase, action in AWAITED.items()
        for step in load(path, WITHOUT_TREES).phases.get(phase, ())
        if step.action.name == action and step.keywords.every is None and (path.stem, step.keywords.name) not in ONCE
    ]
    assert not hasty

"""No shipped drill depends on how fast the machine is: whether a service is up is waited for, not asked once."""

from pathlib import Path

import pytest

from drillbook.plan.spec import load
from tests.examples import drill_files

DRILLS = Path(__file__).parents[2] / "drills"
SHIPPED = drill_files(DRILLS, DRILLS / "handbook")
WITHOUT_TREES = DRILLS / "none"
"""No folder of diagnosis trees: loading them takes most of the time."""
AWAITED = {"ready": "http.responds", "detect": "service.status", "verify": "http.responds"}
"""Answers of a service, and what its manager notices by itself; after a step that starts it, its unit runs for certain."""
ONCE = {("memory-leak", "Its memory stays where it is"), ("host-faults", "The service manager sees nothing")}
"""Looks at what must be so all along."""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_whether_a_service_is_up_is_waited_for(path):
    hasty = [
        (step.place.line, step.keywords.name)
        for phase, action in AWAITED.items()
        for step in load(path, WITHOUT_TREES).phases.get(phase, ())
        if step.action.name == action and step.keywords.every is None and (path.stem, step.keywords.name) not in ONCE
    ]
    assert not hasty

"""Contract of systems: every built-in system fulfils it."""

from pathlib import Path

import pytest

from drillbook.sdk import discovery
from drillbook.sdk.contract import problems

DRILLS = Path(__file__).parents[2] / "drills"
SYSTEMS = {system.name: system for system in discovery.systems() if system.package.startswith(discovery.BUILT_IN)}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_built_in_system_holds_the_contract(name):
    assert problems(SYSTEMS[name], DRILLS) == []

"""Name of the machine that runs Drillbook. The models of plans need this name, but no inventory."""

from __future__ import annotations

CONTROLLER = "controller"
"""Name of the machine that runs Drillbook. It is a host of every inventory."""

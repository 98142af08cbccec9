"""Runs whose anchors may fail."""

from __future__ import annotations

from drillbook.cli.orchestration import Orchestrator
from drillbook.plan import planner, spec
from drillbook.project.project import Project


def conducted(bench):
    """Run the drill of the bench once more. Return the orchestrator, which knows which anchors failed."""
    orchestrator = Orchestrator(Project(bench.root), bench.inventory, lambda event: None)
    orchestrator.run(planner.make(spec.load(bench.root / "drills" / "sample.yml"), bench.inventory))
    return orchestrator

"""A drill whose controller dies: SIGKILL ends the process right after one event of its journal was written.

``python -m tests.matrix.dying DRILL.yml`` runs the drill to its end; ``python -m tests.matrix.dying DRILL.yml KIND
PLACE N`` dies after the N-th event of that kind at that place; ``python -m tests.matrix.dying --recover RUN KIND
PLACE N`` recovers a run and dies in the middle of this.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from drillbook.cli.access import connect, redactor_for
from drillbook.cli.orchestration import Orchestrator
from drillbook.cli.run_identity import header, operator
from drillbook.engine.recovery import Recovery
from drillbook.journal.journal import Event
from drillbook.plan.planner import make
from drillbook.plan.spec import Drill, load
from drillbook.project.project import Project
from tests.matrix.points import place_of


def dying(kind: str, place: str, nth: int) -> Callable[[Event], None]:
    """Observer that kills this process after the ``nth`` event of ``kind`` at ``place``."""
    seen = 0
    lock = threading.Lock()

    def observe(event: Event) -> None:
        nonlocal seen
        if event.kind == kind and place_of(event) == place:
            with lock:
                seen += 1
                if seen == nth:
                    os.kill(os.getpid(), signal.SIGKILL)

    return observe


def main() -> None:
    """Run to the chosen point, or to the end."""
    recovering = sys.argv[1] == "--recover"
    what, *point = sys.argv[2:] if recovering else sys.argv[1:]
    observer = dying(point[0], point[1], int(point[2])) if point else lambda event: None
    project = Project.here()
    if recovering:
        recovery = Recovery(project.run(what), lambda plan, name: connect(plan.inventory, name), redactor_for, observer)
        recovery.run(header(operator()))
        return
    drill = load(Path(what))
    assert isinstance(drill, Drill)
    inventory = project.inventory("lab")
    Orchestrator(project, inventory, observer).run(make(drill, inventory))


if __name__ == "__main__":
    main()

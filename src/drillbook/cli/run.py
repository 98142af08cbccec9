"""Runs drills and suites, and prints their progress to the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from drillbook.cli import access, earlier_durations, labs, needed_extras, write_metrics
from drillbook.cli.orchestration import Orchestrator
from drillbook.cli.render import shown_path
from drillbook.cli.run_output import Manner, Teller, tell_held, tell_missed
from drillbook.engine.stop_requests import Held, Stop
from drillbook.errors import NOTHING_RUN, UsageError
from drillbook.inventory.inventory import Inventory
from drillbook.journal.run_files import PAGE
from drillbook.judge.result import RunView
from drillbook.plan.planner import Plan
from drillbook.plan.spec import Suite
from drillbook.project import planning, settings
from drillbook.project.project import Project


def drill(
    project: Project,
    name: str,
    inventory_name: str,
    manner: Manner = Manner.BRIEF,
    confirm: str = "",
    *,
    held: Held | None = None,
) -> int:
    """Run a drill or a suite, and print its progress to the terminal. Returns the exit status.

    ``held``: object that delays signals such as SIGTERM while reports are written. It tells the caller whether a signal
    arrived.
    """
    teller = Teller(manner, inventory_name)
    with _before_the_run():
        settings.load(project.root)
        loaded = planning.load(project, name, inventory_name)
        inventory = inventory_of(project, inventory_name, teller.note)
    held = held or Held(tell_held)
    with held.back(Stop()):
        last_s = partial(earlier_durations.phases_of_last, project)
        with teller.watching(suite=isinstance(loaded, Suite), last_s=last_s) as observer:
            orchestrator = Orchestrator(project, inventory, observer, confirm, named=inventory_name, held=held)
            with _before_the_run():
                plans = orchestrator.plans(loaded)
                needed_extras.require(plans, project.root)
                access.require_secrets(plans)
            if isinstance(loaded, Suite):
                return _suite(orchestrator, loaded, plans, teller)
            folder, view = orchestrator.run(plans[0])
        write_metrics.refresh(project)
        tell_missed(orchestrator.missed)
        teller.end(view, shown_path(folder / PAGE), newest=True)
        held.complete()
    return view.result.exit


@contextmanager
def _before_the_run() -> Iterator[None]:
    """Add a last line to the message of each UsageError in the ``with`` block. The line tells that no drill was run."""
    try:
        yield
    except UsageError as error:
        error.closing = NOTHING_RUN
        raise


def _suite(orchestrator: Orchestrator, suite: Suite, plans: Sequence[Plan], teller: Teller) -> int:
    views: list[RunView] = []
    teller.expect(len(plans))

    def between(view: RunView) -> None:
        views.append(view)
        teller.between(view)

    folder, result = orchestrator.run_suite(suite, plans, between)
    write_metrics.refresh(orchestrator.project)
    tell_missed(orchestrator.missed)
    teller.end_suite(result, views, shown_path(folder / PAGE))
    return result.exit


def inventory_of(project: Project, name: str, note: Callable[[str], None]) -> Inventory:
    """Load the inventory ``name``. If this inventory describes a lab that is not running, start the lab first."""
    inventory = project.inventory(name)
    if not inventory.lab:
        return inventory
    labs.started(project, inventory.lab, lambda text: note(f"lab: {text}"))
    return project.inventory(name)

"""The invoke tasks. ``tasks.py`` of a project names this namespace; the program ``drillbook`` runs the same tasks."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.program import Program
from invoke.tasks import task

from drillbook import __version__
from drillbook.errors import DrillbookError
from drillbook.project import Project

P = ParamSpec("P")


def told(body: Callable[P, int | None]) -> Callable[P, None]:
    """End a task with the exit status that ``body`` returns; a person's mistake gives its message, no traceback."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            status = body(*args, **kwargs) or 0
        except DrillbookError as error:
            raise Exit(f"error: {error}", code=error.exit_status) from None
        except KeyboardInterrupt:
            raise Exit("stopped", code=4) from None
        if status:
            raise Exit(code=status)

    return run


INVENTORY = {"inventory": "name of a file in inventory/, or a path (default: lab)"}


@task(default=True, positional=["name"], help={"name": "drill or suite", **INVENTORY})
@told
def drill(_: Context, name: str, inventory: str = "lab") -> int:
    """Run a drill or a suite; the exit status is its verdict's."""
    from drillbook import desk  # noqa: PLC0415  keeps `drill.list` fast

    return desk.drill(Project.here(), name, inventory)


@task(name="list")
@told
def list_(_: Context) -> int:
    """What drills there are, and how each last ended."""
    from drillbook import listing  # noqa: PLC0415  keeps start-up fast

    return listing.drills(Project.here())


@task(positional=["name"], help={"name": "drill or suite", **INVENTORY})
@told
def plan(_: Context, name: str, inventory: str = "lab") -> int:
    """Show what a drill would do: hosts, steps, effects. Touches nothing."""
    from drillbook import listing  # noqa: PLC0415  keeps start-up fast

    return listing.plans(Project.here(), name, inventory)


@task(positional=["run"], optional=["run"], help={"run": "name of a run; default: every unfinished one"})
@told
def recover(_: Context, run: str = "") -> int:
    """Put back what a dead run left, from its journal alone."""
    from drillbook import desk  # noqa: PLC0415  keeps start-up fast

    return desk.recover(Project.here(), run)


@task(default=True, positional=["run"], optional=["run"], help={"run": "name of a run; default: the newest"})
@told
def report(_: Context, run: str = "") -> int:
    """Render a run's reports again from its journal."""
    from drillbook import desk  # noqa: PLC0415  keeps start-up fast

    return desk.report(Project.here(), run)


@task(positional=["run"], optional=["run"], help={"run": "name of a run; default: the newest"})
@told
def verify(_: Context, run: str = "") -> int:
    """Check the hash chain of a run's journal."""
    from drillbook import desk  # noqa: PLC0415  keeps start-up fast

    return desk.verify(Project.here(), run)


@task(positional=["name"], optional=["name"], help={"name": "an action or a probe; default: all"})
@told
def actions(_: Context, name: str = "") -> int:
    """Reference of actions and probes."""
    from drillbook import listing  # noqa: PLC0415  keeps start-up fast

    return listing.actions(name)


@task
@told
def up(_: Context) -> int:
    """Start the embedded lab, or use the one that runs."""
    from drillbook import desk  # noqa: PLC0415  the lab is an extra

    return desk.lab_up(Project.here())


@task
@told
def down(_: Context) -> int:
    """Stop the embedded lab and remove all that it made."""
    from drillbook import desk  # noqa: PLC0415  the lab is an extra

    return desk.lab_down(Project.here())


@task
@told
def status(_: Context) -> int:
    """What of the embedded lab runs."""
    from drillbook import desk  # noqa: PLC0415  the lab is an extra

    return desk.lab_status(Project.here())


@task
def test(context: Context) -> None:
    """Run the tests (for people who work on Drillbook)."""
    context.run(f"{sys.executable} -m pytest", pty=sys.stdout.isatty())


@task
def check(context: Context) -> None:
    """Run ruff and mypy (for people who work on Drillbook)."""
    context.run(f"{sys.executable} -m ruff check .")
    context.run(f"{sys.executable} -m mypy")


def namespace() -> Collection:
    """All tasks: `drill`, `drill.list`, `report`, `lab.up` and so on."""
    root = Collection()
    groups: dict[str, list[Any]] = {
        "drill": [drill, list_, plan, recover], "report": [report, verify], "lab": [up, down, status]}
    for name, tasks in groups.items():
        inner = Collection(name)
        for one in tasks:
            inner.add_task(one)
        root.add_collection(inner)
    others: list[Any] = [actions, test, check]
    for one in others:
        root.add_task(one)
    root.configure({"run": {"echo": False}})
    return root


def main() -> None:
    """The program ``drillbook``: the same tasks in any folder that holds ``drills/`` and ``inventory/``."""
    Program(name="drillbook", binary="drillbook", version=__version__, namespace=namespace()).run()




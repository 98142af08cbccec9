"""The task ``catalog``. It lists the shipped drills, suites, trees, rules and lab files. `init --with` copies them into
a project.
"""

from __future__ import annotations

from invoke.context import Context

from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, told


@task(
    help={
        "for_": "list only entries for this kind of service or backup, such as postgres or restic",
        "faults": "list only entries that break something and then restore it",
        "json": "print the entries as JSON",
    }
)
@told(Dry.READS)
def catalog(_: Context, for_: str = "", faults: bool = False, json: bool = False) -> int:
    """List the shipped drills, suites and trees: purpose, needs, duration. `init --with NAME` copies them into a project."""
    from drillbook.cli import show_catalog  # noqa: PLC0415  keeps start-up fast

    return show_catalog.catalog(for_, faults=faults, as_json=json)

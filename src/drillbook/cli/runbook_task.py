"""The task ``runbook``; the module ``cli.make_runbook`` implements it."""

from __future__ import annotations

from invoke.context import Context

from drillbook.cli.current_project import here
from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import UsageError
from drillbook.project.project import names_hint


@task(
    klass=OptionalNameTask,
    positional=["name"],
    help={
        "name": "drill or suite",
        "inventory": "name of a file in inventory/, or a path (default: lab, or the only inventory)",
        "out": "file to write; default: standard output",
    },
)
@told(Dry.TELLS)
def runbook(context: Context, name: str | None = None, inventory: str = "", out: str = "") -> int:
    """Write the runbook of a drill: a page in Markdown with actions, hosts, expected results and undo of all steps."""
    from drillbook.cli import dry_run  # noqa: PLC0415  keeps start-up fast
    from drillbook.cli import make_runbook as view  # noqa: PLC0415  keeps start-up fast

    project = here()
    if not name:
        raise UsageError("the name of a drill or suite is missing", hint=names_hint(project.drill_names()))
    if is_dry(context):
        return dry_run.tell(f"would write the runbook of {name} to {out or 'standard output'}")
    return view.export(project, name, project.inventory_name(inventory), out)

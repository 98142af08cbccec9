"""The task ``drill.recover``; the modules ``cli.recover`` and ``cli.close_residue`` implement it."""

from __future__ import annotations

from invoke.context import Context

from drillbook.cli.current_project import of_runs
from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import UsageError

RUN = "name of a run, beginning of this name, or name of a drill (selects its newest run)"


@task(
    klass=OptionalNameTask,
    positional=["run"],
    help={
        "run": f"{RUN}; default: every unfinished run",
        "from_backup": (
            "restore lost data from the backup that the run verified, with the system's restore action "
            "instead of the drill's own steps"
        ),
        "settled": "undo nothing, and record in the journal that the remaining changes of the run need no undo",
        "reason": "with --settled: reason why the remaining changes need no undo",
        "verbose": "print one line for each step, and the whole result of each run",
    },
)
@told(Dry.TELLS)
def recover(
    context: Context,
    run: str | None = None,
    *,
    from_backup: bool = False,
    settled: bool = False,
    reason: str = "",
    verbose: bool = False,
) -> int:
    """Undo the changes that the journal of a dead run lists. With --settled, close the run instead of undoing them."""
    from drillbook.cli import close_residue, dry_run  # noqa: PLC0415  keeps start-up fast
    from drillbook.cli import recover as work  # noqa: PLC0415  keeps start-up fast
    from drillbook.cli.run_output import Manner  # noqa: PLC0415  keeps start-up fast

    if from_backup and settled:
        raise UsageError("--from-backup and --settled exclude each other")
    if reason and not settled:
        raise UsageError("--reason needs --settled", hint="invoke drill.recover RUN --settled --reason TEXT")
    if is_dry(context):
        return dry_run.recover(of_runs(), run or "", closes=settled, from_backup=from_backup)
    manner = Manner.FULL if verbose else Manner.BRIEF
    if settled:
        return close_residue.settle(of_runs(), run or "", reason, manner)
    return work.recover(of_runs(), run or "", from_backup=from_backup, manner=manner)

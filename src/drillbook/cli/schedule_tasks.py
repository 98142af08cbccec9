"""The tasks ``drill.due`` and ``schedule.*``; the modules ``cli.due``, ``cli.scheduled`` and ``cli.timers`` implement them."""

from __future__ import annotations

from invoke.context import Context

from drillbook.cli.console import stdout
from drillbook.cli.current_project import here
from drillbook.cli.optional_names import OptionalNameTask
from drillbook.cli.task_class import task
from drillbook.cli.task_exit import Dry, is_dry, told
from drillbook.errors import UsageError
from drillbook.exits import Exit

INVENTORY = {"inventory": "name of a file in inventory/, or a path (default: lab, or the only inventory)"}
KINDS = {"systemd": "a user timer of systemd", "cron": "an entry in your crontab"}


@task(
    help={
        "environment": "show only this environment; default: all environments of inventories and runs",
        "all": "list every drill, also those that are not due",
        "json": "print the whole result as JSON",
    }
)
@told(Dry.TELLS)
def due(context: Context, environment: str = "", all: bool = False, json: bool = False) -> int:  # noqa: A002  the name of the flag
    """Show drills and services that are due, overdue or never passed. Exit 0, 1 (overdue or never passed), 3 (unreadable file)."""
    from drillbook.cli import due as view  # noqa: PLC0415  keeps start-up fast

    return view.show(here(), environment=environment, everything=all, as_json=json, dry=is_dry(context))


@task(name="run", help=INVENTORY)
@told(Dry.TELLS)
def run_due(context: Context, inventory: str = "") -> int:
    """Start the drills that are due and may begin now, and report missed drills. A timer should call this task."""
    from drillbook.cli import dry_run, scheduled  # noqa: PLC0415  keeps start-up fast

    project = here()
    inventory = project.inventory_name(inventory)
    if is_dry(context):
        return dry_run.tell(*(f"would start {name}" for name in scheduled.pending(project, inventory)))
    return scheduled.tick(project, inventory)


@task(help={**INVENTORY, **KINDS})
@told(Dry.TELLS)
def install(context: Context, inventory: str = "", systemd: bool = False, cron: bool = False) -> int:
    """Install a timer of this inventory, with systemd or cron, for this user. The timer starts the drills that are due."""
    from drillbook.cli import dry_run, timers  # noqa: PLC0415  keeps start-up fast

    project = here(spare=True)
    root = project.root.resolve()
    named = project.inventory_name(inventory)
    # Only the existence of the file is checked. A file that cannot be read is reported by `schedule.run`, on standard error
    # and in reports/schedule.jsonl, but to no contact, because the contacts are in this file.
    project.inventory_path(named)
    inventory = timers.inventory_of(root, named)
    if systemd == cron:
        raise UsageError("choose either --systemd or --cron", hint="invoke schedule.install --systemd")
    if is_dry(context):
        shown = [f"{path}:\n{text}" for path, text in timers.units(root, inventory).items()] + [timers.LINGER]
        return dry_run.tell(*(shown if systemd else [timers.cron_line(root, inventory)]))
    lines = timers.install_systemd(root, inventory) if systemd else timers.install_cron(root, inventory)
    return _say(lines)


@task(help={"inventory": "inventory whose timer to remove; default: the timers of all inventories", **KINDS})
@told(Dry.TELLS)
def remove(context: Context, inventory: str = "", systemd: bool = False, cron: bool = False) -> int:
    """Remove the timers of this project from systemd or cron. Without an option, all its timers are removed from both."""
    from drillbook.cli import dry_run, timers  # noqa: PLC0415  keeps start-up fast

    root = here(spare=True).root.resolve()
    both = systemd == cron
    inventory = timers.inventory_of(root, inventory)
    if is_dry(context):
        whose = timers.name(root, inventory) if inventory else f"{timers.family(root)} of every inventory"
        return dry_run.tell(f"would remove the timer {whose}")
    lines = timers.remove_systemd(root, inventory) if systemd or both else []
    if cron or (both and timers.has_cron()):
        lines += timers.remove_cron(root, inventory)
    return _say(lines or [f"there is no timer of this project{inventory and f' for the inventory {inventory}'}"])


@task(
    klass=OptionalNameTask,
    positional=["drill"],
    help={
        "drill": "name of a drill or suite whose file was removed; default: everything in the environment",
        "environment": "environment that no longer exists, or in which the drill no longer runs",
        "reason": "reason, which the audit shows",
    },
)
@told(Dry.TELLS)
def retire(context: Context, drill: str | None = None, environment: str = "", reason: str = "") -> int:
    """Record that a drill or an environment no longer exists, so that it is no longer reported as missing."""
    from drillbook.cli import retire  # noqa: PLC0415  keeps start-up fast

    return retire.retire(here(), drill or "", environment, reason, dry=is_dry(context))


def _say(lines: list[str]) -> int:
    stdout().write("".join(f"{line}\n" for line in lines))
    return Exit.OK

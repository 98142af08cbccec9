"""Checks a drill, or every drill of a suite, and prints the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rich.console import Console
from rich.text import Text

from drillbook.cli import check, labs, needed_extras, sudoers
from drillbook.cli.ask_trust import left_out, told
from drillbook.cli.check import Check
from drillbook.cli.console import console, print_json
from drillbook.cli.orchestration import Orchestrator
from drillbook.cli.run import inventory_of
from drillbook.cli.run_output import ignore
from drillbook.errors import SecretError
from drillbook.exits import Exit
from drillbook.plan import needed_services
from drillbook.plan.planner import Plan
from drillbook.project import planning, settings
from drillbook.project.project import Project
from drillbook.report.figures import count, shown
from drillbook.report.terminal.event_lines import Progress
from drillbook.report.terminal.prose import Prose
from drillbook.sdk.action import find
from drillbook.sdk.backup_source import NEEDED, UNFIT
from drillbook.sdk.custom_step import Free
from drillbook.trust.items import Item
from drillbook.trust.trust_state import Trust

NO_LAB = "the Docker lab was not started: its files are not trusted"


def show(project: Project, name: str, inventory_name: str, *, as_json: bool = False) -> int:
    """Check whether a drill, or every drill of a suite, could begin now. Returns 0 when it could begin, and 4 when it would be
    refused. Returns 3 when the check cannot decide this, or when the drill cannot run on this machine. Returns 2, like a run,
    when a secret or an extra of the Python package is missing.

    When ``as_json`` is True, the results are printed as JSON, and other messages to standard error.
    """
    settings.load(project.root)
    loaded, out, trust = planning.load(project, name, inventory_name), console(aside=as_json), Trust(project, inventory_name)
    inventory = project.inventory(inventory_name)
    if inventory.lab == "docker" and not labs.docker_stands(project) and (items := trust.of_lab(inventory)):
        left_out(items, trust.doubt, out)
        if as_json:
            print_json([_data(name, Check(NO_LAB, (), Exit.UNVERIFIED), items)])
        return Exit.UNVERIFIED
    inventory = inventory_of(project, inventory_name, lambda text: out.print(Text(text, style="dim")))
    trust.bar(inventory)
    status, rows = 0, []
    orchestrator = Orchestrator(project, inventory, ignore, confirm=None)
    for plan in orchestrator.plans(loaded):
        if not as_json:
            out.print(Text(f"{plan.drill}: {shown(plan.title)}", style="bold"))
        items, missing = trust.of_plan(plan), needed_extras.lacking([plan], project.root)
        recorded = partial(sudoers.of_last_run, project, plan)
        observer = ignore if as_json else Progress(out)
        checked = check.check(
            plan, observer, orchestrator.allowed(plan)[0], items, recorded, missing=missing, runs=project.runs
        )
        checked = replace(checked, notes=(*checked.notes, *_of_timer(project)))
        status = max(status, checked.exit)
        rows.append(_data(plan.drill, checked, items))
        if not as_json:
            _print(plan, checked, items, trust.doubt, out)
    if as_json:
        print_json(rows)
    return status


def _of_timer(project: Project) -> list[str]:
    """Return a remark if the URL of the heartbeat cannot be read, because `schedule.run` then starts nothing."""
    try:
        settings.usable(project.root)
    except SecretError as error:
        return [f"a timer would start nothing: {error.message}"]
    return []


def _data(drill: str, checked: Check, items: Sequence[Item]) -> dict[str, Any]:
    return {
        "drill": drill,
        "ready": checked.ready,
        "exit": int(checked.exit),
        "message": checked.message,
        "findings": list(checked.findings),
        "left_out": [*map(told, items), *checked.beside],
        "unverified": list(checked.unverified),
        "notes": list(checked.notes),
    }


def _print(plan: Plan, checked: Check, items: Sequence[Item], doubt: str, out: Console) -> None:
    for line in checked.notes:
        out.print(Prose(Text(line, style="dim"), 2))
    if checked.ready:
        hosts = ", ".join(plan.hosts())
        text = (
            f"✓ the drill could begin now; checked: {count(len(plan.hosts()), 'host')} ({hosts}), {count(len(plan.probes), 'probe')} "
            f"and {count(len(plan.steps), 'step')}; {_told_commands(plan)}"
        )
        out.print(Prose(Text(text, style="green"), 2))
        return
    if items:
        left_out(items, doubt, out)
        for line in checked.beside:
            out.print(
                Text(f"    {line}: this step was left out too, because it uses results of a step above"), soft_wrap=True
            )
    for line in checked.unverified:
        out.print(Prose(Text(f"? not verified: {line}", style="yellow"), 2))
    lacking = next((word for word in (NEEDED, UNFIT) if any(word in line for line in checked.unverified)), "")
    refused = checked.exit == Exit.REFUSED
    if checked.unusable:
        text = f"✗ the drill would end with exit {Exit.USAGE} before it begins: an extra or a secret is missing"
        out.print(Prose(Text(text, style="bold red"), 2))
        return
    said = _unready(refused=refused, left=bool(items), alone=not checked.message, lacking=lacking)
    out.print(Prose(said, 2))


def _unready(*, refused: bool, left: bool, alone: bool, lacking: str) -> Text:
    """Return the last line to print about a drill that is not ready. ``left``: True when the check left out untrusted
    commands. ``alone``: True when no check failed, but something could not be verified. ``lacking``: NEEDED when a backup
    that the drill needs was not found; UNFIT when a backup was found that would make the drill fail; otherwise empty.
    """
    if refused:
        return Text("✗ the drill would be refused", style="bold red")
    if lacking:
        why = "a backup that the drill needs was not found"
        if lacking != NEEDED:
            why = "a backup that the drill uses would make the drill fail"
        return Text(f"✗ {why}, so the drill cannot pass now", style="bold red")
    if left:
        return Text("? it is unknown if the drill could begin now", style="bold yellow")
    if alone:
        return Text("? everything that could be checked is ready, and the drill could begin now", style="bold yellow")
    return Text("✗ the drill would not be run here", style="bold red")


def _told_commands(plan: Plan) -> str:
    """Return a text which says that Drillbook changed nothing. If the check ran commands of the project, the text also lists
    these commands, because they may have changed something.
    """
    looked = [*plan.phase("ready"), *(condition.step for condition in plan.guard.conditions if condition.step)]
    ran = [f"{step.action} ({step.id})" for step in looked if issubclass(find(step.action), Free)]
    used = needed_services.of_plan(plan)
    ran += [f"backups.{key}.at" for key in sorted(used) if getattr(plan.inventory.services.get(key), "only_reads", None)]
    secrets = {**plan.inventory.secrets_of(used), **plan.inventory.secrets_of_hosts()}
    ran += [secret.of for secret in secrets.values() if secret.source == "command"]
    return f"Drillbook changed nothing, but ran commands of the project: {', '.join(ran)}" if ran else "nothing was changed"

"""Tables for the terminal: drills, plans, actions, the lab. Reads files only; no host is contacted."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from drillbook.action import Action, find, known_names
from drillbook.errors import DrillbookError, UnknownName
from drillbook.project import Project
from drillbook.strict import did_you_mean

if TYPE_CHECKING:
    from drillbook.plan import Plan

WORDS = {"passed": "green", "failed": "red", "inconclusive": "yellow", "refused": "yellow", "aborted": "yellow"}


def console() -> Console:
    """The terminal, or plain lines of 100 columns where there is none."""
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 100)


def drills(project: Project) -> int:
    """Every drill and suite with its title and how it last ended."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("drill", "title", "last run (UTC)", "verdict"):
        table.add_column(column, no_wrap=column != "title")
    last = _last(project)
    for name in project.drill_names():
        result = last.get(name)
        try:
            title = _title(project, name)
        except DrillbookError as error:
            title = f"cannot be read: {error.message}"
        verdict = f"{result['verdict']}{' + residue' if result['exit'] == 5 else ''}" if result else "never"
        table.add_row(name, title, result["started"][:16].replace("T", " ") if result else "-",
                      Text(verdict, style=WORDS.get(result["verdict"], "") if result else "dim"))
    out = console()
    out.print(table)
    unfinished = [folder.name for folder in project.runs() if not (folder / "result.json").exists()]
    if unfinished:
        out.print(Text(f"unfinished: {', '.join(unfinished)}", style="bold red"))
        out.print("put back what they left: invoke drill.recover")
    return 0


def _title(project: Project, name: str) -> str:
    """Title of a drill: only this one line is read, so that the list stays fast."""
    for line in project.drill_names()[name].read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("title:"):
            return line.removeprefix("title:").strip().strip("\"'")
    return ""


def _last(project: Project) -> dict[str, dict[str, Any]]:
    """The newest result of each drill and suite."""
    last: dict[str, dict[str, Any]] = {}
    paths = [*project.reports.glob("*/result.json"), *project.reports.glob("*/*/result.json")]
    for path in sorted((path for path in paths if "latest" not in path.parts), key=lambda path: path.parent.name):
        result = json.loads(path.read_text(encoding="utf-8"))
        last[result.get("drill") or result["suite"]] = result
    return last


def plans(project: Project, name: str, inventory: str) -> int:
    """The plan of a drill or of each drill of a suite."""
    from drillbook import plan  # noqa: PLC0415  loads every action that is named
    from drillbook.spec import Drill, Suite  # noqa: PLC0415

    found = project.drill(name)
    names = found.drills if isinstance(found, Suite) else (name,)
    loaded = project.inventory(inventory)
    out = console()
    for one in names:
        drill = project.drill(one)
        if isinstance(drill, Drill):
            _plan(plan.make(drill, loaded), out)
    return 0


def _plan(plan: Plan, out: Console) -> None:
    out.print(Text(f"{plan.drill}: {plan.title}", style="bold"))
    allowed = plan.inventory.environment in plan.environments
    where = f"on {plan.inventory.environment}" if allowed else (
        f"REFUSED on {plan.inventory.environment}: the drill may run in {', '.join(plan.environments)}")
    out.print(f"  {where}; plan {plan.digest}", soft_wrap=True)
    goals = ", ".join(f"{key} {value:g} s" for key, value in plan.objectives.items()) or "none"
    out.print(f"  objectives: {goals}; probes: {', '.join(probe.name for probe in plan.probes) or 'none'}")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("step", "action", "hosts", "effect", "undo", "timeout"):
        table.add_column(column)
    for step in plan.steps:
        undo = {"read": "-", "write": "if any", "fault": "restore only" if step.restore_only else "yes"}[step.effect]
        style = {"fault": "red", "write": "yellow"}.get(step.effect, "")
        table.add_row(step.id, step.action, ", ".join(step.hosts), Text(step.effect, style=style), undo,
                      f"{step.timeout_s:g} s")
    out.print(table)
    out.print()


def actions(name: str) -> int:
    """One action or probe with its parameters, or all of them."""
    from drillbook.probe import Probe  # noqa: PLC0415

    packages: list[tuple[str, type[Any]]] = [("drillbook.actions", Action), ("drillbook.probes", Probe)]
    out = console()
    if name:
        for package, kind in packages:
            if name in known_names(package, kind):
                _action(find(name, package, kind), out)
                return 0
        every = [known for package, kind in packages for known in known_names(package, kind)]
        raise UnknownName(f"there is no action or probe {name!r}", hint=f"{did_you_mean(name, every)}see `invoke actions`")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "kind", "what it does"):
        table.add_column(column, no_wrap=column != "what it does")
    for package, kind in packages:
        for known in known_names(package, kind):
            found = find(known, package, kind)
            effect = found.EFFECT if kind is Action else "probe"
            table.add_row(known, effect, (found.__doc__ or "").strip().splitlines()[0])
    out.print(table)
    return 0


def _action(found: type[Any], out: Console) -> None:
    out.print(Text(found.name(), style="bold"))
    out.print((found.__doc__ or "").strip())
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("parameter", "default", "meaning"):
        table.add_column(column)
    for key, info in found.model_fields.items():
        default = "required" if info.is_required() else str(info.get_default(call_default_factory=True))
        table.add_row(info.alias or key, default, info.description or "")
    out.print(table)


def lab(status: Any, out: Console) -> int:
    """What of the lab runs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("part", "state", "port", "pid"):
        table.add_column(column)
    for part in status.components:
        table.add_row(part.name, Text("up" if part.up else "down", style="green" if part.up else "red"),
                      str(part.port or "-"), str(part.pid or "-"))
    out.print(table)
    return 0

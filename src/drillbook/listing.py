"""Tables for the terminal: drills, plans, actions, the lab. Reads files only; no host is contacted."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from drillbook.action import Action, Effect, find, known_names
from drillbook.console import console, stdout
from drillbook.errors import UnknownName
from drillbook.host import shown
from drillbook.project import Project
from drillbook.report.figures import one_line
from drillbook.strict import did_you_mean

if TYPE_CHECKING:
    from drillbook.plan import Plan, PlannedStep

WORDS = {"passed": "green", "failed": "red", "inconclusive": "yellow", "refused": "yellow", "aborted": "yellow"}
UNDO = {Effect.READ: "nothing: it only looks", Effect.WRITE: "nothing is known to be needed"}


def drills(project: Project) -> int:
    """Every drill and suite with its title, how it last ended, and when it last passed."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("drill", "last run (UTC)", "verdict"):
        table.add_column(column, no_wrap=True)
    table.add_column("title")
    last, passed = _last(project)
    for name in project.drill_names():
        result = last.get(name)
        try:
            title, suite = _title(project, name)
        except OSError as error:
            title, suite = f"cannot be read: {error.strerror}", False
        verdict = f"{result['verdict']}{' + residue' if result['exit'] == 5 else ''}" if result else "never run"
        shape = Text(verdict, style=WORDS.get(result["verdict"], "") if result else "dim")
        when = Text(_when(result))
        if name in passed and passed[name] is not result:
            when.append(f"\n{_when(passed[name])}", style="dim")
            shape.append("\nlast passed", style="dim")
        table.add_row(Text(name + (" (suite)" if suite else "")), when, shape, Text(one_line(title)))
    out = console()
    out.print(table)
    unfinished = [folder.name for folder in project.runs() if not (folder / "result.json").exists()]
    if unfinished:
        out.print()
        for name in unfinished:
            out.print(Text(f"✗ unfinished: {name}", style="bold red"), soft_wrap=True)
        out.print("put back what they left: invoke drill.recover")
    return 0


def _when(result: dict[str, Any] | None) -> str:
    return str(result["started"])[:16].replace("T", " ") if result else "-"


def _title(project: Project, name: str) -> tuple[str, bool]:
    """Title of a drill, and whether it is a suite: only these lines are read, so that the list stays fast."""
    title, suite = "", False
    for line in project.drill_names()[name].read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("title:"):
            title = line.removeprefix("title:").strip().strip("\"'")
        suite = suite or line.startswith("suite:")
    return title, suite


def _last(project: Project) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The newest result of each drill and suite, and the newest that passed."""
    last: dict[str, dict[str, Any]] = {}
    passed: dict[str, dict[str, Any]] = {}
    paths = [*project.reports.glob("*/result.json"), *project.reports.glob("*/*/result.json")]
    for path in sorted((path for path in paths if "latest" not in path.parts), key=lambda path: path.parent.name):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            name = str(result.get("drill") or result["suite"])
            last[name] = {"verdict": str(result["verdict"]), "started": str(result["started"]), "exit": result["exit"]}
        except (OSError, ValueError, KeyError, AttributeError):
            continue  # a damaged result: `invoke report RUN` makes it again from the journal
        if last[name]["verdict"] == "passed" and not last[name]["exit"]:
            passed[name] = last[name]
    return last, passed


def plans(project: Project, name: str, inventory: str, *, as_json: bool = False) -> int:
    """The plan of a drill or of each drill of a suite."""
    from drillbook import plan  # noqa: PLC0415  loads every action that is named
    from drillbook.spec import Drill, Suite  # noqa: PLC0415

    found = project.drill(name)
    names = found.drills if isinstance(found, Suite) else (name,)
    loaded = project.inventory(inventory)
    made = [plan.make(drill, loaded) for one in names if isinstance(drill := project.drill(one), Drill)]
    if as_json:
        values = [{"digest": one.digest, **one.model_dump(mode="json")} for one in made]
        stdout().write(json.dumps(values[0] if isinstance(found, Drill) else values, indent=2) + "\n")
        return 0
    out = console()
    for one in made:
        _plan(one, out)
    return 0


def _plan(plan: Plan, out: Console) -> None:
    out.print(Text(f"{plan.drill}: {one_line(plan.title)}", style="bold"))
    allowed = plan.inventory.environment in plan.environments
    where = Text(f"on {plan.inventory.environment}") if allowed else Text(
        f"REFUSED on {plan.inventory.environment}: the drill may run in {', '.join(plan.environments)}", style="bold red")
    goals = ", ".join(f"{key} {value:g} s" for key, value in plan.objectives.items()) or "none"
    probes = ", ".join(probe.name for probe in plan.probes) or "none"
    for line in (where, Text(f"plan {plan.digest}"), Text(f"objectives: {goals}; probes: {probes}")):
        out.print(Padding(line, (0, 0, 0, 2), expand=False))
    phase = ""
    for step in plan.steps:
        if step.phase != phase:
            phase = step.phase
            out.print(Text(f"  {phase}", style="bold cyan"))
        _step(step, out)
    out.print()


def _step(step: PlannedStep, out: Console) -> None:
    """One step: what it does where, and how it is put back."""
    colour = {"fault": "red", "write": "yellow"}.get(step.effect, "dim")
    side = f", at once with the others of group {step.group}" if step.group is not None else ""
    head = Text.assemble(f"{step.id}  {step.action}", (f"  {step.name}" if step.name else "", "dim"))
    times = f"timeout {step.timeout_s:g} s" + (f", {step.retries} retries" if step.retries else "") + (
        f", every {step.every_s:g} s" if step.every_s else "")
    where = Text.assemble((step.effect.value, colour), f" on {', '.join(step.hosts)}; {times}{side}")
    out.print(Padding(head, (0, 0, 0, 4), expand=False))
    out.print(Padding(where, (0, 0, 0, 8), expand=False))
    if step.when:
        out.print(Padding(Text(f"only when {step.when}"), (0, 0, 0, 8), expand=False))
    if step.effect is not Effect.READ:
        out.print(Padding(Text(f"undo: {undo_text(step)}"), (0, 0, 0, 8), expand=False))


def undo_text(step: PlannedStep) -> str:
    """How a step is put back, as far as it can be said without asking a host."""
    if step.restore_only:
        return "restore only: nothing but the drill's restore phase mends it"
    declared = step.params.get("undo")
    if isinstance(declared, list | tuple):
        return shown(tuple(str(part) for part in declared), limit=300)
    said = (find(step.action).undo.__doc__ or "").strip().splitlines()
    return said[0] if step.effect is not Effect.READ and said else UNDO.get(step.effect, "")


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
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("name", "kind", "what it does"):
        table.add_column(column, no_wrap=column != "what it does")
    for package, kind in packages:
        for known in known_names(package, kind):
            found = find(known, package, kind)
            effect = found.EFFECT if kind is Action else "probe"
            table.add_row(known, effect, Text((found.__doc__ or "").strip().splitlines()[0]))
    out.print(table)
    return 0


def _action(found: type[Any], out: Console) -> None:
    out.print(Text(found.name(), style="bold"))
    out.print(Text(inspect.cleandoc(found.__doc__ or "")))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("parameter", "default", "meaning"):
        table.add_column(column)
    for key, info in found.model_fields.items():
        default = "required" if info.is_required() else str(info.get_default(call_default_factory=True))
        table.add_row(Text(info.alias or key), Text(default), Text(info.description or ""))
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

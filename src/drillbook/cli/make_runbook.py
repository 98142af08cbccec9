"""Makes the runbook of a drill from its plan. A runbook is a page in Markdown that describes the drill for people. No
host is contacted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drillbook.cli.console import stdout
from drillbook.cli.runbook_values import Values
from drillbook.cli.show_plan import undo_of
from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.installation.program_name import as_called, program
from drillbook.inventory.inventory import CONTROLLER as THIS_MACHINE
from drillbook.plan import guard, permitted
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.spec import Drill, Suite
from drillbook.project import planning
from drillbook.project.project import Project
from drillbook.report.figures import seconds
from drillbook.report.markdown_syntax import code, escape, table
from drillbook.report.next_steps import on, run_again
from drillbook.sdk import by_hand, manual_move
from drillbook.sdk.action import Effect, find
from drillbook.sdk.backup_source import BackupSource
from drillbook.sdk.host import Target, shown
from drillbook.sdk.manual_restore import CONTROLLER, Block, ManualRestore, ssh

PURPOSES = {
    "ready": "Check that the drill may begin",
    "backup": "Take or verify the backup",
    "inject": "Break the service",
    "detect": "Wait until monitoring reports the fault",
    "diagnose": "Find the cause",
    "restore": "Restore the service",
    "verify": "Verify that everything is back",
    "cleanup": "Clean up",
}
EFFECTS = {Effect.READ: "reads only", Effect.WRITE: "changes something on purpose", Effect.FAULT: "**breaks something**"}
COMMANDS = ("argv", "path", "playbook", "query", "statement", "sql")
"""Names of parameters that contain what a step executes, such as SQL. Each of them gets a separate line in the runbook."""


def export(project: Project, name: str, inventory: str, out: str = "") -> int:
    """Write the runbook of a drill, or the runbooks of all drills of a suite, to the file ``out``. When ``out`` is
    empty, write to standard output.
    """
    plannable = planning.load(project, name, inventory)
    names = plannable.drills if isinstance(plannable, Suite) else (name,)
    loaded = project.inventory(inventory)
    drills = [planning.load(project, drill, loaded) for drill in names]
    plans = [planning.plan(project, drill, loaded) for drill in drills if isinstance(drill, Drill)]
    text = "\n".join(page(plan, inventory) for plan in plans)
    if not out:
        stdout().write(text)
        return Exit.OK
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the runbook cannot be written to {out}: {error.strerror}", hint="name another file") from None
    return Exit.OK


def page(plan: Plan, inventory: str) -> str:
    """Return the runbook of ``plan`` as Markdown. It contains a box to tick for each step. ``inventory``: name of the
    inventory in the commands that the runbook shows.
    """
    values = Values(plan)
    parts = [
        f"# {escape(plan.title)}",
        escape(plan.description.strip()),
        table(("What", "Value"), list(_facts(plan, inventory))),
    ]
    parts += ["## People", table(("Name", "Role", "Duty", "Reach"), contacts)] if (contacts := list(_contacts(plan))) else []
    parts += ["## Before you begin", "\n".join(f"- [ ] {line}" for line in _before(plan, inventory))]
    for phase, purpose in PURPOSES.items():
        if steps := plan.phase(phase):
            parts += [f"## {purpose}", *(_step(step, plan, values) for step in steps)]
    parts += ["## If something goes wrong", "\n".join(f"- {line}" for line in _wrong(plan, inventory))]
    return as_called("\n\n".join(part for part in parts if part)) + "\n"


def _facts(plan: Plan, inventory: str) -> Iterator[tuple[str, str]]:
    yield "Drill", code(plan.drill)
    yield "Service", escape(plan.service)
    yield "Environment", escape(plan.inventory.environment)
    for key, target in plan.objectives.items():
        yield f"Objective: {key.upper() if key in ('rto', 'rpo') else key}", f"at most {seconds(target)}"
    yield "Runs by itself", code(run_again(program(), plan.drill, inventory))
    yield "Plan", code(plan.digest)


def _contacts(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    for name, contact in plan.inventory.contacts.items():
        owner = " (owner)" if name == plan.owner else ""
        reach = ", ".join(filter(None, (contact.phone, contact.email)))
        yield escape(f"{name}{owner}"), escape(contact.role), escape(contact.duty), escape(reach)


def _before(plan: Plan, inventory: str) -> Iterator[str]:
    places = permitted.named(plan.environments, plan.inventory.environment, plan.inventory.lab)
    yield f"The environment is one of: {escape(', '.join(places))}."
    if plan.guard.windows:
        yield f"The present time is in one of these windows: {escape('; or '.join(map(str, plan.guard.windows)))}."
    if guard.needs_approval(plan):
        yield f"A second person has approved this plan: {code(run_again(program(), plan.drill, inventory, task='drill.approve'))}."
    for condition in plan.guard.conditions:
        yield f"This condition holds, and continues to hold: {escape(condition.title)}. Otherwise stop."
    yield f"These hosts are reachable: {escape(', '.join(plan.hosts()))}."
    yield "No other drill or maintenance work uses these hosts."


def _wrong(plan: Plan, inventory: str) -> Iterator[str]:
    if any(step.effect is Effect.FAULT for step in plan.steps):
        yield "Undo the steps in reverse order. The undo of each step is described at the step."
    stop, recover = code(f"{program()} drill.stop{on(inventory)}"), code(f"{program()} drill.recover")
    yield f"If Drillbook ran this drill: {stop} stops the run, {recover} undoes the changes of a run that died."
    if plan.owner:
        yield f"Call the owner: {escape(plan.owner)}."


def _step(step: PlannedStep, plan: Plan, values: Values) -> str:
    action = find(step.action)
    title = step.name or (action.__doc__ or step.action).strip().splitlines()[0]
    lines = [f"- [ ] **{step.id}** {escape(title)}"]
    lines.append(f"  - {code(step.action)} on {escape(step.works_on(', '.join(step.hosts)))}; {EFFECTS[step.effect]}")
    if step.when:
        lines.append(f"  - only when {code(values.of(step.when))}")
    params = values.of(step.params)
    rest = {key: value for key, value in params.items() if value not in (None, "", [], {}) and key not in ("effect", "undo")}
    for key in [key for key in COMMANDS if key in rest]:
        value = rest.pop(key)
        words = tuple(map(str, value)) if isinstance(value, list | tuple) else None
        lines.append(f"  - {key}: {code(shown(words, limit=2000) if words else str(value))}")
    if rest:
        lines.append(f"  - {', '.join(f'{escape(key)}: {code(_text(value))}' for key, value in rest.items())}")
    if step.expect:
        lines.append(f"  - expected: {'; '.join(code(values.of(condition)) for condition in step.expect)}")
    if step.effect is not Effect.READ:
        known = isinstance(step.params.get("undo"), list | tuple)
        text = values.of(undo_of(step).text)
        lines.append(f"  - undo: {code(text) if known else escape(text)}")
    if noted := values.used_of(step.save or ""):
        lines.append(
            f"  - write down for later steps: {', '.join(f'{code(said)} (in expressions {code(name)})' for name, said in noted)}"
        )
    typed = list(_by_hand(step, plan)) or list(_by_command(step, plan, params))
    return "\n".join([*lines, *(typed or [_alone(step, plan)])])


def _by_command(step: PlannedStep, plan: Plan, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the commands with which a person does the step, as Markdown, for each host of the step."""
    hosts, service = plan.inventory.hosts, plan.inventory.services.get(str(params.get("service")))
    for name in step.hosts:
        host = by_hand.ManualStep(params, service, None, hosts).place or name if name == THIS_MACHINE else name
        manual = by_hand.ManualStep(params, service, plan.inventory.target(host), hosts, _folder(step, plan))
        if lines := by_hand.commands(step.action, manual):
            yield _typed(Block(CONTROLLER if host == THIS_MACHINE else host, step.become or "", lines), hosts, "by hand")


def _folder(step: PlannedStep, plan: Plan) -> str:
    """Return the folder into which a person restores the service of ``step`` with the commands of the last restore before it.
    The result is empty when no step before it has such commands.
    """
    service, earlier = step.params.get("service"), plan.steps[: plan.steps.index(step)]
    restores = [_restore(before, plan) for before in earlier if before.params.get("service") == service]
    return next((restore[1].folder for restore in reversed(restores) if restore), "")


def _restore(step: PlannedStep, plan: Plan) -> tuple[BackupSource, ManualRestore] | None:
    """Return what a person needs to know to restore the team's backup by hand: the source and the restore. The result is None
    if ``step`` restores no backup of the team.
    """
    services = {**plan.inventory.services, **plan.inventory.backups}
    source, target = services.get(str(step.params.get("from"))), services.get(str(step.params.get("service")))
    if step.action != "backup.restore" or not isinstance(source, BackupSource) or target is None:
        return None
    at = str(step.params.get("backup") or step.params.get("at") or "latest")
    return source, ManualRestore(plan.inventory.hosts, services, target, source.name, at)


def _alone(step: PlannedStep, plan: Plan) -> str:
    """Return the line for a step that a person cannot do with a single command. The line says what to do by hand. It also
    names the drill, because Drillbook does the same if the person runs the drill instead.
    """
    what = " ".join((find(step.action).__doc__ or step.action).strip().split("\n\n")[0].split())
    if step.action == "manual.confirm":
        return "  - by hand: the person at the drill answers this question"
    task = f"{what[:1].lower()}{what[1:]}".removesuffix(".")
    return (
        f"  - by hand: {escape(task)} (no single command; Drillbook does it as part of the drill: "
        f"{code(f'{program()} drill {plan.drill}')})"
    )


def _by_hand(step: PlannedStep, plan: Plan) -> Iterator[str]:
    """Yield Markdown to show below the step: the commands with which a person restores the team's backup without Drillbook."""
    restore = _restore(step, plan)
    if restore is None:
        return
    source, manual = restore
    hosts = plan.inventory.hosts
    blocks = source.manual_restore(manual)
    yield from (_typed(block, hosts, "by hand") for block in blocks)
    if blocks and manual_move.into_service(manual):
        moved = source.manual_move(manual)
        if isinstance(moved, str):
            yield f"  - {moved}"
        else:
            yield from (_typed(block, hosts, "then, into the service") for block in moved)


def _typed(block: Block, hosts: Mapping[str, Target], purpose: str) -> str:
    """Return the commands of ``block`` as Markdown, with the place where they are typed."""
    login = ssh(hosts[block.host], hosts) if block.host else ""
    where = f"on {escape(block.host)}" if block.host else "on the machine that runs Drillbook"
    how = f" ({code(login)})" if login else ""
    whom = f", as the user {escape(block.run_as)}" if block.run_as else ""
    lines = ["", "    ```sh", *(f"    {line}" for line in block.lines), "    ```", ""]
    return "\n".join([f"  - {purpose}, in bash {where}{how}{whom}:", *lines])


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, Mapping | list | tuple) else str(value)

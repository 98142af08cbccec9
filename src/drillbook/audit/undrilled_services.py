"""Next step for services that no run of the period drilled: run a drill of the project, copy a shipped drill, or write one."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.audit.alert import AT_ONCE
from drillbook.audit.content import Audit
from drillbook.audit.missed_drills import NEVER_RAN
from drillbook.installation.program_name import NEUTRAL
from drillbook.language.lists import leading, listed
from drillbook.plan.permitted import permits
from drillbook.project import drills_to_copy, own_rehearsals
from drillbook.project.drills_to_copy import Copy
from drillbook.project.needed_inventories import Choice
from drillbook.project.schedules import Scheduled
from drillbook.report import next_steps, open_findings
from drillbook.report.figures import one_line

MOST_COMMANDS = 4
"""Largest number of commands in one text. If there are more, the text refers to ``drill.due --all``."""


def step(audit: Audit, environment: str, services: Sequence[str], when: str) -> tuple[str, str]:
    """Return what to do so that ``services`` of ``environment`` are drilled, and the time limit.

    ``when``: time limit of drills that no schedule asks for. The drills of the project that never ran, although their schedule
    asks for it, are due at once, as another alert says.
    """
    own = {service: drill for service in services if (drill := _own(audit, environment, service))}
    without = [service for service in services if service not in own]
    changed = own_rehearsals.changes(without, _kinds(audit, environment), environment, audit.drills, audit.inventories)
    copies = _copies(audit, environment, [service for service in services if service not in {*own, *changed}])
    copied = [service for copy in copies for service in copy.services]
    written = [service for service in services if service not in {*own, *changed, *copied}]
    drills = list(dict.fromkeys(own.values()))
    steps = [f"run {_commands(audit, environment, drills)}"] if own else []
    steps += [f"for {_named([service])}: {text}" for service, text in changed.items()]
    if ready := [copy for copy in copies if copy.is_ready]:
        names = _named([service for copy in ready for service in copy.services])
        steps.append(f"copy a drill for {names}: `{NEUTRAL} init --with {','.join(copy.drill for copy in ready)}`")
    steps += [f"copy a drill for {_named(copy.services)}: {copy.commands(NEUTRAL)}" for copy in copies[len(ready) :]]
    steps += [f"write a drill for {_named(written)}"] if written else []
    return "; ".join(steps), _limit(
        _due(audit, environment, drills), drills, when, others=bool(changed or copies or written)
    )


def _named(services: Sequence[str]) -> str:
    return f"the service{'s' * (len(services) > 1)} {open_findings.named(services)}"


def _due(audit: Audit, environment: str, drills: Sequence[str]) -> list[str]:
    """Return those of ``drills`` that never ran in ``environment``, although their schedule asks for it."""
    missed = [row for row in audit.missed if row.kind == NEVER_RAN]
    never = {row.drill for row in missed if not row.elsewhere or row.environment == environment}
    return [drill for drill in drills if drill in never]


def _limit(due: Sequence[str], drills: Sequence[str], when: str, *, others: bool) -> str:
    """Return the time limit of the next steps. ``due``: the drills among ``drills`` that are due at once. ``others``: True if there
    are more steps, such as drills to copy or to write."""
    if not due:
        return when
    if len(due) == len(drills):
        return f"{AT_ONCE}; other drills to copy or write {when}" if others else AT_ONCE
    return f"{AT_ONCE} for {open_findings.named(due)}; the others {when}"


def _commands(audit: Audit, environment: str, drills: Sequence[str]) -> str:
    """Return the commands that run ``drills``. If a run needs something that is not usually there, such as another inventory,
    this is named in parentheses after the command.

    Each command names the inventory that ``audit.inventories`` chooses. If ``audit.inventories`` is None, it names the
    inventory of the newest run in ``environment``.
    """
    usual = next((run.inventory for run in reversed(audit.runs) if run.environment == environment), "")
    texts = [command(audit, environment, drill, usual) for drill in drills]
    lists = f" (`{NEUTRAL} drill.due --all` lists them)" if leading(texts, MOST_COMMANDS)[1] else ""
    return f"{listed(texts, MOST_COMMANDS)}{lists}"


def command(audit: Audit, environment: str, name: str, usual: str = "") -> str:
    """Return the command that runs the drill or suite ``name`` in ``environment``, or in any environment if this is empty. If
    the run needs something that is not usually there, this is named in parentheses after the command.

    ``usual``: inventory that the command names if ``audit.inventories`` is None. If it is empty, none is named.
    """
    drill = next((drill for drill in audit.drills if drill.name == name), None)
    known = audit.inventories.choice(drill, environment) if drill and audit.inventories else Choice(usual)
    needs = f" (needs {one_line(known.needs)})" if known.needs else ""
    return f"`{next_steps.run_again(NEUTRAL, one_line(name), known.inventory)}`{needs}"


def _own(audit: Audit, environment: str, service: str) -> str:
    """Return the name of a drill of the project that uses ``service`` and may run in ``environment``. A drill that restores
    data is preferred. The result is empty if there is no such drill."""
    known = [drill for drill in audit.drills if service in drill.services and _usable(drill, environment)]
    fitting = [drill for drill in known if not (audit.inventories and audit.inventories.unmet(drill, environment))]
    best = sorted(fitting, key=lambda drill: (not drill.restores, drill.name))
    return best[0].name if best else ""


def _usable(drill: Scheduled, environment: str) -> bool:
    return not (drill.suite or drill.broken or drill.mistake) and (
        drill.environments is None or permits(drill.environments, environment)
    )


def _kinds(audit: Audit, environment: str) -> dict[str, str]:
    """Return the kind of each service of ``environment``, by its name."""
    return {row.service: row.kind for row in audit.coverage if row.environment == environment}


def _copies(audit: Audit, environment: str, services: Sequence[str]) -> list[Copy]:
    """Return the shipped drills to copy for ``services``. Drills of the project are left out."""
    kinds = _kinds(audit, environment)
    return drills_to_copy.of(services, kinds, {drill.name for drill in audit.drills}, audit.inventories, environment)

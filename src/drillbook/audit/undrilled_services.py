"""Next step for services that no run of the period drilled: run a drill of the project, copy a shipped drill, or write one."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.audit.content import Audit
from drillbook.catalog import entries
from drillbook.installation.program_name import NEUTRAL
from drillbook.language.lists import leading, listed
from drillbook.project.needed_inventories import Choice
from drillbook.project.schedules import Scheduled
from drillbook.report import next_steps, open_findings
from drillbook.report.figures import one_line

MOST_COMMANDS = 4
"""Largest number of commands in one text. If there are more, the text refers to ``drill.due --all``."""


def step(audit: Audit, environment: str, services: Sequence[str]) -> str:
    """Return what to do so that ``services`` of ``environment`` are drilled."""
    own = {service: drill for service in services if (drill := _own(audit, environment, service))}
    shipped = {
        service: drill for service in services if service not in own and (drill := _to_copy(audit, environment, service))
    }
    written = [service for service in services if service not in own and service not in shipped]
    steps = [f"run {_commands(audit, environment, list(dict.fromkeys(own.values())))}"] if own else []
    if shipped:
        drills = ",".join(dict.fromkeys(shipped.values()))
        copy = f"copy a drill for {open_findings.named(list(shipped))}: `{NEUTRAL} init --with {drills}`"
        steps.append(f"{copy}{_needs_of_services(audit, environment, list(shipped))}")
    steps += [f"write a drill for {open_findings.named(written)}"] if written else []
    return f"{'; '.join(steps)}; or {next_steps.EXEMPT}"


def _commands(audit: Audit, environment: str, drills: Sequence[str]) -> str:
    """Return the commands that run ``drills``, each with the inventory that ``audit.inventories`` chooses, and with what the
    run needs before. Without inventories, the inventory of the newest run in ``environment`` is used."""
    usual = next((run.inventory for run in reversed(audit.runs) if run.environment == environment), "")
    texts = [_command(audit, environment, drill, usual) for drill in drills]
    lists = f" (`{NEUTRAL} drill.due --all` lists them)" if leading(texts, MOST_COMMANDS)[1] else ""
    return f"{listed(texts, MOST_COMMANDS)}{lists}"


def _command(audit: Audit, environment: str, name: str, usual: str) -> str:
    drill = next((drill for drill in audit.drills if drill.name == name), None)
    known = audit.inventories.choice(drill, environment) if drill and audit.inventories else Choice(usual)
    needs = f" (needs {one_line(known.needs)})" if known.needs else ""
    return f"`{next_steps.run_again(NEUTRAL, one_line(name), known.inventory)}`{needs}"


def _needs_of_services(audit: Audit, environment: str, services: Sequence[str]) -> str:
    """Return what the runs of a drill for each of ``services`` need, in parentheses. It is empty if they need nothing."""
    if not audit.inventories:
        return ""
    chosen = [
        audit.inventories.choice(Scheduled("", services=(name,), uses=frozenset([name])), environment) for name in services
    ]
    needs = dict.fromkeys(one_line(choice.needs) for choice in chosen if choice.needs)
    return f" (needs {', '.join(needs)})" if needs else ""


def _own(audit: Audit, environment: str, service: str) -> str:
    """Return the name of a drill of the project that uses ``service`` and may run in ``environment``. A drill that restores
    data is preferred. The result is empty if there is no such drill."""
    fitting = [drill for drill in audit.drills if service in drill.services and _usable(drill, environment)]
    best = sorted(fitting, key=lambda drill: (not drill.restores, drill.name))
    return best[0].name if best else ""


def _usable(drill: Scheduled, environment: str) -> bool:
    return not (drill.suite or drill.broken or drill.mistake) and (
        drill.environments is None or environment in drill.environments
    )


def _to_copy(audit: Audit, environment: str, service: str) -> str:
    """Return the name of the shipped drill to copy for ``service``. It is empty if the project has a drill of this name."""
    kind = next((row.kind for row in audit.coverage if (row.environment, row.service) == (environment, service)), "")
    return entries.to_copy(kind, service, {drill.name for drill in audit.drills})

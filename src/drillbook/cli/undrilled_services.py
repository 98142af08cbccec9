"""The text of ``drill.due`` about services that no drill uses. It names the shipped drills that can be copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drillbook.installation.program_name import program
from drillbook.language.lists import leading
from drillbook.plan.schedule import State
from drillbook.project import drills_to_copy, estate, needed_inventories, own_rehearsals, schedules
from drillbook.project.drills_to_copy import Copy
from drillbook.project.due_row import DueRow
from drillbook.project.needed_inventories import Inventories
from drillbook.project.project import Project
from drillbook.report import next_steps
from drillbook.report.figures import count, one_line

MOST_COPIES = 2
"""Maximum number of shipped drills that `drill.due` names without `--all`. The others are only counted; see ``leading``."""


def is_undrilled(row: DueRow) -> bool:
    """Return True if the row is about a service that no drill and no suite uses."""
    return not row.drill and not row.drills and row.state is State.NEVER


def advice(rows: Sequence[DueRow], project: Project | None, *, everything: bool = False) -> str:
    """Return lines that name the services without a drill, and tell the user what to do. If a shipped drill restores
    such a service, and the project does not contain this drill yet, a line tells how to copy it. The result is empty if
    each service has a drill.

    ``rows``: all rows, also those that are not about such a service. Unless ``everything`` is true, at most ``MOST_COPIES``
    shipped drills are named.
    """
    undrilled = [row for row in rows if is_undrilled(row)]
    if not undrilled:
        return ""
    places = {row.environment for row in rows if row.environment}
    own, copies = _choices(undrilled, project) if project else ({}, [])
    copied = {*own, *((environment, service) for environment, copy in copies for service in copy.services)}
    names = [_name(row, places) + ("" if (row.environment, row.service) in copied else " (write one)") for row in undrilled]
    texts = [f"for {one_line(service)}: {text}" for (_, service), text in own.items()]
    texts += [f"for {one_line(', '.join(copy.services))}: {copy.commands(program())}" for _, copy in copies]
    texts = list(dict.fromkeys(texts))
    shown, more = leading(texts, len(texts) if everything else MOST_COPIES)
    verb = "copy or change" if own else "copy"
    rest = [f"{count(more, 'more drill')} to {verb}: `{program()} drill.due --all`"] if more else []
    return "\n".join([f"services without a drill: {', '.join(names)}", *shown, *rest, f"or {next_steps.EXEMPT}"])


def _name(row: DueRow, places: set[str]) -> str:
    where = f" in {one_line(row.environment)}" if len(places) > 1 and row.environment else ""
    return f"{one_line(row.service)}{where}"


def _choices(undrilled: Sequence[DueRow], project: Project) -> tuple[dict[tuple[str, str], str], list[tuple[str, Copy]]]:
    """Return what to do about the services. First come texts about drills of the project that restore the backup of a service;
    their keys are the environment and the name of the service. The shipped drills to copy for the other services follow.
    """
    kinds, drills, inventories = estate.kinds(project), schedules.read(project), needed_inventories.read(project)
    own = {
        (place, service): text
        for place, services in _by_place(undrilled).items()
        for service, text in own_rehearsals.changes(services, kinds, place, drills, inventories).items()
    }
    others = [row for row in undrilled if (row.environment, row.service) not in own]
    return own, _to_copy(others, project, kinds, inventories)


def _by_place(undrilled: Sequence[DueRow]) -> dict[str, list[str]]:
    """Return the names of the services in each environment."""
    services_by_place: dict[str, list[str]] = {}
    for row in undrilled:
        services_by_place.setdefault(row.environment, []).append(row.service)
    return services_by_place


def _to_copy(
    undrilled: Sequence[DueRow], project: Project, kinds: Mapping[str, str], inventories: Inventories
) -> list[tuple[str, Copy]]:
    """Return the shipped drills to copy, each with the environment of its services. Drills of the project are left out.
    Drills that can run as soon as they are copied are first in the list."""
    own = project.drill_names()
    copies = [
        (place, copy)
        for place, services in _by_place(undrilled).items()
        for copy in drills_to_copy.of(services, kinds, own, inventories, place)
    ]
    return sorted(copies, key=lambda pair: not pair[1].is_ready)

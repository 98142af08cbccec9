"""The text of ``drill.due`` about services that no drill uses. It names the shipped drills that can be copied."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.catalog import entries
from drillbook.installation.program_name import program
from drillbook.language.lists import leading
from drillbook.plan.schedule import State
from drillbook.project import estate
from drillbook.project.due import DueRow
from drillbook.project.project import Project
from drillbook.report import next_steps
from drillbook.report.figures import count, one_line

MOST_COPIES = 2
"""Largest number of shipped drills that the short form names."""


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
    copied = _to_copy(undrilled, project) if project else {}
    names = [_name(row, places) + ("" if row.service in copied else " (write one)") for row in undrilled]
    services = {drill: [service for service, its in copied.items() if its == drill] for drill in copied.values()}
    shown, more = leading(list(services.items()), len(services) if everything else MOST_COPIES)
    copies = [f"for {one_line(', '.join(of))}: `{program()} init --with {drill}`" for drill, of in shown]
    copies += [f"{count(more, 'more drill')} to copy: `{program()} drill.due --all`"] if more else []
    return "\n".join([f"services without a drill: {', '.join(names)}", *copies, f"or {next_steps.EXEMPT}"])


def _name(row: DueRow, places: set[str]) -> str:
    where = f" in {one_line(row.environment)}" if len(places) > 1 and row.environment else ""
    return f"{one_line(row.service)}{where}"


def _to_copy(undrilled: Sequence[DueRow], project: Project) -> dict[str, str]:
    """Return the shipped drill to copy for each service that has one. Drills of the project are left out."""
    kinds, own = estate.kinds(project), project.drill_names()
    shipped = {row.service: entries.to_copy(kinds.get(row.service, ""), row.service, own) for row in undrilled}
    return {service: drill for service, drill in shipped.items() if drill}

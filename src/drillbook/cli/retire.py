"""The work of ``schedule.retire``. It records that a drill or an environment no longer exists."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from rich.text import Text

from drillbook.cli import run_identity
from drillbook.cli.console import console
from drillbook.errors import UnknownName, UsageError, escaped
from drillbook.exits import Exit
from drillbook.inventory.protection import LAB
from drillbook.journal.run_state import RunStates
from drillbook.language.strict import did_you_mean
from drillbook.plan.permitted import permits
from drillbook.project import estate, newest_runs, retirements, schedule_record, schedules
from drillbook.project.project import Project
from drillbook.project.schedule_record import RETIRED, Entry
from drillbook.report.figures import one_line


def retire(project: Project, drill: str, environment: str, reason: str, *, dry: bool = False) -> int:
    """Record that ``drill`` or ``environment`` is retired. When both are given, only the drill in this environment is
    retired. When ``dry`` is true, print what would be recorded, and record nothing.

    Raises UsageError in four cases: neither a drill nor an environment is given, no reason is given, the drill or the
    environment still exists, or the record cannot be written. Raises UnknownName when no run of the drill in the
    environment is recorded.
    """
    if not (drill or environment):
        raise UsageError("name the drill, or the environment with --environment", hint=EXAMPLE)
    if not reason.strip():
        raise UsageError("a retirement needs --reason; the audit shows the reason", hint=EXAMPLE)
    _check_known(project, drill, environment)
    _check_gone(project, drill, environment)
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = Entry(at, RETIRED, drill, "", environment, "", escaped(reason), by=run_identity.operator())
    (made,) = retirements.of([entry])
    if not dry:
        try:
            schedule_record.append(project.ready_reports(), entry)
        except OSError as error:
            raise UsageError(f"{schedule_record.FILE} cannot be written: {error.strerror}") from None
    said = f"{'would record: ' if dry else ''}{made.subject}: {made.said}. A later run ends the retirement."
    console().print(Text(one_line(said)), soft_wrap=True)
    return Exit.OK


EXAMPLE = 'invoke schedule.retire --environment staging --reason "staging was removed, ticket 4711"'


def _check_known(project: Project, drill: str, environment: str) -> None:
    """Raise UnknownName when no run in the record has the drill and the environment."""
    states = RunStates()
    known = list(newest_runs.read(newest_runs.begun(project, states), project, states))
    if any(drill in ("", name) and environment in ("", place) for name, place in known):
        return
    names = sorted({name for name, _ in known}) if drill else sorted({place for _, place in known})
    what = " in ".join(filter(None, (f"of {drill!r}" if drill else "", repr(environment) if environment else "")))
    raise UnknownName(
        f"no run {what if drill else f'in {what}'} is recorded, so nothing is reported as missing, and nothing needs to be retired",
        hint=f"{did_you_mean(drill or environment, names)}runs of: {', '.join(names) or 'none'}",
    )


def _check_gone(project: Project, drill: str, environment: str) -> None:
    """Raise UsageError when the drill, or the inventory of the environment, still exists."""
    if not drill:
        known = estate.read(project)
        if environment in known.environments:
            raise UsageError(
                f"an inventory still names the environment {environment}",
                hint=(
                    "remove the file of this inventory first; to exempt single services, write `not_drilled` "
                    "with a reason into the inventory"
                ),
            )
        return
    for schedule in schedules.read(project):
        allowed = schedule.environments or (environment,)
        if schedule.name == drill and (not environment or permits(allowed, environment)):
            raise UsageError(
                f"drills/ still contains {drill}" + (f", which may run in {environment}" if environment else ""),
                hint=_remedy(environment, allowed),
            )


def _remedy(environment: str, allowed: Collection[str]) -> str:
    """Return the hint for a drill that still exists, and that may run in ``environment`` by its guard, ``allowed``."""
    if not environment:
        return "remove its file first"
    if environment in allowed:
        return f"take {environment} out of `guard.environments` first"
    return (
        f"`{LAB}` in `guard.environments` also permits {environment}; if the Docker lab is no longer used, remove its inventory "
        f'and retire the environment: `invoke schedule.retire --environment {environment} --reason "..."`'
    )

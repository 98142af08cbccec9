"""Next step after a guard refused a drill because of the environment. It is the command that runs the drill with an inventory
of a permitted environment. Only files of the project are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drillbook.installation.program_name import program
from drillbook.plan import permitted
from drillbook.plan.plan import Plan
from drillbook.project import needed_inventories, recorded_schedules, schedules
from drillbook.project.needed_inventories import Choice, Inventories
from drillbook.project.newest_runs import Standing
from drillbook.project.project import Project
from drillbook.project.schedules import Scheduled
from drillbook.report.next_steps import run_again

PERMITTED = "Run it with the inventory of a permitted environment"


def instead(project: Project, plan: Plan) -> str:
    """Return the remedy for a drill whose guard refused the environment of ``plan``: a sentence that tells how to run the
    drill in a permitted one. The result is ``permitted.ANY_PERMITTED`` if the drill is not in the folder of drills, or if no
    inventory of the project has a permitted environment.
    """
    if not plan.environments:
        return permitted.NONE_PERMITTED
    if permitted.permits(plan.environments, plan.inventory.environment, plan.inventory.lab):
        return permitted.ANY_PERMITTED
    scheduled = next((each for each in schedules.read(project) if each.name == plan.drill and not each.broken), None)
    if scheduled is None:
        return permitted.ANY_PERMITTED
    known = needed_inventories.read(project)
    choice = known.choice(scheduled)
    if not _helps(known, choice):
        return permitted.ANY_PERMITTED
    command = run_again("drillbook", plan.drill, choice.inventory)
    first = f"Provide {choice.needs}, then run the drill there" if choice.needs else PERMITTED
    return f"{first}: `{command}`."


def notes(project: Project, wanted: Sequence[Scheduled], newest: Mapping[str, Standing]) -> dict[str, str]:
    """Return a text for each drill or suite whose last run was refused, because its guard does not permit the environment.
    The key of each text is the name. ``newest``: newest runs by name.
    """
    refused = [
        each for each in wanted if each.name in newest and recorded_schedules.was_forbidden(each, newest[each.name].last)
    ]
    known = needed_inventories.read(project) if refused else None
    return {each.name: note(each, known) for each in refused if known}


def note(scheduled: Scheduled, known: Inventories) -> str:
    """Return a text for a list: the environments in which the drill may run, and the command that runs it there."""
    choice = known.choice(scheduled)
    command = run_again(program(), scheduled.name, choice.inventory)
    first = permitted.only_in(scheduled.environments or ())
    if not _helps(known, choice):
        return f"{first} (`--inventory NAME`)"
    return f"{first}; needs {choice.needs}, then: {command}" if choice.needs else f"{first}: {command}"


def _helps(known: Inventories, choice: Choice) -> bool:
    """Return True when ``choice`` is an inventory of the project, or tells what to do before the run."""
    return bool(choice.needs) or choice.inventory in [listed.name for listed in known.listed]

"""Rules for the continuation of a campaign. They say which projects may continue it, and by which command."""

from __future__ import annotations

from drillbook.campaign import place
from drillbook.campaign.campaign_record import CampaignState
from drillbook.campaign.executor import LOCAL_CLUSTER, ON_THIS_MACHINE, REMOTE
from drillbook.errors import UsageError


def command(state: CampaignState, own: str) -> str:
    """Return the command that continues the campaign. The command chooses the executor that the last process of the campaign
    used. ``own``: name of this project folder on this machine, made by ``place.name_of``.
    """
    executor = state.controllers[-1][0] if state.controllers else ""
    on = "local" if executor == LOCAL_CLUSTER else ""
    if executor.startswith(REMOTE):
        on = executor.removeprefix(REMOTE)
    elif away(state, own):
        on = "tls://SCHEDULER:PORT"
    return f"invoke campaign --resume {state.start.campaign}" + (f" --on {on}" if on else "")


def next_step(state: CampaignState, own: str) -> str:
    """Return the next step for an unfinished campaign. ``own``: name of this project folder on this machine, made by
    ``place.name_of``.
    """
    wanted = command(state, own)
    if begun := begun_elsewhere(state, own, wanted.partition(" --on ")[2]):
        return (
            f"the campaign was begun or resumed at {begun}, but this project is at {own}; resume the campaign there; if this is "
            "impossible, begin a new campaign"
        )
    far = away(state, own)
    return f"to continue: {wanted}" + (f"; other machines started drills: {', '.join(far)}" if far else "")


def away(state: CampaignState, own: str) -> list[str]:
    """Return the names of the other places (project folders on machines) in which drills of this campaign are open. A drill is
    open if it was started and is not known to have ended. ``own``: name of this project folder on this machine, made by
    ``place.name_of``.
    """
    return sorted({intent.place for intent in state.open.values() if not place.is_here(intent.place, own)})


def begun_elsewhere(state: CampaignState, own: str, on: str) -> str:
    """Return the name of another place (a project folder on a machine) that could continue the campaign at the same time as
    this project. Return an empty text if there is no such place.

    ``own``: name of this project folder on this machine, made by ``place.name_of``. ``on``: value of the option ``--on``
    with which this project would continue the campaign.
    """
    for executor, begun in state.controllers:
        if (executor in ON_THIS_MACHINE or on in ("", "local")) and not place.is_here(begun, own):
            return begun
    return ""


def refuse(state: CampaignState, own: str, on: str) -> None:
    """Check that this project may continue the campaign. ``own``: name of this project folder on this machine, made by
    ``place.name_of``.

    Raises UsageError in three cases. First, another project ran drills of this campaign on its own machine, and could continue
    the campaign at the same time. Second, another project began or resumed the campaign, and this project would run the drills
    on its own machine. Third, it is unknown whether runs on other machines have ended, and this project uses no workers, so it
    cannot ask those machines.
    """
    if begun := begun_elsewhere(state, own, on):
        raise UsageError(
            f"the campaign was begun or resumed at {begun}, but this project is at {own}; both projects could drill the "
            "same sites",
            hint=(
                "resume the campaign in the other project. If this is impossible, because the other project was "
                "moved or lost or its machine has a new host name, run `invoke drill.recover`, and begin a new "
                "campaign"
            ),
        )
    if not on and (far := away(state, own)):
        raise UsageError(
            f"other machines started drills at some sites, and how these drills ended is unknown: {', '.join(far)}",
            hint=f"resume the campaign through the scheduler of the workers that started these sites: {command(state, own)}",
        )

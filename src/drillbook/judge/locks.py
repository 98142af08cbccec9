"""State of the locks that a run took, as far as its journal proves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from drillbook.events.event import Event, of_kinds
from drillbook.events.holds import LockLost, LockReleased, LockTaken
from drillbook.judge.lock_state import LockState

Place = tuple[str, str]
"""Host and name of a lock."""


def locks(own: Sequence[Event], events: Sequence[Event]) -> tuple[LockState, ...]:
    """Return the state of each lock that the run took. ``own``: the events before the first recovery of the run."""
    titles: dict[Place, str] = {}
    status: dict[Place, Literal["released", "lost", "unreleased"]] = {}
    for event in of_kinds(own, LockTaken, LockLost, LockReleased):
        host = event.host or ""
        match event.what:
            case LockTaken(name=name, services=services):
                titles[host, name], status[host, name] = ", ".join(services) or name, "unreleased"
            case LockReleased(name=name) if status.get((host, name)) == "unreleased":
                status[host, name] = "released"
            case LockLost(names=names):
                status |= {place: "lost" for place in status if place[0] == host and (place[1] in names or not names)}
    after = [event for event in of_kinds(events, LockReleased) if event.seq > own[-1].seq]
    later = {(event.host or "", event.what.name) for event in after if isinstance(event.what, LockReleased)}
    return tuple(
        LockState(host=place[0], title=titles[place], status=how, later=place in later and how == "unreleased")
        for place, how in status.items()
    )

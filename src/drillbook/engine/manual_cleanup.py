"""Instructions to clean up by hand after a run whose journal is damaged, derived from the intact lines of the journal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from drillbook.engine.lab_gone import lab_gone
from drillbook.engine.leases import lease_folders
from drillbook.errors import JournalError, PlanError
from drillbook.events.event import Event
from drillbook.events.first_event import opening
from drillbook.journal.intents import intents
from drillbook.journal.journal import FILE, legible
from drillbook.journal.manual_undo import PAGE, in_full
from drillbook.journal.run_state import RunState
from drillbook.plan.planner import Plan, checked
from drillbook.sdk.target_folders import scratch_of

TITLE = "the journal of the run is damaged: undo the remaining changes by hand"


def steps(state: RunState) -> list[str]:
    """Return lines of text about a run with a damaged journal: the known facts about the run, and the steps of a manual cleanup."""
    folder, events = state.folder, state.events
    lines = [state.damage]
    try:
        plan = checked(opening(events).plan) if events else None
    except (PlanError, JournalError):
        plan = None
    if plan is None:
        lines.append(
            "the first line of the journal is damaged, and it contained the plan with its hosts: check every host "
            "that a drill of this project has used"
        )
    elif gone := lab_gone(state.first):
        return [*lines, f"{gone}: nothing is left to undo. Move {folder} out of reports/ and keep it"]
    else:
        readable = legible(folder / FILE, state.data)
        lines += [
            _how_whole(events, readable),
            f"the hosts of the run: {', '.join(sorted(plan.hosts()))}",
            *_changes(plan, readable),
        ]
    lines += _leases(plan, folder.name)
    return [
        *lines,
        f"{PAGE} explains each step",
        (
            f"when every host is in its normal state, move {folder} out of reports/ and keep it; until then, drills "
            f"on {'these' if plan else 'any'} hosts are refused"
        ),
    ]


def _how_whole(events: Sequence[Event], readable: Sequence[Event]) -> str:
    behind = len(readable) - len(events)
    return (
        f"number of intact lines in the journal: {len(events)} before the damage, {behind} after it; the content of "
        "the damaged lines is unknown, and lines may be missing"
    )


def _changes(plan: Plan, events: Sequence[Event]) -> Iterator[str]:
    """Return lines about changes that are not known to be undone, newest first.

    Only events in intact lines of the journal count: such an event announces the change, but none reports its undo.
    """
    left = [change for change in reversed(intents(events, plan.steps)) if not change.settled]
    if not left:
        yield (
            "every change that the intact lines announce was undone; the damaged lines may have announced further changes"
        )
    for number, intent in enumerate(left, 1):
        yield (
            f"{number}. {intent.host}: {intent.step.action} ({intent.step.id}) was announced, but no line reports its "
            "undo. If the change is still there:"
        )
        yield from (f"   {line}" for line in in_full(intent, plan, events).splitlines())


def _leases(plan: Plan | None, run: str) -> Iterator[str]:
    """Return lines about the leases of the run on its targets."""
    yield ("on each host, as the SSH user of the inventory: run the undo of the run's lease, then read the log of the lease")
    if plan is None:
        yield f"   lease=STATE/leases/{run}   # STATE: the folder of leases on the host, see {PAGE}"
    targets = [plan.inventory.target(name) for name in plan.hosts()] if plan else []
    for target in targets:
        looked = " || ".join(f'{{ lease={path}; test -d "$lease"; }}' for path in lease_folders(target, run))
        yield f"   on {target.name}: {looked}"
    yield '   sh "$lease/watch.sh" "$lease" now; ls "$lease/armed"; cat "$lease/log"'
    for target in targets:
        yield f"   at the very end, on {target.name}: rm -rf {shlex.quote(scratch_of(target, run))}"

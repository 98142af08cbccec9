"""What a person does by hand after a run whose journal is damaged: told from the lines that are whole."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from drillbook.engine.lab_gone import lab_gone
from drillbook.engine.leases import lease_folders
from drillbook.errors import JournalError, PlanError
from drillbook.events.event import Event
from drillbook.events.runs import opening
from drillbook.journal.intents import intents
from drillbook.journal.journal import FILE, legible, salvage
from drillbook.journal.manual_undo import PAGE, by_hand
from drillbook.plan.planner import Plan, checked
from drillbook.sdk.target_folders import scratch_of

TITLE = "its journal is damaged: what is left has to be put back by hand"


def steps(folder: Path, wrong: str) -> list[str]:
    """Lines that say what is known of the run in ``folder``, whose journal is damaged: ``wrong``; and what to do."""
    events = _whole(folder)
    lines = [wrong]
    try:
        plan = checked(opening(events).plan) if events else None
    except (PlanError, JournalError):
        plan = None
    if plan is None:
        lines.append(
            "its first line, which names its hosts and what it would do, is not whole: look at every host that a "
            "drill of this project has touched"
        )
    elif gone := lab_gone(events[0].model_dump()):
        return [*lines, f"{gone}: nothing is left to put back. Move {folder} out of reports/ and keep it"]
    else:
        lines += [
            _how_whole(events, legible(folder / FILE)),
            f"its hosts: {', '.join(sorted(plan.hosts()))}",
            *_changes(plan, legible(folder / FILE)),
        ]
    lines += _leases(plan, folder.name)
    return [
        *lines,
        f"all of it is explained in {PAGE}",
        (
            f"when every host is as it should be, move {folder} out of reports/ and keep it; until then drills on "
            f"{'these' if plan else 'any'} hosts are refused"
        ),
    ]


def _whole(folder: Path) -> Sequence[Event]:
    try:
        return salvage(folder / FILE)[0].events
    except JournalError:
        return ()


def _how_whole(events: Sequence[Event], readable: Sequence[Event]) -> str:
    behind = len(readable) - len(events)
    return (
        f"lines that are whole: {len(events)} up to the damage, {behind} behind it; what the others said is not known, "
        "and some may be gone"
    )


def _changes(plan: Plan, events: Sequence[Event]) -> Iterator[str]:
    """Every change that these lines announce and do not tell to be put back, newest first."""
    left = [one for one in reversed(intents(events, plan.steps)) if not one.settled]
    if not left:
        yield "these lines tell of no change that was not put back; the damaged ones may have"
    for number, intent in enumerate(left, 1):
        yield (
            f"{number}. {intent.host}: {intent.step.action} ({intent.step.id}) was announced, and no line says that "
            "it was put back; is it there? Then"
        )
        yield from (f"   {line}" for line in by_hand(intent).splitlines())


def _leases(plan: Plan | None, run: str) -> Iterator[str]:
    """What the targets themselves still hold of the run."""
    yield "on each host, as its SSH user: do what it was told to put back by itself, and read the log of that"
    if plan is None:
        yield f"   lease=STATE/leases/{run}   # STATE: where leases lie there, see {PAGE}"
    targets = [plan.inventory.target(name) for name in plan.hosts()] if plan else []
    for target in targets:
        looked = " || ".join(f'{{ lease={path}; test -d "$lease"; }}' for path in lease_folders(target, run))
        yield f"   on {target.name}: {looked}"
    yield '   sh "$lease/watch.sh" "$lease" now; ls "$lease/armed"; cat "$lease/log"'
    for target in targets:
        yield f"   at the very end, on {target.name}: rm -rf {shlex.quote(scratch_of(target, run))}"

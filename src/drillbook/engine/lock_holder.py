"""Finding about the run that holds a lock. If the controller of this run died, a person must recover it, and cannot stop it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drillbook.engine import unfinished_runs
from drillbook.engine.leases import Owner
from drillbook.engine.leases.script import one_line
from drillbook.engine.liveness import ended
from drillbook.events.event import last
from drillbook.events.runs import Ended
from drillbook.findings import Finding, finding
from drillbook.journal.run_state import RunState

WAIT = "wait until the lock expires"


def refusal(message: str, owner: Owner, service: str, folders: Iterable[Path], hint: str = "") -> Finding:
    """Return the finding that another run holds a lock. If the controller of this run died, the finding is that the run is
    unfinished.

    ``message``: description of the lock. ``owner``: holder of the lock. ``service``: service of the refused drill. ``folders``:
    folders of the project's runs. ``hint``: remedy if nothing is known about the holder.
    """
    state = _state(owner, folders)
    if state and state.open:
        return unfinished_runs.refusal(owner.run, f"{message}; {_why(state)}")
    return finding("locked", title=service, measured=message, remedy=_of_ended(owner, state) or hint)


def _state(owner: Owner, folders: Iterable[Path]) -> RunState | None:
    """Return the state of the run that holds a lock, if it is a run of this project that is not in progress and has a journal."""
    own = next((folder for folder in folders if folder.name == owner.run), None)
    state = RunState(own) if own else None
    return state if state and not state.alive and not state.lost else None


def _why(state: RunState) -> str:
    """Return the reason why a run that is not in progress needs a recovery."""
    return "that run ended, and left changes" if last(state.events, Ended) else "the controller of that run died"


def _of_ended(owner: Owner, state: RunState | None) -> str:
    """Return the remedy if the holder of a lock has ended and needs no recovery, or is a run of another project whose controller
    died on this machine. The remedy is empty for any other run.
    """
    if state:
        return f"that run has ended, and could not release its lock: {WAIT}"
    if owner.controller and ended(owner.controller):
        return (
            f"the controller of that run died: run `invoke drill.recover` in the project of {one_line(owner.run)}, or {WAIT}"
        )
    return ""

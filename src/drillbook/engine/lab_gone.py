"""Detects runs whose lab no longer exists, and records in their journals that there is nothing left to undo."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook.events.event import Event
from drillbook.events.first_event import opening
from drillbook.events.runs import RecoveryFinished, RecoveryStarted
from drillbook.events.session import Session
from drillbook.events.steps import Undone
from drillbook.journal.intents import intents
from drillbook.journal.journal import Journal, Observer
from drillbook.plan.planner import checked
from drillbook.redact import Redactor

MARKER = "OWNER"
"""File that is written only when a lab is made. Its modification time is the time at which the lab was made."""


def lab_gone(first: Mapping[str, Any]) -> str:
    """Return the reason why the lab of a run no longer exists. The result is empty when the lab exists, or when this is
    unknown.

    ``first``: first event of the run's journal. A lab is gone when it was taken down, or when a newer lab replaced it. Only
    the machine that ran the drill can detect this. Other machines return an empty text.
    """
    data = first.get("data")
    plan = data.get("plan") if isinstance(data, dict) else None
    inventory = plan.get("inventory") if isinstance(plan, dict) else None
    if not isinstance(data, dict) or not isinstance(inventory, dict) or inventory.get("lab") not in ("embedded", "docker"):
        return ""
    if str(data.get("controller", "")).partition(",")[0] != platform.node():
        return ""
    folder = _folder(inventory)
    return _since(folder, str(first.get("at"))) if folder else ""


def _since(folder: Path, at: str) -> str:
    """Return the reason why the lab that was in ``folder`` at the time ``at`` no longer exists.

    The result is empty when that lab still exists.
    """
    try:
        made = datetime.fromtimestamp((folder / MARKER).stat().st_mtime, UTC)
        begun = datetime.fromisoformat(at)
    except (FileNotFoundError, NotADirectoryError):
        return f"the lab of the run in {folder} no longer exists"
    except (OSError, ValueError):
        return ""
    return (
        f"the lab of the run no longer exists: the lab now in {folder} was made later, at {made:%Y-%m-%d %H:%M} UTC"
        if made > begun
        else ""
    )


def _folder(inventory: Mapping[str, Any]) -> Path | None:
    """Return the folder of the lab, derived from the `known_hosts` file of its hosts.

    Return None when the hosts name no such file, or more than one.
    """
    hosts = inventory.get("hosts")
    known = (
        {str(host.get("known_hosts")) for host in hosts.values() if isinstance(host, dict)}
        if isinstance(hosts, dict)
        else set()
    )
    path = Path(known.pop()) if len(known) == 1 else None
    return path.parent if path and path.is_absolute() else None


def settle(folder: Path, why: str, header: Session, observer: Observer, written: Observer) -> None:
    """Write to the journal that nothing of the run is left to undo. ``why``: the reason.

    Raises JournalError while the run is alive.
    """
    journal = Journal.resume(folder, Redactor([]), origin=time.monotonic(), observer=observer)
    journal.also(written)
    try:
        events = journal.before.events
        journal.append(RecoveryStarted(**header), sync=True)
        for intent in _open(events):
            journal.append(
                Undone(intent=intent[0], message=f"{why}: nothing is left to undo"), step=intent[1], host=intent[2]
            )
        journal.append(RecoveryFinished(residue=(), gone=why), sync=True)
    finally:
        journal.close()


def _open(events: tuple[Event, ...]) -> list[tuple[int, str, str]]:
    announced = intents(events, checked(opening(events).plan).steps)
    return [(intent.seq, intent.step.id, intent.host) for intent in reversed(announced) if not intent.settled]

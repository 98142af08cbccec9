"""Runs whose lab is gone: what they broke went with it, so nothing is left to put back, and that is journalled."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook.events.event import Event
from drillbook.events.runs import RecoveryFinished, RecoveryStarted, Session, opening
from drillbook.events.steps import Undone
from drillbook.journal.intents import intents
from drillbook.journal.journal import Journal, Observer, read
from drillbook.plan.planner import checked
from drillbook.redact import Redactor

MARKER = "OWNER"
"""The file that a lab writes first when it is made, and never again."""


def lab_gone(first: Mapping[str, Any]) -> str:
    """Why the lab that a run ran on is not there any more; empty when it is there, or when that cannot be told.

    ``first`` is the first event of the run's journal. A lab that was taken down is gone; so is one in whose place a new
    one was made after the run began. On another machine than the run's nothing is claimed.
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
    """Why the lab that was in ``folder`` at that time is not there now; or empty."""
    try:
        made = datetime.fromtimestamp((folder / MARKER).stat().st_mtime, UTC)
        begun = datetime.fromisoformat(at)
    except (FileNotFoundError, NotADirectoryError):
        return f"its lab in {folder} is gone"
    except (OSError, ValueError):
        return ""
    return f"its lab is gone: the one in {folder} was made later, {made:%Y-%m-%d %H:%M} UTC" if made > begun else ""


def _folder(inventory: Mapping[str, Any]) -> Path | None:
    """The folder of the lab: where all its hosts keep their host keys."""
    hosts = inventory.get("hosts")
    known = (
        {str(host.get("known_hosts")) for host in hosts.values() if isinstance(host, dict)}
        if isinstance(hosts, dict)
        else set()
    )
    path = Path(known.pop()) if len(known) == 1 else None
    return path.parent if path and path.is_absolute() else None


def settle(folder: Path, why: str, header: Session, observer: Observer, written: Observer) -> None:
    """Write down that nothing is left to put back. Raises JournalError while the run is alive."""
    journal = Journal.resume(folder, Redactor([]), origin=time.monotonic(), observer=observer)
    journal.also(written)
    try:
        events = read(journal.path).events
        journal.append(RecoveryStarted(**header), sync=True)
        for intent in _open(events):
            journal.append(
                Undone(intent=intent[0], message=f"{why}: nothing is left to put back"), step=intent[1], host=intent[2]
            )
        journal.append(RecoveryFinished(residue=(), gone=why), sync=True)
    finally:
        journal.close()


def _open(events: tuple[Event, ...]) -> list[tuple[int, str, str]]:
    found = intents(events, checked(opening(events).plan).steps)
    return [(intent.seq, intent.step.id, intent.host) for intent in reversed(found) if not intent.settled]

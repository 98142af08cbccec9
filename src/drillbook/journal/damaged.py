"""What a run's folder still tells where its journal is damaged, empty or gone; nothing of it is taken as a journal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from drillbook.errors import JournalError
from drillbook.journal.journal import FILE, salvage

RUN_ID = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})Z-(.+)-[0-9a-f]{4}")
"""The name of a run: when it began, its drill or suite, and four random digits."""
ATTESTATION = "attestation.json"
RESULT = "result.json"
MOST_NAMES = 3


def damage(folder: Path) -> str:
    """Damage of a run's journal: a broken line, or that it is empty or gone. Empty when every line is whole."""
    if not _begun(folder):
        return lost(folder)
    try:
        return salvage(folder / FILE)[1]
    except JournalError as error:
        return error.message


def lost(folder: Path) -> str:
    """Why the journal of a run was emptied or taken away; empty when it holds a line.

    A run's folder appears when its journal holds the first event, so one without any lost it.
    """
    if _begun(folder):
        return ""
    path = folder / FILE
    state = "is gone" if not path.exists() else "holds no line" if path.stat().st_size else "is empty"
    if signed := signed_events(folder):
        return f"{signed} events were signed, the journal {state}"
    beside = _beside(folder)
    if not beside:
        return f"the journal {state}, and nothing lies beside it: what the run did is not known"
    more = f" and {len(beside) - MOST_NAMES} more" if len(beside) > MOST_NAMES else ""
    return f"the journal {state}, and what lies beside it is of a run that went on: {', '.join(beside[:MOST_NAMES])}{more}"


def signed_events(folder: Path) -> int:
    """The number of events that the attestation of a run vouches for; 0 when there is none that says so."""
    events = _object(folder / ATTESTATION).get("events")
    return events if isinstance(events, int) and events > 0 else 0


def settled(folder: Path) -> bool:
    """Does the result of a run say that nothing is left, or that what is left was closed?"""
    found = _object(folder / RESULT)
    return found.get("residue") == [] or bool(found.get("settled"))


def is_suite(folder: Path) -> bool:
    """Does a folder without a journal say that it is of a suite?"""
    return any("suite" in _object(folder / name) for name in (ATTESTATION, RESULT))


def drills_in(folder: Path) -> list[Path]:
    """The folders of runs inside the folder of a suite, oldest first; also those whose journal was taken away."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir()
        and not path.is_symlink()
        and not path.name.startswith(".")
        and ((path / FILE).exists() or (RUN_ID.fullmatch(path.name) and lost(path)))
    )


def _begun(folder: Path) -> bool:
    """Does the journal hold a whole first line? A folder that cannot be looked into is taken to."""
    try:
        with (folder / FILE).open("rb") as file:
            return file.readline().endswith(b"\n")
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _beside(folder: Path) -> list[str]:
    """What lies beside a journal and is of its run: not a request to stop, which anybody may leave there."""
    try:
        return sorted(
            path.name for path in folder.iterdir() if path.name not in (FILE, "stop") and not path.name.startswith(".")
        )
    except OSError:
        return []


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""What a run's folder says without being read as a whole: its drill, when it began, whether it ended or is alive."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drillbook.events.content import ENDS
from drillbook.journal.damaged import RUN_ID
from drillbook.journal.journal import FILE

TAIL = 8192
"""Bytes at the end of a journal that nearly always hold its last word."""


def drill_of(run: str) -> str:
    """The drill or suite that the name of a run says it is of; empty when it says none."""
    found = RUN_ID.fullmatch(run)
    return found[8] if found else ""


def begun(run: str) -> str:
    """When a run began, as its name says; empty when it does not."""
    found = RUN_ID.fullmatch(run)
    return "{}-{}-{}T{}:{}:{}.{}Z".format(*found.groups()[:7]) if found else ""


def verdict(folder: Path) -> str:
    """The verdict in the result of a run or a suite; empty when it has none that can be read."""
    try:
        return str(_object((folder / "result.json").read_bytes()).get("verdict") or "")
    except OSError:
        return ""


def first_event(folder: Path) -> dict[str, Any]:
    """The first event of a run's journal; empty when it has none that can be read."""
    try:
        with (folder / FILE).open("rb") as file:
            return _object(file.readline())
    except OSError:
        return {}


def last_word(folder: Path) -> dict[str, Any] | None:
    """Data of the newest event by which a run or its recovery ended; None when the run has no ending."""
    try:
        with (folder / FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            found = next(_ends(file.read()), None)
            if found is None and size > TAIL:
                file.seek(0)
                found = next(_ends(file.read()), None)
    except OSError:
        return None
    return found


def _ends(data: bytes) -> Iterator[dict[str, Any]]:
    """Data of the ending events in ``data``, newest first; what stands behind the last line end is torn and left out."""
    for line in reversed(data.split(b"\n")[:-1]):
        if any(f'"{kind}"'.encode() in line for kind in ENDS):
            event = _object(line)
            if event.get("kind") in ENDS and isinstance(event.get("data"), dict):
                yield event["data"]


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def alive(folder: Path) -> bool:
    """Is the journal in ``folder`` being written right now?"""
    try:
        with (folder / FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

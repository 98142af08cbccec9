"""Record of missed drills, of scheduled runs that could not begin, of changed schedules and of retirements. It is the file
``reports/schedule.jsonl``. Its lines form a chain of hashes.

A run has its own journal. This file records what happened without a run.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from drillbook.journal.json_values import json_object
from drillbook.values import canonical, digest

FILE = "schedule.jsonl"
MISSED: Literal["missed"] = "missed"
NOT_BEGUN: Literal["not begun"] = "not begun"
SCHEDULE: Literal["schedule"] = "schedule"
RETIRED: Literal["retired"] = "retired"
"""Kind of an entry about a drill or an environment that no longer exists."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record. Times are in UTC, in the format of RFC 3339. A time that does not exist is empty."""

    at: str
    kind: Literal["missed", "not begun", "schedule", "retired"]
    drill: str
    service: str
    environment: str
    due: str
    """Time from which the run was due. It is empty when the drill had never passed."""
    message: str
    """Reason why the run could not begin, or of a retirement, or a text that tells how long the run has been overdue."""
    prev: str | None = None
    hash: str = ""
    schedule: dict[str, Any] | None = None
    """Schedule that holds from the time ``at``, for an entry of the kind ``schedule``. None if there is no schedule any more."""
    by: str = ""
    """Person who retired the drill or environment. It is absent in other lines."""

    @property
    def subject(self) -> tuple[str, str]:
        """Key by which entries are grouped: the name of the drill, and the environment."""
        return self.drill, self.environment


def append(reports: Path, entry: Entry) -> Entry:
    """Append ``entry`` to the record. It is on disk when this function returns. Returns the entry with its hashes.
    Raises OSError when the file cannot be written.
    """
    descriptor = os.open(reports / FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        lines = [line for line in file.read().split(b"\n") if line.strip()]
        content = asdict(entry) | {"prev": _claimed(lines[-1]) if lines else None}
        del content["hash"]
        if entry.kind != SCHEDULE:
            del content["schedule"]  # older versions do not know it
        if not entry.by:  # older versions of Drillbook read lines without this key
            del content["by"]
        written = Entry(**content, hash=digest(canonical(content)))
        file.write(canonical(content | {"hash": written.hash}) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return written


def read(reports: Path) -> tuple[list[Entry], str]:
    """Read all entries of the record. The second result is the reason why the record is damaged, or an empty text.

    Lines that cannot be read are left out. If the file is missing, the record is empty.
    """
    try:
        data = (reports / FILE).read_bytes()
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        return [], f"{FILE} cannot be read: {error.strerror}"
    found: list[Entry] = []
    damage, before = "", None
    for number, line in enumerate((line for line in data.split(b"\n") if line.strip()), 1):
        value = json_object(line)
        content = {key: one for key, one in value.items() if key != "hash"}
        whole = value.get("hash") == digest(canonical(content)) and value.get("prev") == before
        damage = damage or ("" if whole else f"{FILE}, line {number}: the chain of hashes breaks")
        before = value.get("hash")
        try:
            found.append(Entry(**value))
        except TypeError:
            continue
    return found, damage


def newest(entries: Sequence[Entry], kind: str) -> dict[tuple[str, str], Entry]:
    """Return the newest entry of ``kind`` for each drill and environment."""
    return {one.subject: one for one in entries if one.kind == kind}


def _claimed(line: bytes) -> str | None:
    return json_object(line).get("hash")

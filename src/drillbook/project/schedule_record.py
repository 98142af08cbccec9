"""Record of missed drills, of scheduled runs that could not begin, of changed schedules and of retirements. It is the file
``reports/schedule.jsonl``. Its lines form a chain of hashes.

A run has its own journal. This file records what happened without a run.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from drillbook.atomic_file import replace_file
from drillbook.journal.json_values import json_object
from drillbook.report.figures import moment
from drillbook.values import canonical, digest

FILE = "schedule.jsonl"
MISSED: Literal["missed"] = "missed"
NOT_BEGUN: Literal["not begun"] = "not begun"
SCHEDULE: Literal["schedule"] = "schedule"
RETIRED: Literal["retired"] = "retired"
"""Kind of an entry about a drill or an environment that no longer exists."""
_TEXTS = ("at", "kind", "drill", "service", "environment", "due", "message", "by", "hash")


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
    """Text that depends on ``kind``. ``not begun``: reason why the run could not begin. ``missed``: for how long the drill has
    been overdue. ``retired``: reason of the retirement."""
    prev: str | None = None
    hash: str = ""
    schedule: dict[str, Any] | None = None
    """Schedule that holds from the time ``at``, for an entry of the kind ``schedule``. It is None if there is no schedule any
    more.
    """
    by: str = ""
    """Person who retired the drill or environment. Only lines about retirements have this key."""

    @property
    def subject(self) -> tuple[str, str]:
        """Key by which entries are grouped: the name of the drill, and the environment."""
        return self.drill, self.environment


class Record(NamedTuple):
    """Content of ``schedule.jsonl``: its entries, and texts about damage that was found while it was read."""

    entries: list[Entry]
    damage: str = ""
    """Reason why the record is damaged or cannot be read. It is empty when all complete lines are intact."""
    torn: str = ""
    """Text which says that the last line is incomplete and ignored. It is empty when the line is complete. No recorded entry is
    lost, because ``append`` returns only after the complete line is on disk.
    """


def append(reports: Path, entry: Entry) -> Entry:
    """Append ``entry`` to the record, and write it to disk before this function returns. Returns the entry with its hashes.

    If the last line of the record is incomplete, as after a power loss or on a full disk, this line is first moved to a
    separate file.

    Raises OSError when a file cannot be written.
    """
    with os.fdopen(_opened(reports), "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        data = file.read()
        whole = _whole_lines(data)
        if whole < len(data):
            replace_file(reports / _torn_file(whole), data[whole:], flush=True)
            file.truncate(whole)
        lines = [line for line in data[:whole].split(b"\n") if line.strip()]
        content = asdict(entry) | {"prev": _hash_of(json_object(lines[-1])) if lines else None}
        del content["hash"]
        if entry.kind != SCHEDULE:
            del content["schedule"]  # older versions do not know it
        if not entry.by:  # older versions of Drillbook read lines without this key
            del content["by"]
        written = Entry(**content, hash=digest(canonical(content)))
        end = b"" if data[:whole].endswith(b"\n") or not whole else b"\n"  # of a whole line that lacks only this
        file.write(end + canonical(content | {"hash": written.hash}) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return written


def _opened(reports: Path) -> int:
    """Open the file of the record. If it is missing, create it. When root creates the file, the owner of ``reports``
    becomes its owner, so that other tasks of the project can read and write the file.
    """
    path, flags = reports / FILE, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)  # never through a link: root gives it away
    except FileExistsError:
        return os.open(path, flags)
    if os.geteuid() == 0:
        with suppress(OSError):  # as on a network file system: the file remains with root
            owner = reports.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def read(reports: Path) -> Record:
    """Read all entries of the record. Lines that cannot be read are left out. If the file is missing, the record is empty."""
    try:
        data = (reports / FILE).read_bytes()
    except FileNotFoundError:
        return Record([])
    except OSError as error:
        return Record([], f"{FILE} cannot be read: {error.strerror}")
    whole = _whole_lines(data)
    entries: list[Entry] = []
    damage, before = "", None
    for number, line in enumerate(data[:whole].split(b"\n"), 1):
        if not line.strip():
            continue
        value = json_object(line)
        wrong = _wrong(value)
        problem = wrong if _whole(value, before) else "the chain of hashes breaks"
        damage = damage or (f"{FILE}:{number}: {problem}" if problem else "")
        before = _hash_of(value)
        with suppress(TypeError):  # a key is missing, or a newer version wrote it
            entries += [] if wrong else [Entry(**value)]
    return Record(entries, damage, _told(whole) if whole < len(data) else "")


def _whole_lines(data: bytes) -> int:
    """Return the size of the complete lines in ``data``. A last line without a newline counts as complete if it is a JSON
    object. A line that was cut off is never a JSON object.
    """
    whole = data.rfind(b"\n") + 1
    return len(data) if json_object(data[whole:]) else whole


def _torn_file(whole: int) -> str:
    """Return the name of the file to which an incomplete line after ``whole`` bytes is moved."""
    return f"{FILE}.torn-{whole}"


def _told(whole: int) -> str:
    why = "a program or the machine stopped while writing this line"
    moved = f"When the next entry is written, this line is moved to {_torn_file(whole)}"
    return f"the last line of {FILE} is incomplete and ignored: {why}. {moved}"


def _whole(value: Mapping[str, Any], before: str | None) -> bool:
    """Return True when a line is undamaged: its hash fits its content, and its field `prev` is ``before``, the hash of the
    line above.
    """
    content = {key: field for key, field in value.items() if key != "hash"}
    try:
        return value.get("hash") == digest(canonical(content)) and value.get("prev") == before
    except (ValueError, RecursionError):  # it has no canonical form
        return False


def _wrong(value: Mapping[str, Any]) -> str:
    """Return an error text about the first value of a line that has the wrong type, or about an `at` that is not a time.
    Return an empty text if all values are right."""
    kinds: dict[str, Any] = {**dict.fromkeys(_TEXTS, str), "prev": str | None, "schedule": dict | None}
    bad = next((key for key, kind in kinds.items() if key in value and not isinstance(value[key], kind)), "")
    if bad:
        return f"the value of {bad} has the wrong type"
    return "the value of `at` is not a time" if "at" in value and moment(value["at"]) is None else ""


def newest(entries: Sequence[Entry], kind: str) -> dict[tuple[str, str], Entry]:
    """Return the newest entry of ``kind`` for each drill and environment."""
    return {entry.subject: entry for entry in entries if entry.kind == kind}


def _hash_of(value: Mapping[str, Any]) -> str | None:
    """Return the text in the field `hash` of a line. Returns None when the line has no such field, or when the field is no
    text.
    """
    stated = value.get("hash")
    return stated if isinstance(stated, str) else None

"""The journals of all runs as they lie in the folder of reports: read, checked and judged, none left out."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drillbook.errors import JournalError
from drillbook.events.event import Event, each, readable
from drillbook.events.runs import RecoveryStarted, RunFinished, RunStarted
from drillbook.journal.journal import FILE, History, read
from drillbook.judge.figures import session
from drillbook.judge.judge import judge
from drillbook.judge.result import Result
from drillbook.plan.plan import digest_of
from drillbook.report.rows import contradictions
from drillbook.report.wording import NOT_VERIFIED
from drillbook.values import canonical, digest

RUN_ID = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})Z-(.+?)(?:-[0-9a-f]{4})?")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Resumed:
    """A recovery that went on with a journal, from the event ``seq`` on."""

    seq: int
    at: str
    operator: str


@dataclass(frozen=True, slots=True)
class Record:
    """One journal: what the file is, what it says of its chain, and what its run showed."""

    folder: str
    """Its folder, relative to the folder of reports."""
    sha256: str
    size: int
    torn: bool = False
    damage: str = ""
    """Where and how it is damaged; empty for a whole one."""
    empty: bool = False
    first: Event | None = None
    """Its first event; of a damaged journal only when its own hash fits."""
    hashes: tuple[str, ...] = ()
    """Hash of each event; of a damaged journal those that its lines claim."""
    times: tuple[str, ...] = ()
    ended: str = ""
    """When the last event of the run itself was written; empty when that is not known."""
    end: int = -1
    """Which event is the run's last word; -1 when it holds none."""
    recoveries: tuple[Resumed, ...] = ()
    result: Result | None = None
    doubts: tuple[str, ...] = ()
    """Why its verdict is not taken, although the journal can be read."""
    copy_of: str = ""

    @property
    def opening(self) -> RunStarted | None:
        """The content of its first event; None when that does not begin a run."""
        what = readable(self.first) if self.first else None
        return what if isinstance(what, RunStarted) else None

    @property
    def run(self) -> str:
        """The run that the journal says it is of; without a word of it, the name of the folder."""
        return self.opening.run if self.opening else UNKNOWN if self.first else self.name

    @property
    def name(self) -> str:
        """Name of its folder, by which runs are sorted."""
        return self.folder.rpartition("/")[2]

    @property
    def started(self) -> str | None:
        """When the run began; from the folder's name when the journal does not say it; None when neither does."""
        if self.first:
            return self.first.at
        found = RUN_ID.fullmatch(self.name)
        return "{}-{}-{}T{}:{}:{}.{}Z".format(*found.groups()[:7]) if found else None

    @property
    def finished(self) -> bool:
        """Did the run come to its end, whatever that was?"""
        return self.end >= 0

    @property
    def verdict(self) -> str:
        """Its verdict, or ``not verified``: a pass counts only with a whole record that shows it."""
        return str(self.result.verdict) if self.result and not self.damage and not self.doubts else NOT_VERIFIED

    @property
    def reason(self) -> str:
        """Why it has this verdict."""
        if self.verdict == NOT_VERIFIED:
            return self.damage or "; ".join(self.doubts) or "its journal could not be judged"
        return self.result.reason if self.result else ""

    @property
    def plan(self) -> dict[str, Any]:
        """The plan that the first event holds."""
        return self.opening.plan if self.opening else {}

    @property
    def environment(self) -> str:
        """Where it ran, as its plan says."""
        inventory = self.plan.get("inventory")
        return str(inventory.get("environment", UNKNOWN)) if isinstance(inventory, dict) else UNKNOWN

    @property
    def service(self) -> str:
        """The service of its plan."""
        return str(self.plan.get("service", UNKNOWN))

    @property
    def drill(self) -> str:
        """The drill of its plan, or what the folder's name says."""
        named = RUN_ID.fullmatch(self.name)
        return str(self.plan.get("drill", named[8] if named else UNKNOWN))

    @property
    def operator(self) -> str:
        """Who ran it."""
        return self.opening.operator if self.opening else UNKNOWN

    @property
    def residue(self) -> bool:
        """Does it say that something could not be put back?"""
        return bool(self.result and self.result.residue)


@dataclass(frozen=True, slots=True)
class Stray:
    """A folder that should hold a journal and does not, or a link that was not followed."""

    folder: str
    kind: str
    """``no-journal``, ``empty-folder`` or ``link``."""


def find(reports: Path) -> tuple[list[Record], list[Stray]]:
    """All journals below ``reports``, however deep, in the order of their runs; and what looks as if one were missing."""
    records: list[Record] = []
    strays: list[Stray] = []
    for place, folders, files in os.walk(reports):
        here = Path(place).relative_to(reports).as_posix()
        for name in sorted(folders):
            if (Path(place) / name).is_symlink() and name != "latest":
                strays.append(Stray(f"{here}/{name}".removeprefix("./"), "link"))
        if FILE in files:
            records.append(record(Path(place) / FILE, here))
        elif RUN_ID.fullmatch(Path(place).name) and not any(Path(place).glob(f"**/{FILE}")):
            strays.append(Stray(here, "no-journal" if files or folders else "empty-folder"))
    records.sort(key=lambda one: (one.name, one.folder))
    return _copies(records), sorted(strays, key=lambda one: one.folder)


def record(path: Path, folder: str) -> Record:
    """Read, check and judge one journal; whatever is wrong with it is in what is returned."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return Record(folder, "not readable", 0, damage=f"{folder}/{FILE} cannot be read: {error.strerror}")
    known = Record(folder, hashlib.sha256(data).hexdigest(), len(data))
    if not data.strip():
        return replace(known, empty=True, damage=f"{folder}/{FILE} holds no event")
    try:
        history = read(path)
    except JournalError as error:
        return _damaged(known, data, error.message.replace(str(path), f"{folder}/{FILE}"))
    return _whole(known, history)


def _damaged(known: Record, data: bytes, message: str) -> Record:
    """What of a damaged journal can be told: its first line, if that one is whole, and the hashes that it claims."""
    lines = [_object(line) for line in data.split(b"\n")]
    claimed = tuple(line["hash"] for line in lines if isinstance(line.get("hash"), str))
    first = None
    try:
        content = {key: value for key, value in lines[0].items() if key != "hash"}
        event = Event.model_validate(lines[0])
        if digest(canonical(content)) == event.hash and isinstance(event.what, RunStarted) and event.seq == 0:
            first = event
    except (ValueError, ValidationError):
        pass
    return replace(known, damage=message, first=first, hashes=claimed)


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole(known: Record, history: History) -> Record:
    events = history.events
    own = session(events)
    found = replace(
        known,
        torn=history.torn,
        first=events[0],
        hashes=tuple(event.hash for event in events),
        times=tuple(event.at for event in events),
        ended=own[-1].at if own else "",
        end=next((event.seq for event, _ in each(own, RunFinished)), -1),
        recoveries=tuple(Resumed(event.seq, event.at, what.operator) for event, what in each(events, RecoveryStarted)),
    )
    try:
        view = judge(history)
    except Exception as error:  # noqa: BLE001  written by another version, or not a journal of a run: never a verdict
        return replace(found, doubts=(f"its journal could not be judged: {type(error).__name__}",))
    return replace(found, result=view.result, doubts=(*_doubts(found), *contradictions(view)))


def _doubts(found: Record) -> Iterator[str]:
    if found.run != found.name:
        yield f"the folder {found.name} holds the journal of the run {found.run}"
    if found.opening and digest_of(found.plan) != found.opening.plan_digest:
        yield "the digest of the plan does not fit the plan"


def _copies(records: Sequence[Record]) -> list[Record]:
    """Journals of one run that lie in two places count once: the one in the folder of that name, or the first."""
    kept: dict[str, Record] = {}
    for one in sorted(records, key=lambda one: (one.run != one.name, one.folder.count("/"), bool(one.damage))):
        if one.first:
            kept.setdefault(one.first.hash, one)
    found = []
    for one in records:
        original = kept.get(one.first.hash) if one.first else None
        found.append(replace(one, copy_of=original.folder) if original and original is not one else one)
    return found

"""The journals of all runs in the folder of reports. Every journal is read, verified and judged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drillbook.events.event import Event, each, readable
from drillbook.events.runs import RecoveryFinished, RecoveryStarted, RunFinished, RunStarted
from drillbook.journal.journal import FILE, History
from drillbook.journal.json_values import json_object
from drillbook.journal.run_state import RunState, RunStates
from drillbook.judge.figures import session
from drillbook.judge.judge import judge
from drillbook.judge.result import Result
from drillbook.judge.verdicts import UNFINISHED, shown
from drillbook.plan.plan import digest_of
from drillbook.report import residue_state
from drillbook.report.folders import start_in, suite_of
from drillbook.report.rows import contradictions
from drillbook.report.wording import NOT_VERIFIED
from drillbook.sdk.run_names import drill_of
from drillbook.values import canonical, digest

RUN_ID = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})Z-(.+?)(?:-[0-9a-f]{4})?")
CAMPAIGN = re.compile(r"campaigns/[^/]+/record")
"""Pattern of the folder that holds the journal of a campaign. ``audit.campaigns`` reads that journal."""
UNKNOWN = "unknown"
DIGEST = "sha256:"
"""Text at the start of every digest. The audit removes this text from the digests of journals, to show them as `sha256sum`
does.
"""
IN_PROGRESS = "the run was in progress when its journal was read"
"""Reason why a run has no verdict yet."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A recovery that continued the journal. Its first event has the number ``seq``."""

    seq: int
    at: str
    operator: str


@dataclass(frozen=True, slots=True)
class Record:
    """One journal after it was read and verified: its file, its events or damage, and the result of its run."""

    folder: str
    """Folder of the run, relative to the folder of reports."""
    sha256: str
    size: int
    torn: bool = False
    damage: str = ""
    """Position and kind of the journal's damage. It is empty for an intact journal."""
    empty: bool = False
    first: Event | None = None
    """First event. In a damaged journal, it is present only if its own hash is correct."""
    hashes: tuple[str, ...] = ()
    """Hash of each event. For a damaged journal, these are the hashes that are written in its lines, even if they are wrong."""
    times: tuple[str, ...] = ()
    ended: str = ""
    """Time of the last event of the run itself, before any recovery. It is empty when unknown."""
    end: int = -1
    """Number ``seq`` of the event that ended the run. It is -1 when the run did not end."""
    recoveries: tuple[Resumed, ...] = ()
    recovered: str = ""
    """Time at which the newest recovery of the run ended. It is empty without a recovery, and if the newest one did not end."""
    result: Result | None = None
    doubts: tuple[str, ...] = ()
    """Reasons to reject the verdict although the journal is intact, for example a plan that does not match its digest."""
    copy_of: str = ""

    @property
    def opening(self) -> RunStarted | None:
        """Content of the first event. It is None when the first event does not begin a run."""
        what = readable(self.first) if self.first else None
        return what if isinstance(what, RunStarted) else None

    @property
    def run(self) -> str:
        """Name of the run in the first event of the journal. If this event cannot be read, the name of the folder is used. If
        the event can be read but does not begin a run, the name is unknown."""
        return self.opening.run if self.opening else UNKNOWN if self.first else self.name

    @property
    def name(self) -> str:
        """Name of the folder. Runs are sorted by this name."""
        return self.folder.rpartition("/")[2]

    @property
    def started(self) -> str | None:
        """Start of the run, from the journal or otherwise from the folder's name. It is None when unknown."""
        if self.first:
            return self.first.at
        match = RUN_ID.fullmatch(self.name)
        return start_in(match) if match else None

    @property
    def finished(self) -> bool:
        """True when the run ended, with any verdict."""
        return self.end >= 0

    @property
    def in_progress(self) -> bool:
        """True when a process still wrote the journal when it was read."""
        return IN_PROGRESS in self.doubts

    @property
    def verdict(self) -> str:
        """Verdict of the run. It is ``not verified`` when the journal is damaged, when the run could not be judged, or when
        there are ``doubts``.
        """
        return str(self.result.verdict) if self.result and not self.damage and not self.doubts else NOT_VERIFIED

    @property
    def shown(self) -> str:
        """Word for the verdict, which is ``unfinished`` for a run that still needs a recovery because its controller died."""
        return shown(self.verdict, self.reason, self.result.finished if self.result else "")

    @property
    def outcome(self) -> str:
        """Verb with the verdict, such as ``ended aborted``. It is ``is unfinished`` for a run that still needs a recovery because its
        controller died.
        """
        return f"is {UNFINISHED}" if self.shown == UNFINISHED else f"ended {self.verdict}"

    @property
    def reason(self) -> str:
        """Reason why the run got its verdict."""
        if self.verdict == NOT_VERIFIED:
            return self.damage or "; ".join(self.doubts) or "the journal of the run could not be judged"
        return self.result.reason if self.result else ""

    @property
    def plan(self) -> dict[str, Any]:
        """Plan in the first event. It is empty when the event contains no plan."""
        return self.opening.plan if self.opening else {}

    @property
    def environment(self) -> str:
        """Environment in which the run took place. Its name is taken from the run's plan."""
        inventory = self.plan.get("inventory")
        return str(inventory.get("environment", UNKNOWN)) if isinstance(inventory, dict) else UNKNOWN

    @property
    def service(self) -> str:
        """Service that the drill tested. Its name is taken from the run's plan."""
        return str(self.plan.get("service", UNKNOWN))

    @property
    def drill(self) -> str:
        """Name of the drill, from the plan. Without a plan, it is read from the name of the run's folder."""
        named = RUN_ID.fullmatch(self.name)
        return str(self.plan.get("drill", named[8] if named else UNKNOWN))

    @property
    def operator(self) -> str:
        """Person who started the run."""
        return self.opening.operator if self.opening else UNKNOWN

    @property
    def left(self) -> bool:
        """True when the run left changes that nobody undid or closed."""
        return self.residue and not (self.result and self.result.settled)

    @property
    def residue(self) -> bool:
        """True when the result reports changes that were not undone (residue)."""
        return bool(self.result and self.result.residue)


@dataclass(frozen=True, slots=True)
class Stray:
    """Problem in the folder of reports: a run's folder without a journal, or a symbolic link that was not followed."""

    folder: str
    kind: str
    """Kind of the problem: ``no-journal``, ``empty-folder`` or ``link``."""


def planned_steps(record: Record) -> list[dict[str, Any]]:
    """Return the steps of the run's plan. Each step is a mapping. Its ``id`` is a text, and its ``params`` are a mapping.

    A journal may be forged. Therefore a step that is no mapping is left out, and parameters that are no mapping are replaced
    by an empty mapping.
    """
    written = record.plan.get("steps")
    steps = [step for step in written if isinstance(step, dict)] if isinstance(written, list) else []
    return [{**step, "id": str(step.get("id")), "params": _mapping(step.get("params"))} for step in steps]


def planned_services(record: Record) -> dict[str, Any]:
    """Return the services in the inventory of the run's plan. The result is empty when they are malformed."""
    return _mapping(_mapping(record.plan.get("inventory")).get("services"))


def _mapping(written: object) -> dict[str, Any]:
    return written if isinstance(written, dict) else {}


def find(reports: Path, runs: RunStates | None = None) -> tuple[list[Record], list[Stray]]:
    """Find all journals below ``reports`` at any depth, sorted by run.

    Find also the places where a journal seems to be missing. ``runs``: states of the runs. To save memory, the events are
    removed from each state after reading. The state keeps the journal's chain of hashes, its first line and its digest.
    """
    runs = runs or RunStates()
    records: list[Record] = []
    strays: list[Stray] = []
    for place, folders, files in os.walk(reports):
        here = Path(place).relative_to(reports).as_posix()
        for name in sorted(folders):
            if (Path(place) / name).is_symlink() and name != "latest":
                strays.append(Stray(f"{here}/{name}".removeprefix("./"), "link"))
        if CAMPAIGN.fullmatch(here):
            continue
        if FILE in files:
            state = runs.of(Path(place))
            records.append(record(state, here))
            state.forget_events()
        elif RUN_ID.fullmatch(Path(place).name) and not any(Path(place).glob(f"**/{FILE}")):
            strays.append(Stray(here, "no-journal" if files or folders else "empty-folder"))
    records.sort(key=lambda known: (known.name, known.folder))
    return _copies(records), sorted(strays, key=lambda stray: stray.folder)


def record(state: RunState, folder: str) -> Record:
    """Read, verify and judge one journal. Every problem becomes part of the returned record."""
    if error := state.unreadable:
        return Record(folder, "not readable", 0, damage=f"{folder}/{FILE} cannot be read: {error.strerror}")
    known = Record(folder, state.digest.removeprefix(DIGEST), state.size)
    if not state.data.strip():
        return replace(known, empty=True, damage=f"{folder}/{FILE} contains no event")
    history, wrong = state.intact
    if wrong:
        return _damaged(known, state.data, wrong.replace(str(state.folder / FILE), f"{folder}/{FILE}"))
    return _whole(known, history, alive=state.alive)


def _damaged(known: Record, data: bytes, message: str) -> Record:
    """Make the record of a damaged journal.

    The record has the hashes that the lines claim. It has the first event only if that event is intact.
    """
    lines = [json_object(line) for line in data.split(b"\n")]
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


def _whole(known: Record, history: History, *, alive: bool) -> Record:
    events = history.events
    own = session(events)
    whole = replace(
        known,
        torn=history.torn,
        first=events[0],
        hashes=tuple(event.hash for event in events),
        times=tuple(event.at for event in events),
        ended=own[-1].at if own else "",
        end=next((event.seq for event, _ in each(own, RunFinished)), -1),
        recoveries=tuple(Resumed(event.seq, event.at, what.operator) for event, what in each(events, RecoveryStarted)),
        recovered=_recovered(events),
    )
    if alive and whole.end < 0:  # without a result: what it has not undone yet is not left
        return replace(whole, doubts=(IN_PROGRESS,))
    try:
        view = judge(history)
    except Exception as error:  # noqa: BLE001  a journal of another version, or not of a run, has no verdict
        return replace(whole, doubts=(f"the journal of the run could not be judged: {type(error).__name__}",))
    doubts = (*_doubts(whole), *contradictions(view), *residue_state.doubts(view))
    return replace(whole, result=view.result, doubts=doubts)


def _recovered(events: Sequence[Event]) -> str:
    """Return the end of the newest recovery. The result is empty without a recovery, and if the newest one did not end."""
    newest = next((event for event in reversed(events) if isinstance(event.what, RecoveryStarted | RecoveryFinished)), None)
    return newest.at if newest and isinstance(newest.what, RecoveryFinished) else ""


def _doubts(known: Record) -> Iterator[str]:
    if known.run != known.name:
        yield f"the folder {known.name} contains the journal of the run {known.run}"
    if known.opening and digest_of(known.plan) != known.opening.plan_digest:
        yield "the digest of the plan does not match the plan"


def _copies(records: Sequence[Record]) -> list[Record]:
    """Mark each journal that is a copy of another journal: both have the same first event. The journal in the run's own
    folder counts as the original."""
    kept: dict[str, Record] = {}
    for journal in sorted(records, key=lambda it: (it.run != it.name, it.folder.count("/"), bool(it.damage))):
        if journal.first:
            kept.setdefault(journal.first.hash, journal)
    marked = []
    for journal in records:
        original = kept.get(journal.first.hash) if journal.first else None
        marked.append(replace(journal, copy_of=original.folder) if original and original is not journal else journal)
    return marked


def first_runs(records: Sequence[Record]) -> dict[tuple[str, str], str]:
    """Return the start of the first run of each drill and suite. The key of each entry is the environment and the name. A suite
    begins with the first of its runs.
    """
    starts: dict[tuple[str, str], str] = {}
    for record in records:
        for name in filter(None, (record.drill, drill_of(suite_of(record.folder).rpartition("/")[2]))):
            key = (record.environment, name)
            starts[key] = min(starts.get(key) or record.started or "", record.started or "")
    return starts

"""The journal: append-only, hash-chained record of a run.

Each change is written and flushed to the journal (fsync) before it is made. See docs/journal.md.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drillbook.errors import JournalError
from drillbook.events.content import Content
from drillbook.events.event import Event
from drillbook.journal.collection import paused
from drillbook.journal.json_values import jsonable
from drillbook.journal.line_file import HINT, LineFile, locked, set_aside_tail
from drillbook.journal.lines import Walk, walk
from drillbook.journal.suspension import suspended
from drillbook.redact import Redactor
from drillbook.sdk.run_folder import RunFolder, sync_path
from drillbook.values import canonical_again, digest

FILE = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class History:
    """Content of a journal: its events. ``torn`` is true when its last line is incomplete."""

    events: tuple[Event, ...]
    torn: bool

    @property
    def head(self) -> str:
        """Hash of the last event."""
        return self.events[-1].hash


Observer = Callable[[Event], None]


class Journal:
    """Writer of one journal. All methods are thread-safe."""

    def __init__(
        self,
        folder: Path,
        redactor: Redactor,
        *,
        origin: float,
        prev: str | None = None,
        observer: Observer | None = None,
        place: RunFolder | None = None,
    ) -> None:
        """Open ``journal.jsonl`` in ``folder``, new or existing.

        The file stays locked against other writers until ``close``. ``origin``: monotonic time at which the run's clock
        shows 0. ``prev``: hash of the last event of the previous run. ``observer``: function that receives each event after
        it is written. ``place``: function that is called once the first event is on disk, to make ``folder`` visible. Raises
        JournalError when another process writes the journal.
        """
        self.path = folder / FILE
        self._place, inside = place, place.inside if place else folder
        self.origin = origin
        self.patient = False
        """True once a fault may be active. From then on, lines that cannot be written wait in memory; ``failure`` says why."""
        self.failure = ""
        """First problem of writing: a line was not written in time, or further lines would be lost. Empty without a problem."""
        self.alarm: Callable[[str], None] | None = None
        """Function that is called once when ``failure`` is set. Its argument is the text of ``failure``."""
        self.redactor = redactor
        self.before = History((), torn=False)
        """Content of the resumed journal, read under its lock. A new journal has no events here."""
        self._decisive: list[Event] = []
        self._asleep = suspended()
        self._observers = [observer] if observer else []
        self._seq, self._prev = 0, prev
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        """Lock that the flushing thread holds. A flush usually includes the lines of all threads that wait for this lock."""
        self._lines = LineFile(self.path, inside)
        sync_path(inside)

    @classmethod
    def resume(cls, folder: Path, redactor: Redactor, *, origin: float, observer: Observer | None = None) -> Journal:
        """Lock and read an existing journal, and continue it. Raises JournalError when the journal is damaged or locked."""
        journal = cls(folder, redactor, origin=origin, observer=observer)
        try:
            history = read(journal.path)
            if history.torn:
                set_aside_tail(journal.path)
        except JournalError:
            journal.close()
            raise
        journal._seq, journal._prev = len(history.events), history.head
        journal._lines.resumed(journal._seq)
        journal._decisive = [event for event in history.events if event.what.DECISIVE]
        journal.before = History(history.events, torn=False)
        return journal

    def decisive(self) -> tuple[Event, ...]:
        """Return the events that an undo of the changes needs, oldest first. Events that wait for disk space are included."""
        with self._lock:
            return tuple(self._decisive)

    def append(
        self, what: Content, *, step: str | None = None, host: str | None = None, sync: bool = False, required: bool = False
    ) -> Event:
        """Write one event with the content ``what``. If ``sync`` is true, the event is on disk when this method returns.
        Raises JournalError when the write fails. There is one exception: while a fault may be active (``self.patient``), an
        event that is not ``required`` is kept in memory, and no error is raised.
        """
        clean = self._redacted(what)
        data = canonical_again(clean)  # before the lock is taken, because all threads wait for it
        before = self.failure
        lenient = self.patient and not required
        with self._lock:
            event, line = self._next(what.kind_name(), clean, data, step, host)
            why, kept = self._lines.add(line, lenient=lenient, bulk=what.BULK, displaced=self.displaced())
            self.failure = self.failure or why
            if kept:
                self._seq, self._prev = event.seq + 1, event.hash
                if what.DECISIVE:
                    self._decisive.append(event)
            if self._place is not None:
                self._show(event)
        if sync and kept:
            self._flush(event, lenient=lenient)
        self._raise_alarm(before)
        self._tell(event)
        return event

    def _next(
        self, kind: str, clean: dict[str, Any], data: bytes, step: str | None, host: str | None
    ) -> tuple[Event, bytes]:
        """Return the next event, with the content ``clean``, and its line. ``data``: canonical JSON of ``clean``."""
        first: dict[str, Any] = {"at": _now(), "clock": round(time.monotonic() - self.origin, 6)}
        rest: dict[str, Any] = {"kind": kind, "prev": self._prev, "seq": self._seq}
        rest |= {key: value for key, value in (("step", step), ("host", host)) if value is not None}
        # The keys of a line are sorted: `data` and `hash` stand between those of `first` and those of `rest`.
        front, back = canonical_again(first)[:-1] + b',"data":' + data, canonical_again(rest)[1:]
        known = digest(front + b"," + back)
        return Event(hash=known, **first, data=clean, **rest), front + b',"hash":"' + known.encode() + b'",' + back + b"\n"

    def _flush(self, event: Event, *, lenient: bool) -> None:
        """Flush the journal, so that ``event`` is on the disk. One flush serves all threads that wait for their events.

        Raises JournalError when the flush fails. When ``lenient`` is true, the event waits in memory instead.
        """
        with self._flushing:
            try:
                with self._lock:
                    if self._lines.is_sure(event.seq):
                        return
                    self._lines.write()
                    lines = self._lines.lines
                self._synced(lines)
            except OSError as error:
                self._unflushed(event, self._lines.problem(error), lenient=lenient)

    def _synced(self, lines: int) -> None:
        """Flush the file, and record that its first ``lines`` lines are on the disk. Raises OSError when the flush fails."""
        try:
            self._lines.sync()
        except OSError:
            with self._lock:
                self._lines.unflushed()
            raise
        with self._lock:
            self._lines.flushed(lines)

    def _unflushed(self, event: Event, why: str, *, lenient: bool) -> None:
        """Handle a failed flush of ``event``.

        If ``lenient`` is true, the event stays in memory to be written later. Otherwise it is removed again, so that no
        later event refers to it, and JournalError is raised.
        """
        with self._lock:
            self.failure = self.failure or (why if lenient else "")
            if lenient:
                return
            if self._lines.withdraw(event.seq):
                self._seq, self._prev = event.seq, event.prev
                self._decisive = [kept for kept in self._decisive if kept.seq != event.seq]
        raise JournalError(why, hint=HINT)

    def _redacted(self, what: Content) -> dict[str, Any]:
        """Return the data of an event with secrets hidden. Names of fields are never hidden, because readers need them."""
        names = _names_of(type(what))
        data: dict[str, Any] = jsonable({**what.data(), **self._slept(what)})
        if not self.redactor.knows_any:
            return data
        rest: dict[str, Any] = self.redactor.value({key: value for key, value in data.items() if key not in names})
        return rest | {key: self.redactor.value(value) for key, value in data.items() if key in names}

    def _show(self, event: Event) -> None:
        """Make the folder of the run visible, after its first event is on the disk. Raises JournalError when this fails."""
        assert self._place is not None  # noqa: S101  checked by the caller
        try:
            self._lines.sync()
            self._lines.flushed(event.seq + 1)
            self._place.show()
        except OSError as error:
            raise JournalError(f"{self.path.parent} cannot be created: {error.strerror}; nothing was touched") from None
        self._place = None

    def look(self) -> None:
        """Check, between writes, that the file was not removed, replaced or shortened. A problem is stored in ``failure``."""
        before = self.failure
        with self._lock:
            if not self._lines.closed:
                self.failure = self.failure or self.displaced()
        self._raise_alarm(before)

    def displaced(self) -> str:
        """Reason why the written events are no longer in the file. It is empty when the events are still in the file."""
        return "" if self._place is not None else self._lines.displaced()

    def _raise_alarm(self, before: str) -> None:
        if self.alarm is not None and self.failure and not before:
            self.alarm(self.failure)

    def also(self, observer: Observer) -> None:
        """Add an ``observer`` for later events. If it fails, the other observers still receive events."""
        self._observers = [*self._observers, observer]

    def _slept(self, what: Content) -> dict[str, float]:
        now = suspended() if what.STAMPED else None
        return {} if now is None or self._asleep is None else {"slept_s": round(now - self._asleep, 3)}

    def _tell(self, event: Event) -> None:
        """Pass ``event`` to the observers. An observer that fails, for example on a closed terminal, is removed."""
        for observer in self._observers:
            try:
                observer(event)
            except (Exception, SystemExit) as error:  # noqa: BLE001  no error of an observer may prevent an undo
                self._observers = [other for other in self._observers if other is not observer]
                self.append(_observer_failed(error))

    def clock(self) -> float:
        """Present time on the run's clock, in seconds."""
        return time.monotonic() - self.origin

    def close(self) -> None:
        """Write the lines that wait in memory to disk, and close the file. It is safe to call this twice."""
        with self._flushing, self._lock:
            self._lines.close()
            if self._place is not None:
                self._place.drop(FILE)


@functools.cache
def _names_of(kind: type[Content]) -> frozenset[str]:
    """Return the names of the fields that a kind of event has in the journal; empty for an unknown kind."""
    fields = kind.model_fields
    return frozenset(info.serialization_alias or name for name, info in fields.items()) if kind.KIND else frozenset()


def alive(folder: Path) -> bool:
    """Return True while a process of this machine writes the journal in ``folder``."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        return locked(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> History:
    """Read a journal and verify its hash chain.

    An incomplete last line is left out, and ``torn`` reports it. Raises JournalError when a line was changed, removed or
    moved. The error names the first such line.
    """
    history, wrong = salvage(path)
    if wrong:
        raise JournalError(wrong)
    return history


def salvage(path: Path) -> tuple[History, str]:
    """Read the intact part of a journal. Return this part, and the problem of the line after it.

    The problem is empty when all lines are intact. Raises JournalError when the file cannot be read at all.
    """
    return parse(path, content_of(path))


def parse(path: Path, data: bytes, walked: Walk | None = None) -> tuple[History, str]:
    """Read the intact part of a journal, as ``salvage`` does. ``data``: content of the journal. ``path``: path
    of the journal, for messages. ``walked``: result of ``walk(data)``, if the caller has it already.
    """
    walked = walked or walk(data)
    with paused():
        valid = not walked.line and all(map(_valid, walked.events))
    if valid:
        return History(walked.events, walked.torn), ""
    lines = data.split(b"\n")
    torn = lines.pop() != b""
    events: list[Event] = []
    wrong = ""
    with paused():
        for number, line in enumerate(lines, 1):
            try:
                events.append(_next(path, number, line, events))
            except JournalError as error:
                wrong = error.message
                break
    if not events and not wrong:
        wrong = f"{path} contains no event"
    return History(tuple(events), torn), wrong


def legible(path: Path, data: bytes | None = None) -> tuple[Event, ...]:
    """Return those events of a damaged journal whose own hash is correct, in their order. Other lines may be damaged.

    Use the result only for a manual cleanup, and never instead of ``read``. Raises JournalError when the file cannot be read
    at all.
    """
    events = []
    for number, line in enumerate((content_of(path) if data is None else data).split(b"\n"), 1):
        with contextlib.suppress(JournalError):
            events.append(_event(path, number, line))
    return tuple(events)


def first(path: Path) -> Event:
    """Read the first event of a journal, without checking the other events. Raises JournalError when this fails."""
    try:
        with path.open("rb") as file:
            line = file.readline()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from None
    return _event(path, 1, line.removesuffix(b"\n"))


def content_of(path: Path) -> bytes:
    """Return the bytes of a journal. Raises JournalError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from None


def _next(path: Path, number: int, line: bytes, events: list[Event]) -> Event:
    """Parse ``line``. It must follow ``events`` in the chain. Raises JournalError when it does not."""
    event = _event(path, number, line)
    if events and event.prev != events[-1].hash:
        raise JournalError(f"{path}:{number}: the chain is broken: a line before this one was changed, removed or moved")
    if event.seq != len(events):
        raise JournalError(f"{path}:{number}: the line has the `seq` {event.seq}, but {len(events)} was expected")
    return event


def _event(path: Path, number: int, line: bytes) -> Event:
    try:
        content = json.loads(line)
        event = Event.model_validate(content)
        claimed = content.pop("hash")
        if digest(canonical_again(content)) != claimed:
            raise JournalError(f"{path}:{number}: the line was changed: its hash does not match")
    except (ValueError, ValidationError, RecursionError) as error:
        raise JournalError(f"{path}:{number}: this is not a line of a journal: {str(error).splitlines()[0]}") from None
    try:
        event.what  # noqa: B018  parsed and cached at the first use
    except ValueError as error:
        raise JournalError(f"{path}:{number}: the event is invalid: {error}") from None
    return event


def _valid(event: Event) -> bool:
    """Return True when the content of ``event`` fits the model of its kind."""
    try:
        event.what  # noqa: B018  parsed and cached at the first use
    except ValueError:
        return False
    return True


def _observer_failed(error: BaseException) -> Content:
    from drillbook.events.runs import ObserverFailed  # noqa: PLC0415  slow to load

    return ObserverFailed(message=f"{type(error).__name__}: {error}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"

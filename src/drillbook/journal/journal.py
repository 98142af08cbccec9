"""The journal: the run's append-only record, hash-chained, fsynced before anything is changed. See docs/journal.md."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
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
from drillbook.redact import Redactor
from drillbook.sdk.run_folder import RunFolder, sync_path
from drillbook.values import canonical, digest

FILE = "journal.jsonl"
SAFE_INTEGER = 2**53 - 1
"""Larger numbers are not exact in JSON (RFC 8785, section 3.2.2.3); they are written as text."""


READS = 5
"""Readings of two clocks, of which the one that took least time counts."""
MOST_WAITING = 4 << 20
"""Bytes of lines that wait for room on the disk; beyond them those of bulky kinds are left out."""


def suspended() -> float | None:
    """Seconds for which this machine was suspended since it booted; None where the system does not tell.

    Linux has two clocks for it: CLOCK_BOOTTIME goes on while the machine sleeps, CLOCK_MONOTONIC does not; see
    clock_gettime(2).
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    if clock is None:
        return None
    found = []
    for _ in range(READS):
        before = time.monotonic()
        boot = time.clock_gettime(clock)
        after = time.monotonic()
        found.append((after - before, boot - (before + after) / 2))
    return min(found)[1]


@dataclass(frozen=True, slots=True)
class History:
    """A journal as read: its events, and whether its last line was torn by a power loss."""

    events: tuple[Event, ...]
    torn: bool

    @property
    def head(self) -> str:
        """Hash of the last event."""
        return self.events[-1].hash


Observer = Callable[[Event], None]


class Journal:
    """Writes one journal; every method may be called from several threads at once."""

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
        """Open a new ``journal.jsonl`` in ``folder``; it is locked against other writers until it is closed.

        ``origin`` is the monotonic time at which the run's clock shows 0; ``prev`` is the head of the run before.
        ``observer`` sees each event after it is written. ``place`` is shown as ``folder`` once the first event is on the
        disk. Raises JournalError when another process writes it.
        """
        self.path = folder / FILE
        self._place, inside = place, place.inside if place else folder
        self.origin = origin
        self.patient = False
        """True once something is broken: what cannot be written then waits in memory for room, and ``failure`` tells it."""
        self.failure = ""
        """Why lines could not be written in time, or would not be found; the first reason. Empty: all of them were."""
        self.alarm: Callable[[str], None] | None = None
        """Told of ``failure`` once, when it comes."""
        self.redactor = redactor
        self._decisive: list[Event] = []
        self._waiting: list[bytes] = []
        self._asleep = suspended()
        self._observers = [observer] if observer else []
        self._seq, self._prev = 0, prev
        self._lock = threading.Lock()
        self._file = os.open(inside / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock_file()
        self._size = os.lseek(self._file, 0, os.SEEK_END)
        sync_path(inside)

    @classmethod
    def resume(cls, folder: Path, redactor: Redactor, *, origin: float, observer: Observer | None = None) -> Journal:
        """Continue a journal that exists: lock it first, so that what is then read is all there is. Raises JournalError."""
        journal = cls(folder, redactor, origin=origin, observer=observer)
        try:
            history = read(journal.path)
            if history.torn:
                _set_aside_tail(journal.path)
        except JournalError:
            journal.close()
            raise
        journal._seq, journal._prev = len(history.events), history.head
        journal._size = os.lseek(journal._file, 0, os.SEEK_END)
        journal._decisive = [event for event in history.events if event.what.DECISIVE]
        return journal

    def decisive(self) -> tuple[Event, ...]:
        """The events that decide what is put back, in order, from memory: also those that the disk does not hold."""
        with self._lock:
            return tuple(self._decisive)

    def _lock_file(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise JournalError(
                f"{self.path} is being written by another process: the run is alive",
                hint="wait until it has ended, or stop that process; then try again",
            ) from None

    def append(
        self, what: Content, *, step: str | None = None, host: str | None = None, sync: bool = False, required: bool = False
    ) -> Event:
        """Write one event with the content ``what``; with ``sync`` it is on the disk when this returns.

        Raises JournalError when it cannot be; while ``patient`` is set it then waits for room instead, unless it is
        ``required``.
        """
        clean = self._redacted(what)
        before = self.failure
        with self._lock:
            content: dict[str, Any] = {
                "seq": self._seq,
                "at": _now(),
                "clock": round(time.monotonic() - self.origin, 6),
                "kind": what.kind_name(),
                "data": clean,
                "prev": self._prev,
            }
            content |= {key: value for key, value in (("step", step), ("host", host)) if value is not None}
            event = Event(hash=digest(canonical(content)), **content)
            line = canonical(content | {"hash": event.hash}) + b"\n"
            kept = self._keep(line, sync, lenient=self.patient and not required, bulk=what.BULK)
            self._show()
            if kept:
                self._seq, self._prev = event.seq + 1, event.hash
                if what.DECISIVE:
                    self._decisive.append(event)
        self._raise_alarm(before)
        self._tell(event)
        return event

    def _redacted(self, what: Content) -> dict[str, Any]:
        """The data of an event without secrets. Names of fields are none: whoever reads the journal needs them."""
        fields = type(what).model_fields
        names = {info.serialization_alias or name for name, info in fields.items()} if what.KIND else set()
        data = _jsonable({**what.data(), **self._slept(what)})
        rest: dict[str, Any] = self.redactor.value({key: value for key, value in data.items() if key not in names})
        return rest | {key: self.redactor.value(value) for key, value in data.items() if key in names}

    def _show(self) -> None:
        if self._place is not None:
            try:
                self._place.show()
            except OSError as error:
                raise JournalError(f"{self.path.parent} cannot be made: {error.strerror}; nothing was touched") from None
            self._place = None

    def look(self) -> None:
        """Notice that the file was taken away or shortened, also while nothing is written."""
        before = self.failure
        with self._lock:
            if self._file >= 0:
                self.failure = self.failure or self.displaced()
        self._raise_alarm(before)

    def displaced(self) -> str:
        """Why what was written would not be found where it belongs; empty when it would."""
        if self._place is not None:
            return ""
        if self._file < 0:
            return f"{self.path} is closed"
        mine = os.fstat(self._file)
        try:
            there = self.path.stat()
        except OSError as error:
            return f"{self.path} is gone: {error.strerror}"
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            return f"{self.path} is another file now"
        return f"{self.path} was shortened by somebody else" if mine.st_size < self._size else ""

    def _raise_alarm(self, before: str) -> None:
        if self.alarm is not None and self.failure and not before:
            self.alarm(self.failure)

    def also(self, observer: Observer) -> None:
        """Show each event from now on to ``observer`` too; one that breaks does not end the others."""
        self._observers = [*self._observers, observer]

    def _slept(self, what: Content) -> dict[str, float]:
        now = suspended() if what.STAMPED else None
        return {} if now is None or self._asleep is None else {"slept_s": round(now - self._asleep, 3)}

    def _tell(self, event: Event) -> None:
        """Show ``event`` to the observers; one that breaks (a closed terminal) is dropped: the run matters more."""
        for observer in self._observers:
            try:
                observer(event)
            except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it is, it must not keep an undo from being done
                self._observers = [other for other in self._observers if other is not observer]
                self.append(_observer_failed(error))

    def _keep(self, line: bytes, sync: bool, *, lenient: bool, bulk: bool) -> bool:
        """Write ``line`` behind those that wait for room, or let it wait too; False when it is left out.

        Raises JournalError unless ``lenient``.
        """
        why = self.displaced()
        waiting = [*self._waiting, line]
        try:
            if not why or lenient:
                self._write(b"".join(waiting), sync)
                waiting = []
        except OSError as error:
            why = f"{self.path} cannot be written: {error.strerror or error}"
        if why and not lenient:
            raise JournalError(why, hint="free some space; nothing is injected that cannot be recorded first")
        self.failure = self.failure or why
        if bulk and sum(map(len, waiting)) > MOST_WAITING:
            return False
        self._waiting = waiting
        return True

    def _write(self, lines: bytes, sync: bool) -> None:
        """Write whole lines or none of them. Raises OSError."""
        whole = os.lseek(self._file, 0, os.SEEK_END)
        left = lines
        try:
            while left:
                left = left[os.write(self._file, left) :]
            if sync:
                os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, whole)
            raise
        self._size = whole + len(lines)

    def clock(self) -> float:
        """Seconds on the run's clock now."""
        return time.monotonic() - self.origin

    def close(self) -> None:
        """Flush to the disk and close; safe to call twice."""
        with self._lock:
            if self._file >= 0:
                with contextlib.suppress(OSError):
                    self._write(b"".join(self._waiting), sync=True)
                os.close(self._file)
                self._file = -1
            if self._place is not None:
                self._place.drop(FILE)


def alive(folder: Path) -> bool:
    """True while a process of this machine writes the journal in ``folder``."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def read(path: Path) -> History:
    """Read a journal and check its chain.

    A torn last line is left out and reported by ``torn``. Raises JournalError that names the first line which was
    changed, removed or moved.
    """
    history, wrong = salvage(path)
    if wrong:
        raise JournalError(wrong)
    return history


def salvage(path: Path) -> tuple[History, str]:
    """A journal as far as it is whole, and what is wrong with the line behind that; '' when nothing is.

    Raises JournalError when it cannot be read at all.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from None
    torn = lines.pop() != b""
    events: list[Event] = []
    wrong = ""
    for number, line in enumerate(lines, 1):
        try:
            events.append(_next(path, number, line, events))
        except JournalError as error:
            wrong = error.message
            break
    if not events and not wrong:
        wrong = f"{path} holds no event"
    return History(tuple(events), torn), wrong


def legible(path: Path) -> tuple[Event, ...]:
    """Every line of a damaged journal whose own hash fits, whatever became of those around it, in their order.

    For people who have to clear up by hand, never in place of ``read``. Raises JournalError when it cannot be read at all.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from None
    found = []
    for number, line in enumerate(lines, 1):
        with contextlib.suppress(JournalError):
            found.append(_event(path, number, line))
    return tuple(found)


def _next(path: Path, number: int, line: bytes, events: list[Event]) -> Event:
    """The event of ``line``, which must continue ``events``. Raises JournalError."""
    event = _event(path, number, line)
    if events and event.prev != events[-1].hash:
        raise JournalError(f"{path}:{number}: the chain is broken: a line before this one was changed, removed or moved")
    if event.seq != len(events):
        raise JournalError(f"{path}:{number}: the line numbers itself {event.seq}, expected {len(events)}")
    return event


def _event(path: Path, number: int, line: bytes) -> Event:
    try:
        content = json.loads(line)
        event = Event.model_validate(content)
        claimed = content.pop("hash")
        if digest(canonical(content)) != claimed:
            raise JournalError(f"{path}:{number}: the line was changed: its hash does not fit")
    except (ValueError, ValidationError, RecursionError) as error:
        raise JournalError(f"{path}:{number}: not a line of a journal: {str(error).splitlines()[0]}") from None
    try:
        event.what  # noqa: B018  read once, and kept
    except ValueError as error:
        raise JournalError(f"{path}:{number}: the event cannot be read: {error}") from None
    return event


def _observer_failed(error: BaseException) -> Content:
    from drillbook.events.runs import ObserverFailed  # noqa: PLC0415  the models take time to load; most commands need none

    return ObserverFailed(message=f"{type(error).__name__}: {error}")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _jsonable(value: Any) -> Any:
    """``value`` with all that JSON cannot carry exactly written as text."""
    if isinstance(value, dict):
        return {_text(str(key)): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    if value is None:
        return value
    if isinstance(value, int | float):  # a bool is one of them, and stays one
        return value if math.isfinite(value) and abs(value) <= SAFE_INTEGER else str(value)
    return _text(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value))


def _text(text: str) -> str:
    """``text`` without lone surrogates, which UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode()


def _set_aside_tail(path: Path) -> None:
    """Move what stands behind the last line end into a file beside the journal, so that new lines stay readable."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    path.with_name(f"torn-{whole}").write_bytes(data[whole:])
    os.truncate(path, whole)

"""State of a run, derived from its folder. The journal and the result file are read only once. All functions of a task get the
same object, which holds their content.

Therefore the digest, the chain of hashes, the events and the verdict all come from the same bytes, and exactly the verified
content is shown. A later change of a file during the task has no effect on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from drillbook.errors import JournalError
from drillbook.events.event import Event, last
from drillbook.journal import damaged, journal, lines
from drillbook.journal.journal import FILE, History
from drillbook.journal.json_values import json_object
from drillbook.journal.line_file import locked
from drillbook.journal.lines import NO_CHAIN, Chain, Walk
from drillbook.journal.result_file import ResultFile
from drillbook.values import digest


def needs_recovery(history: History) -> bool:
    """Return True for a run that did not end, and for a run that ended with changes that were not undone."""
    from drillbook.events.runs import Ended  # noqa: PLC0415  slow to load

    end = last(history.events, Ended)
    return end is None or bool(end[1].residue)


@dataclass(frozen=True)
class RunState:
    """State of the run in ``folder``, or of the suite, which has no journal of its own.

    Each part is read at its first use and then cached. Pass this object to other functions, so that they do not read the
    parts again. Make a new object only after the run has changed. A process that writes the journal holds a lock. The lock is
    checked directly before the journal is read. If no process holds the lock at this moment, nothing is written any more, and
    the journal is complete.
    """

    folder: Path

    @cached_property
    def result(self) -> ResultFile:
        """Result file of the run or suite."""
        return ResultFile(self.folder)

    @cached_property
    def alive(self) -> bool:
        """True while a process of this machine writes the journal."""
        return journal.alive(self.folder)

    @property
    def settled(self) -> bool:
        """True when the run's result file says one of two things: no changes remain, or a person declared that the remaining
        changes need no undo.
        """
        return damaged.settled(self.result.as_object())

    @cached_property
    def lost(self) -> str:
        """Text that tells how the journal was lost (emptied or removed). It is empty when the journal has a complete first
        line.
        """
        line = self._line
        begun = not isinstance(line, FileNotFoundError) if isinstance(line, OSError) else line.endswith(b"\n")
        return "" if begun else damaged.how_lost(self.folder)

    @cached_property
    def first_line(self) -> Mapping[str, Any]:
        """Content of the first line of the journal, without verification. It is empty when the line cannot be read.

        The other lines of the journal are not read.
        """
        return {} if isinstance(self._line, OSError) else json_object(self._line)

    @cached_property
    def _line(self) -> bytes | OSError:
        """First line of the journal, with its line feed. If the whole journal was read before, the line is taken from memory."""
        content: bytes | OSError | None = self.__dict__.get("_content")
        if isinstance(content, bytes):
            return content[: content.find(b"\n") + 1] or content
        if content is not None:
            return content
        try:
            with (self.folder / FILE).open("rb") as file:
                return file.readline()
        except OSError as error:
            return error

    @cached_property
    def _content(self) -> bytes | OSError:
        """Bytes of the journal, or the reason why they cannot be read."""
        try:
            with (self.folder / FILE).open("rb") as file:
                # the lock first: what a run that has ended wrote is then complete
                self.__dict__.setdefault("alive", locked(file.fileno()))
                return file.read()
        except OSError as error:
            return error

    @cached_property
    def unreadable(self) -> OSError | None:
        """Reason why the journal cannot be read. It is None when the journal can be read."""
        return self._content if isinstance(self._content, OSError) else None

    @property
    def data(self) -> bytes:
        """Bytes of the journal. Raises JournalError when the journal cannot be read."""
        if isinstance(self._content, OSError):
            why = self._content.strerror
            raise JournalError(f"the journal {self.folder / FILE} cannot be read: {why}") from self._content
        return self._content

    @cached_property
    def size(self) -> int:
        """Number of bytes of the journal. Raises JournalError when the journal cannot be read."""
        return len(self.data)

    @cached_property
    def digest(self) -> str:
        """Digest of the journal. Raises JournalError when the journal cannot be read."""
        return digest(self.data)

    @cached_property
    def walk(self) -> Walk:
        """Examination of the journal, line by line. Raises JournalError when the journal cannot be read."""
        return lines.walk(self.data)

    @cached_property
    def chain(self) -> Chain:
        """Verified chain of hashes of the journal. It is empty when the journal cannot be read."""
        return NO_CHAIN if self.unreadable else self.walk.chain

    @cached_property
    def intact(self) -> tuple[History, str]:
        """Journal up to the first damaged line, and the problem of this line; see ``journal.salvage``. Raises JournalError
        when the journal cannot be read.
        """
        return journal.parse(self.folder / FILE, self.data, self.walk)

    @cached_property
    def _read(self) -> tuple[History, str]:
        """Return the intact part of the journal, and the damage of the journal."""
        _ = self.unreadable  # reads the whole journal, so that `lost` need not read its first line
        if self.lost:
            return History((), torn=False), self.lost
        try:
            return self.intact
        except JournalError as error:
            return History((), torn=False), error.message

    @property
    def damage(self) -> str:
        """Text that describes a broken line, or an empty or missing journal. When every line is intact, the text is empty."""
        return self._read[1]

    @property
    def events(self) -> tuple[Event, ...]:
        """All events of the journal. In a damaged journal, only the events before the damage."""
        return self._read[0].events

    @property
    def history(self) -> History:
        """The whole journal. Raises JournalError when the journal is damaged."""
        if self.damage:
            raise JournalError(self.damage)
        return self._read[0]

    @property
    def first(self) -> Mapping[str, Any]:
        """First event of the journal as a mapping. The mapping is empty when its line is damaged or missing."""
        return self.events[0].model_dump() if self.events else {}

    @property
    def needs_recovery(self) -> bool:
        """True when the run did not end, or did not undo all its changes.

        Only the intact part of its journal is considered.
        """
        return needs_recovery(self._read[0])

    @property
    def open(self) -> bool:
        """True when the run needs a recovery. Normally the journal shows this; see ``needs_recovery``.

        A damaged journal does not show how the run ended. Such a run needs a recovery until ``settled`` is true.
        """
        return not self.settled if self.damage else self.needs_recovery

    def forget_events(self) -> None:
        """Free the memory of the journal's bytes and events. Tasks that read hundreds of runs call this method.

        The first line, the digest and the chain of hashes stay known. The events are never read again, because the file may
        have changed since they were verified.
        """
        _ = self.chain, self.first_line, self.lost
        if self.unreadable is None:
            _ = self.size, self.digest
            self.__dict__["_content"] = _FORGOTTEN
        for part in ("walk", "intact", "_read"):
            self.__dict__.pop(part, None)


_FORGOTTEN = OSError(0, "the events of this journal were freed, and must not be read again")


@dataclass(frozen=True)
class RunStates:
    """States of all runs and suites that one task reads. Through this object, the task reads each of their files only once.

    A task makes this object and passes it to its functions. The object must not outlive the task, because the files may change.
    """

    _states: dict[Path, RunState] = field(default_factory=dict)

    def of(self, folder: Path) -> RunState:
        """Return the state of the run or suite in ``folder``. Each call for a folder returns the same object."""
        return self._states.setdefault(folder, RunState(folder))

    def clear(self) -> None:
        """Free the memory of all states. Each run is read anew if it is needed again."""
        self._states.clear()

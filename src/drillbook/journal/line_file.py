"""The file of a journal. It appends whole lines, and flushes them to the disk. Lines that cannot be written wait in memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from drillbook.errors import JournalError

MOST_WAITING = 4 << 20
"""Maximum size of the lines in memory, in bytes. The limit applies to two groups of lines separately.

Lines that wait to be written: when they exceed the limit, a new line of bulk data is dropped. Lines that are written but not
flushed: when they exceed the limit, they are flushed.
"""
HINT = "free some disk space; a fault is injected only after the journal has recorded it"


class LineFile:
    """Lines of one file, numbered from 0.

    Some lines are surely on the disk, some are written but not flushed, and some wait in memory. The object is not
    thread-safe, so the caller holds a lock. Only ``sync`` may run at the same time as ``add``.
    """

    def __init__(self, path: Path, inside: Path) -> None:
        """Open the file in the folder ``inside``, or create it, and lock it. ``path``: its path as shown in messages.

        Raises JournalError when the file cannot be opened, or when another process has locked it.
        """
        self.path = path
        self._waiting: list[bytes] = []
        self._loose: list[bytes] = []
        """Lines that were written since the last flush. They stay in memory in case the next flush fails."""
        self._loose_bytes = 0
        self._sure = 0
        """Number of lines that are surely on the disk."""
        self._file = os.open(inside / path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock_file()
        mine = os.fstat(self._file)
        self._place = (mine.st_dev, mine.st_ino)
        self._size = mine.st_size

    def _lock_file(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise JournalError(
                f"{self.path} is being written by another process, so the run is still running",
                hint="wait until the run has ended, or stop that process; then try again",
            ) from None

    @property
    def closed(self) -> bool:
        """True after ``close``."""
        return self._file < 0

    @property
    def lines(self) -> int:
        """Number of lines, including the lines that wait in memory."""
        return self._sure + len(self._loose) + len(self._waiting)

    def resumed(self, lines: int) -> None:
        """Prepare to append to an existing file, after its content was read. ``lines``: number of lines in the file."""
        self._sure = lines
        self._size = os.lseek(self._file, 0, os.SEEK_END)

    def add(self, line: bytes, *, lenient: bool, bulk: bool, displaced: str) -> tuple[str, bool]:
        """Write the lines that wait in memory, and then ``line``, to the file. If the disk is full, ``line`` waits in
        memory, too. ``displaced``: the problem that the file was moved or removed. The text is empty if the file is in its
        place. Return two values: the problem (or an empty text), and False if ``line`` was dropped. Raises JournalError
        when there is a problem and ``lenient`` is false.
        """
        why = displaced
        self._waiting.append(line)
        if not why or lenient:
            try:
                self.write()
            except OSError as error:
                why = self.problem(error)
        if why and not lenient:
            self._waiting.pop()
            raise JournalError(why, hint=HINT)
        if bulk and sum(map(len, self._waiting)) > MOST_WAITING:
            self._waiting.pop()
            return why, False
        return why, True

    def problem(self, error: OSError) -> str:
        """Describe ``error`` of a write or a flush."""
        return f"{self.path} cannot be written: {error.strerror or error}"

    def write(self) -> None:
        """Write all lines that wait in memory. When that fails, none of them is written, and OSError is raised."""
        if not self._waiting:
            return
        lines = b"".join(self._waiting)
        left = lines
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            os.ftruncate(self._file, os.lseek(self._file, 0, os.SEEK_END) - len(lines) + len(left))
            raise
        self._size += len(lines)
        self._loose += self._waiting
        self._loose_bytes += len(lines)
        self._waiting = []
        if self._loose_bytes > MOST_WAITING:
            with contextlib.suppress(OSError):  # nobody waits for it; whoever needs the disk asks by `sync`
                self.sync()
                self.flushed(self.lines)

    def sync(self) -> None:
        """Flush all written lines to the disk. Raises OSError when the flush fails."""
        os.fsync(self._file)

    def is_sure(self, number: int) -> bool:
        """Return True when the line with this number is surely on the disk."""
        return number < self._sure

    def flushed(self, lines: int) -> None:
        """Record that the first ``lines`` lines of the file are on the disk.

        Called after a flush that began when these lines were already written.
        """
        if lines > self._sure:
            self._loose_bytes -= sum(map(len, self._loose[: lines - self._sure]))
            del self._loose[: lines - self._sure]
            self._sure = lines

    def unflushed(self) -> None:
        """Remove the last lines from the file after a failed flush, because it is unknown whether they reached the disk. They
        are kept in memory and written again later.

        Raises OSError when the file cannot be shortened.
        """
        os.ftruncate(self._file, max(0, self._size - self._loose_bytes))
        self._size = os.lseek(self._file, 0, os.SEEK_END)
        self._waiting = self._loose + self._waiting
        self._loose, self._loose_bytes = [], 0

    def withdraw(self, number: int) -> bool:
        """Remove a line from the lines that wait to be written. Only the last line of the file can be removed. ``number``:
        number of the line.

        Return True when the line was removed. Return False when this line is not the last line, or when no line waits.
        """
        if not self._waiting or number != self.lines - 1:
            return False
        self._waiting.pop()
        return True

    def displaced(self) -> str:
        """Return the reason why the written lines are no longer in the file. The result is empty when they are there."""
        if self.closed:
            return f"{self.path} is closed"
        try:
            there = self.path.stat()
        except OSError as error:
            return f"{self.path} no longer exists: {error.strerror}"
        if (there.st_dev, there.st_ino) != self._place:
            return f"{self.path} was replaced by another file"
        return f"{self.path} was shortened by another program" if there.st_size < self._size else ""

    def close(self) -> None:
        """Write the lines that wait in memory, flush them, and close the file. It is safe to call this twice."""
        if self.closed:
            return
        with contextlib.suppress(OSError):
            self.write()
            self.sync()
        os.close(self._file)
        self._file = -1


def set_aside_tail(path: Path) -> None:
    """Move an incomplete last line to a separate file. Otherwise the next line would be appended to the incomplete one,
    and both lines would be unreadable.
    """
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    path.with_name(f"torn-{whole}").write_bytes(data[whole:])
    os.truncate(path, whole)


def locked(descriptor: int) -> bool:
    """Return True while a process of this machine has locked the open file to write it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # at once, because a writer that starts now would be refused
    except BlockingIOError:
        return True
    except OSError:
        return False  # no run writes to a file system without locks
    return False

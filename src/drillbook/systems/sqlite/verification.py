"""Program that examines a copy of an SQLite database on a host: its header, write-ahead log, pages, foreign keys and rows.

It needs only the standard library of Python 3.7 or later. ``drillbook.sdk.host_programs`` sends the program to the host.
When SQLite opens the copy, it replays the write-ahead log, which changes the copy. So the program must be given a private
copy.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import sys
from collections.abc import Collection
from typing import Any, BinaryIO

MAGIC = b"SQLite format 3\x00"
HEADER, WAL_HEADER, FRAME_HEADER = 100, 32, 24
"""Sizes in bytes of three headers: the header of a database file, of a write-ahead log, and of each frame in the log. Source:
https://www.sqlite.org/fileformat2.html.
"""
WAL_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""Byte order of the checksums in a write-ahead log. The key of each entry is the magic number at the beginning of the log."""
TABLES = """
SELECT name, sql LIKE 'CREATE VIRTUAL%' FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
"""
MOST = 20
"""Maximum number of messages of one kind in the result."""


def header(path: str) -> dict[str, Any]:
    """Read the header of the database file ``path``, and return its facts.

    ``bytes``: size of the file; ``empty``: true when the file has no bytes; ``foreign``: first bytes of a file that is no
    SQLite database; ``cut``: reason why the file is incomplete or invalid; ``wal``: true in WAL mode; ``writer``: version
    number of the SQLite that wrote the file.
    """
    size = os.path.getsize(path)  # noqa: PTH202  standard functions alone, as in the other programs for hosts
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read(HEADER)
    facts: dict[str, Any] = {"bytes": size, "empty": size == 0, "foreign": "", "cut": "", "wal": False, "writer": 0}
    if size == 0:
        return facts
    if data[:16] != MAGIC:
        facts["foreign"] = data[:16].hex(" ")
        return facts
    if len(data) < HEADER:
        facts["cut"] = f"the file has {size} bytes, fewer than its header needs"
        return facts
    page = struct.unpack(">H", data[16:18])[0]
    page = 65536 if page == 1 else page
    changes, pages, valid_for = (struct.unpack(">I", data[start : start + 4])[0] for start in (24, 28, 92))
    if page < 512 or page & (page - 1):
        facts["cut"] = f"the header names an invalid page size of {page} bytes"
    elif size % page:
        facts["cut"] = f"the file has {size} bytes, which is not a multiple of its page size of {page} bytes"
    elif changes == valid_for and size < pages * page:
        facts["cut"] = f"the file has {size // page} of its {pages} pages"
    return {**facts, "wal": data[18] == 2, "writer": struct.unpack(">I", data[96:100])[0]}


class Log:
    """Write-ahead log (`-wal`) of a database copy."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Read the header of the log ``file``, which has ``size`` bytes."""
        self.file, self.size = file, size
        head = file.read(WAL_HEADER)
        self.problem = ""
        self.order = WAL_MAGIC.get(struct.unpack(">I", head[:4])[0], "") if len(head) == WAL_HEADER else ""
        if not self.order or struct.unpack(">II", head[24:]) != checksum(self.order, (0, 0), head[:24]):
            self.problem = "the header of the log is damaged"
            return
        self.page = struct.unpack(">I", head[8:12])[0] or 65536
        self.salt, self.start = head[16:24], struct.unpack(">II", head[24:])

    def torn(self, committed: int) -> str:
        """Describe the damage in the frames after the last committed frame, whose number is ``committed``. Return an empty
        text when there is no damage.

        Frames that were written before the last checkpoint of the log are not checked. Such frames have another salt than the
        header of the log.
        """
        if self.problem:
            return self.problem
        frame = FRAME_HEADER + self.page
        sums = self.start
        if committed:
            self.file.seek(WAL_HEADER + (committed - 1) * frame)
            sums = struct.unpack(">II", self.file.read(FRAME_HEADER)[16:])
        number = committed
        while True:
            self.file.seek(WAL_HEADER + number * frame)
            data = self.file.read(frame)
            if len(data) < 16 or data[8:16] != self.salt:
                return ""
            if len(data) < frame:
                return f"the log ends in the middle of frame {number + 1}"
            sums = checksum(self.order, sums, data[:8] + data[FRAME_HEADER:])
            if sums != struct.unpack(">II", data[16:24]):
                return f"the checksum of frame {number + 1} is wrong"
            number += 1


def checksum(order: str, sums: tuple[int, int], data: bytes) -> tuple[int, int]:
    """Update the checksum ``sums`` of a write-ahead log with ``data``. The length of ``data`` must be a multiple of 8 bytes."""
    first, second = sums
    for word, other in struct.iter_unpack(f"{order}II", data):
        first = (first + word + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


def quoted(name: str) -> str:
    """Quote an identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def rows(session: sqlite3.Connection) -> tuple[dict[str, int], list[str]]:
    """Count the rows of each table. Also return the names of the virtual tables whose rows could not be counted, because the
    SQLite library on this host lacks the table's module.
    """
    counts, unread = {}, []
    for name, virtual in session.execute(TABLES).fetchall():
        try:
            counts[name] = session.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]  # noqa: S608  quoted
        except sqlite3.OperationalError:
            if not virtual:
                raise
            unread.append(name)
    return counts, unread


def newest(session: sqlite3.Connection, clock: str, tables: Collection[str]) -> dict[str, Any]:
    """Return the largest value in a column as the fact ``newest``. ``clock``: the column as `table.column`, or an empty
    text for no column. The fact ``clock_missing`` is true when none of the ``tables`` has this column.
    """
    table, _, name = clock.rpartition(".")
    if table in tables:
        column = f"{quoted(table)}.{quoted(name)}"  # without its table, SQLite reads the name of an absent column as a text
        try:
            query = f"SELECT max({column}) FROM {quoted(table)} WHERE typeof({column}) <> 'blob'"  # noqa: S608  quoted
            return {"newest": session.execute(query).fetchone()[0], "clock_missing": False}
        except sqlite3.OperationalError as error:
            if "no such column" not in str(error):
                raise
    return {"newest": None, "clock_missing": bool(clock)}


def content(session: sqlite3.Connection, clock: str) -> dict[str, Any]:
    """Verify all pages and foreign keys, and count the rows."""
    checked = [row[0] for row in session.execute(f"PRAGMA integrity_check({MOST})").fetchall()]
    problems = [] if checked == ["ok"] else checked
    if problems:
        return {"problems": problems}
    broken = [f"row {row[1]} of {row[0]} refers to a missing row of {row[2]}" for row in references(session)]
    counts, unread = rows(session)
    return {
        "references": broken[:MOST],
        "broken_references": len(broken),
        "tables": counts,
        "unread": unread,
        **newest(session, clock, counts),
    }


def references(session: sqlite3.Connection) -> list[Any]:
    """Return the rows whose foreign key refers to a missing row. When a foreign key is declared wrongly, SQLite cannot check
    the references, and the result is empty.
    """
    try:
        return session.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.OperationalError as error:
        if "foreign key mismatch" not in str(error):
            raise
        return []


def opened(path: str, clock: str) -> dict[str, Any]:
    """Open the copy and examine its content. Opening replays the write-ahead log."""
    facts: dict[str, Any] = {"error": "", "torn": "", "frames": 0}
    session = sqlite3.connect(path, isolation_level=None)
    try:
        session.execute("PRAGMA schema_version").fetchone()
        _, _, committed = session.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        facts["frames"] = max(0, committed)
        log = f"{path}-wal"
        size = os.path.getsize(log) if os.path.exists(log) else 0  # noqa: PTH110, PTH202
        if size:
            with open(log, "rb") as file:  # noqa: PTH123
                facts["torn"] = Log(file, size).torn(facts["frames"])
        facts.update(content(session, clock))
    except sqlite3.Error as error:
        facts["error"] = f"{type(error).__name__}: {error}"
    finally:
        session.close()
    return facts


def main(path: str, clock: str) -> None:
    """Print the results for the database copy ``path`` as JSON. ``clock``: column, as `table.column`, whose largest value is
    read; empty: no column.
    """
    log, journal = f"{path}-wal", f"{path}-journal"
    facts = {
        **header(path),
        "log": os.path.getsize(log) if os.path.exists(log) else None,  # noqa: PTH110, PTH202
        "journal": os.path.exists(journal),  # noqa: PTH110
        "library": sqlite3.sqlite_version,
    }
    if not (facts["empty"] or facts["foreign"] or facts["cut"]):
        facts.update(opened(path, clock))
    json.dump(facts, sys.stdout)

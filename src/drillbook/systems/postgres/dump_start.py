"""Finds in the first bytes of a dump the time at which the dump began.

The data in a dump is from the time at which the dump began. The time of the file is later: it is the time at which the dump
ended. An archive of pg_dump contains the start in its header, in the local time of the machine that ran pg_dump. Source:
ReadHead in pg_backup_archiver.c. A plain dump contains its start only if it was taken with --verbose.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import takewhile

from drillbook.sdk.action import Context
from drillbook.sdk.backup import stamp
from drillbook.sdk.backup_beginning import unpacked
from drillbook.sdk.backup_places import Place, StoredFile
from drillbook.sdk.host import Deadline, Host
from drillbook.sdk.local_times import moments

BEGINNING = 4096
"""Number of bytes that are read from the beginning of a dump."""
GLOBALS_LIMIT = 64 << 10
"""Maximum size in bytes of a file of roles. A larger file is not read as a whole, and counts as a dump."""
COMPRESSION_BYTE = (1, 15)
"""First version of the archive format that stores the compression in one byte. Source: K_VERS_1_15 in PostgreSQL."""
AT_ONCE = 16
"""Maximum number of files whose first ``GLOBALS_LIMIT`` bytes are read with one command.

With this number, the answer stays far below the maximum size of an answer.
"""
_OF_CLUSTER = b"--\n-- PostgreSQL database cluster dump\n"
_OF_DATABASES = (b"\n-- Databases\n", b"\n\\connect ", b"\nCREATE DATABASE ")
"""Texts that distinguish a dump of pg_dumpall from a file of roles. The dump contains at least one of them. A file of roles
contains none.
"""
_MEMBER = b"toc.dat\0"
_MEMBER_AT = 512
_VERSION_AT = 5
"""Position of the version in an archive, after its first word PGDMP."""
_STARTED = re.compile(rb"^-- Started on (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [A-Za-z0-9:+-]+)?)$", re.MULTILINE)


def heads(ctx: Context, place: Place, names: Sequence[str], folders: Collection[str]) -> dict[str, bytes]:
    """Return the first bytes of each dump. The key of each entry is the name of the dump.

    ``names``: names of all dumps; ``folders``: names of the dumps in directory format. Raises HostError when the host of the
    dumps cannot be used, and CouldNotVerify when the beginnings cannot be read.
    """
    files = {f"{name}/toc.dat" if name in folders else name: name for name in names}
    head_by_file = place.beginnings(ctx, list(files), BEGINNING) if files else {}
    return {files[file]: head for file, head in head_by_file.items()}


def starts(host: Host, begun: Mapping[str, bytes], deadline: Deadline) -> dict[str, datetime]:
    """Return the time at which each dump began. A dump whose first bytes do not tell this time is left out. The key of each
    entry is the name of the dump.

    ``begun``: first bytes of each dump. Local times are read in the time zone of ``host``. Raises HostError when the host
    cannot be used.
    """
    told = {name: text for name, head in begun.items() if (text := started(head))}
    if not told:
        return {}
    pairs = zip(told, moments(host, list(told.values()), deadline), strict=False)
    return {name: moment for name, moment in pairs if moment}


def globals_only(ctx: Context, place: Place, files: Sequence[StoredFile], begun: Mapping[str, bytes]) -> set[str]:
    """Return the names of the ``files`` that contain only the output of `pg_dumpall --globals-only`. Such a file is no dump
    of a database.

    ``files``: files of the source, the newest first; ``begun``: first bytes of each file. These bytes are enough for most
    files. Small files that begin like output of pg_dumpall are read further: from the newest to the oldest, a few at a time,
    until one of the files is a dump. Raises HostError when the host of the files cannot be used.
    """
    kinds = {file.name: _is_globals_only(begun.get(file.name, b""), file.bytes) for file in files}
    while unknown := [name for name in _before_dump(kinds) if kinds[name] is None][:AT_ONCE]:
        more = place.beginnings(ctx, unknown, GLOBALS_LIMIT)
        kinds |= {name: bool(_is_globals_only(more.get(name, b""), GLOBALS_LIMIT)) for name in unknown}
    return {name for name, kind in kinds.items() if kind}


def _before_dump(kinds: Mapping[str, bool | None]) -> Iterator[str]:
    """Yield the names of the files before the first file that is certainly a dump. ``kinds``: result of ``_is_globals_only``
    for each file, the newest first.
    """
    return takewhile(lambda name: kinds[name] is not False, kinds)


def _is_globals_only(begun: bytes, size: int | None) -> bool | None:
    """Return True if a file contains only roles and other global objects, and False for any other file. This is decided from
    the first bytes of the file. Return None if more bytes must be read to decide it.

    ``size``: size of the file in bytes. A file above the limit is not read further, and is taken as a dump.
    """
    text = unpacked(begun, 16 * GLOBALS_LIMIT)
    if not text.startswith(_OF_CLUSTER) or any(word in text for word in _OF_DATABASES):
        return False
    if b"database cluster dump complete\n" in text:
        return True
    return None if size is not None and len(begun) < size <= GLOBALS_LIMIT else False


def is_tar(head: bytes) -> bool:
    """Return True when ``head``, the first bytes of a dump, is in tar format.

    Compressed bytes are recognised only if Python's standard library can decompress them.
    """
    return unpacked(head, BEGINNING).startswith(_MEMBER)


def archive(head: bytes) -> bytes:
    """Return the beginning of an archive made by pg_dump, even if the archive is inside a tar file.

    The result is empty when the dump is not an archive.
    """
    data = unpacked(head, BEGINNING)
    inside = data[_MEMBER_AT if data.startswith(_MEMBER) else 0 :]
    return inside if inside.startswith(b"PGDMP") else b""


def started(head: bytes) -> str:
    """Return the start time of a dump as text. Return an empty text if the first bytes of the dump do not contain the time."""
    data = unpacked(head, BEGINNING)
    if beginning := archive(head):
        return _of_header(beginning[_VERSION_AT:])
    match = _STARTED.search(data)
    return match[1].decode("ascii") if match else ""


def database(head: bytes) -> str:
    """Return the name of the database that an archive creates. ``head``: first bytes of the archive. Return an empty text if
    the archive creates no database, or if these bytes are not enough to decide this.

    The header of every archive contains the name of the database to which pg_dump connected. But only a dump of a whole
    database creates this database. Such a dump has a CREATE DATABASE statement in its table of contents. Therefore the name is
    returned only if the first bytes contain this statement.
    """
    beginning = archive(head)
    if len(beginning) < _VERSION_AT + 6:
        return ""
    data = beginning[_VERSION_AT:]
    width, position = data[3], _time_at(data)
    position += 7 * (1 + width)
    length = int.from_bytes(data[position + 1 : position + 1 + width], "little")
    name = data[position + 1 + width : position + 1 + width + length]
    quoted = b'"' + name.replace(b'"', b'""') + b'"'
    made = any(b"CREATE DATABASE " + word + b" WITH " in data for word in (name, quoted))
    return name.decode("utf-8", "replace") if name and made else ""


def _time_at(data: bytes) -> int:
    """Return the position of the time in a header. The field for the compression is before the time. The length of this field
    depends on the version of the format: in newer archives, the field is one byte. In older archives, the field is an
    integer, which has one byte for its sign and ``data[3]`` further bytes.
    """
    return 6 + (1 if (data[0], data[1]) >= COMPRESSION_BYTE else 1 + data[3])


def _of_header(data: bytes) -> str:
    """Return the time in the header of an archive as text, or an empty text when the header is incomplete or invalid."""
    if len(data) < 6:
        return ""
    width, position = data[3], _time_at(data)
    fields = []
    for _ in range(6):
        number = data[position : position + 1 + width]
        fields.append(int.from_bytes(number[1:], "little") * (-1 if number[:1] == b"\1" else 1))
        position += 1 + width
    second, minute, hour, day, month, year = fields
    with suppress(ValueError):
        return f"{datetime(year + 1900, month + 1, day, hour, minute, second):%Y-%m-%d %H:%M:%S}"
    return ""


def contradiction(start: datetime) -> str:
    """Return a text about a record in a dump that cannot be right, because it is later than the time of the file."""
    return (
        f"the dump's own record says that it began later, at {stamp(start)}, so this record is not used (the dump comes from another "
        "time zone, or the time of its file was changed)"
    )


def folder(name: str, files: Sequence[StoredFile]) -> StoredFile:
    """Return a dump in directory format as one entry with its total size and its newest modification time."""
    last = max(files, key=lambda file: file.modified)
    return StoredFile(name, sum(file.bytes or 0 for file in files), last.modified, last.basis)

"""Checks RDB and append-only files with redis-check-rdb and redis-check-aof. Also finds damage that these programs miss.

A host needs only the server program of Redis or Valkey. If this program is started under the name of a checker, it acts as
that checker. Checkers and servers stop reading at the end of an RDB, and ignore all bytes after it. So this module compares
the position of this end with the size of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.findings import Finding, finding
from drillbook.sdk.host import Host, Output, excerpt, printable

Program = Annotated[
    str,
    Field(
        description=(
            "Path of redis-server or valkey-server on the host. This program also serves as the checker of the files. Empty: "
            "PATH is searched for a checker or a server."
        )
    ),
]
NO_CHECKER = 86
"""Exit status of ``CHECK`` when the host has neither a checker nor a server."""
# KIND PROGRAM FOLDER PATH: check the file PATH. KIND is rdb or aof. FOLDER gets a link to the server PROGRAM. PROGRAM may be
# empty if a checker or a server is on PATH. Print the size and the first bytes of the file, and the output of the checker.
CHECK = """
kind=$1 program=$2 folder=$3 path=$4
begins=$(head -c 9 -- "$path" | tr -cd 'A-Z0-9')
case $begins in VALKEY*) first=valkey second=redis ;; *) first=redis second=valkey ;; esac
tool=
if test -z "$program"; then
  tool=$(command -v "$first-check-$kind" || command -v "$second-check-$kind") ||
    program=$(command -v "$first-server" || command -v "$second-server") || exit 86
fi
if test -z "$tool"; then
  case ${program##*/} in *valkey*) tool=$folder/valkey-check-$kind ;; *) tool=$folder/redis-check-$kind ;; esac
  ln -sf -- "$program" "$tool"
fi
echo "size $(stat -L -c %s -- "$path")"
echo "begins $begins"
"$tool" "$path"
"""
# PROGRAM BEGINS: let the checker that would check a file read BEGINS, the first word of this file. Without a checker, use the
# server under its name. Say nothing when there is neither.
KNOWS = """
program=$1
case $2 in VALKEY*) first=valkey second=redis ;; *) first=redis second=valkey ;; esac
tool=
if test -z "$program"; then
  tool=$(command -v "$first-check-rdb" || command -v "$second-check-rdb") ||
    program=$(command -v "$first-server" || command -v "$second-server") || exit 0
fi
if test -z "$tool"; then
  folder=$(mktemp -d) || exit 0
  trap 'rm -rf -- "$folder"' EXIT
  case ${program##*/} in *valkey*) tool=$folder/valkey-check-rdb ;; *) tool=$folder/redis-check-rdb ;; esac
  ln -s -- "$program" "$tool"
fi
printf %s "$2" | "$tool" /dev/stdin
"""
# PROGRAM: exit with 0 if PROGRAM is executable; if PROGRAM is empty, exit with 0 if a checker or a server is on PATH.
READY = """
test -n "$1" && { test -x "$1"; exit; }
command -v valkey-check-rdb || command -v redis-check-rdb || command -v valkey-server || command -v redis-server
"""
_HINT = "install redis-tools or valkey-tools on that host, or set `program` to the path of redis-server or valkey-server"
NEWER = "install the version of Redis or Valkey that wrote the file, and set `program` to the path of its server"
"""Hint for a file whose format the checker does not know."""
_OPCODE_AUX = 0xFA
BEGINNING = 512
"""Number of bytes to read from the start of a file, to find its format and the time in its header."""
_MAGIC = re.compile(rb"REDIS\d{4}|VALKEY\d{3}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of the check of one file."""

    problems: tuple[Finding, ...]
    keys: int = 0
    expires: int = 0
    """Number of keys with a time to live."""
    expired: int = 0
    """Number of keys that had expired at the time of the check, by the clock of the host that checked the file."""
    databases: int = 1
    """Number of databases that a server must support to load the file."""
    begins: str = ""
    """First word of the file, such as ``REDIS0011``."""
    checksum: bool = False
    """True when the file has a checksum of its content, and the checksum is correct."""
    facts: dict[str, str] = field(default_factory=dict)


Run = Callable[[Sequence[str]], Output]
"""Function that runs a command on the host where the file is."""


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks files on a host. ``program`` is the path of the server program. When it is empty, PATH is searched for a checker
    or a server.
    """

    run: Run
    host: Host
    program: str
    folder: str
    """Private folder on the host, in which a link to the program is created."""

    def rdb(self, name: str, path: str) -> Verdict:
        """Check the RDB file at ``path``. ``name``: name of the file in findings.

        Raises CouldNotVerify when no program on the host can check this file, and HostError when the host cannot be used.
        """
        output = self._checked("rdb", path)
        text = printable(output.stdout, limit=60_000)
        size = int(_number(r"^size (\d+)", text))
        if size == 0:
            return Verdict((self._empty(name, "a file of 0 bytes"),))
        if output.exit != 0 or "RDB looks OK!" not in text:
            self._must_be_known(name, text)
            return Verdict((self._damaged(name, "an RDB that can be read to its end", _said(text) or _ended(output)),))
        end = int(_number(r"^\[offset (\d+)\] \\o/", text))
        if 0 < end < size:
            return Verdict(
                (self._damaged(name, f"an RDB of {end} bytes", f"{size - end} more bytes after the end of the RDB"),)
            )
        keys, expires, expired = (
            int(_number(rf"^\[info\] (\d+) {word}$", text)) for word in ("keys read", "expires", "already expired")
        )
        nothing = f"{keys} keys, all of which have expired" if keys else "no key"
        return Verdict(
            () if keys > expired else (self._empty(name, nothing),),
            keys=keys,
            expires=expires,
            expired=expired,
            begins=_begins(text),
            databases=1 + max(map(int, re.findall(r"Selecting DB ID (\d+)", text)), default=0),
            checksum="Checksum OK" in text,
            facts=dict(re.findall(r"AUX FIELD (redis-ver|valkey-ver|ctime) = '([^']*)'", text)),
        )

    def aof(self, name: str, path: str) -> Verdict:
        """Check the append-only file at ``path``. The checker opens this file for writing.

        Raises CouldNotVerify when no program on the host can check this file, and HostError when the host cannot be used.
        """
        output = self._checked("aof", path)
        text = printable(output.stdout + output.stderr, limit=60_000)
        self._must_be_known(name, text)
        if output.exit == 0:
            return Verdict(())
        wanted = "an append-only file that can be read to its end"
        return Verdict((self._damaged(name, wanted, _said(text) or _ended(output)),))

    def _checked(self, kind: str, path: str) -> Output:
        output = self.run(("sh", "-c", CHECK, "sh", kind, self.program, self.folder, path))
        if output.exit in (NO_CHECKER, 126, 127):
            raise CouldNotVerify(f"{self.host.name} has no program that can check {path}", hint=_HINT)
        return output

    def _must_be_known(self, name: str, text: str) -> None:
        """Raise CouldNotVerify when the checker does not know the file's format, for example the format of a newer server
        version.
        """
        begins = _begins(text)
        if _is_foreign(text, begins):
            raise CouldNotVerify(
                f"{name} has the format {begins}, which the program on {self.host.name} does not know", hint=NEWER
            )

    def _damaged(self, name: str, wanted: str, measured: str) -> Finding:
        return finding("backup-damaged", title=name, wanted=wanted, measured=measured, host=self.host.name)

    def _empty(self, name: str, measured: str) -> Finding:
        return finding("backup-empty", title=name, wanted="at least one key", measured=measured, host=self.host.name)


def need_checker(run: Run, host: Host, program: str) -> None:
    """Check that the host has a checker program, or the server ``program``. Raises NotReady when it has neither, and
    HostError when the host cannot be used.
    """
    if not run(("sh", "-c", READY, "sh", program)).ok:
        raise NotReady(
            f"{host.name} has no {program or 'redis-check-rdb, valkey-check-rdb or server'}",
            hint=_HINT,
        )


def need_format(run: Run, host: Host, program: str, name: str, beginning: bytes) -> None:
    """Check that the checker on the host knows the format of the RDB ``name``. The server on the host then knows the format
    too, because both have the same version.

    ``beginning``: first bytes of the file. If they are not the beginning of an RDB, nothing is checked. Raises NotReady
    when the checker does not know the format, and HostError when the host cannot be used.
    """
    magic = _MAGIC.match(beginning)
    if not magic:
        return
    begins = magic[0].decode()
    output = run(("sh", "-c", KNOWS, "sh", program, begins))
    if _is_foreign(printable(output.stdout, limit=4000), begins):
        raise NotReady(f"{name} has the format {begins}, which the Redis or Valkey on {host.name} does not know", hint=NEWER)


def is_rdb(beginning: bytes) -> bool:
    """Return True for the first bytes of an RDB."""
    return _MAGIC.match(beginning) is not None


def _is_foreign(text: str, begins: str) -> bool:
    """Return True when ``text``, the output of the checker, says that the format of the file is unknown. ``begins``:
    first word of the file.

    The checker of Valkey 9 reads as much as it can of a file with an unknown format, and may even report the file as
    intact. But the server of Valkey 9 loads such a file only with the setting `rdb-version-check relaxed`.
    """
    foreign = (
        "Wrong signature" in text
        or re.search(r"^\[offset 9\] (?:Foreign|Future) RDB version \d+ detected", text, re.MULTILINE) is not None
        or (begins.startswith("VALKEY") and "format error" in text)
    )
    return "Can't handle RDB format version" in text or (bool(begins) and foreign)


def _begins(text: str) -> str:
    """Return the first word of an RDB file, such as ``REDIS0011``. The result is empty if the file does not begin like an
    RDB.
    """
    match = re.search(r"^begins (REDIS\d{4}|VALKEY\d{3})$", text, re.MULTILINE)
    return match[1] if match else ""


def _number(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else "0"


def _said(text: str) -> str:
    """Return the lines of the checker's output that describe the problem."""
    words = r"ERROR|Unexpected|rror|not valid|Expected|expected|Wrong|wrong|mismatch|additional info|truncated|EOF|Cannot|Unknown"
    lines = [line.strip() for line in text.splitlines() if re.search(words, line) and "AUX FIELD" not in line]
    said = "; ".join(line for line in lines if not line.startswith("--- RDB") and "returned error code" not in line)
    return excerpt(said, limit=600)


def _ended(output: Output) -> str:
    return (
        f"the checker was ended by signal {output.signal}"
        if output.signal
        else f"the checker ended with status {output.exit}"
    )


def saved_at(beginning: bytes) -> datetime | None:
    """Return the time in the header of an RDB. At this time the server began to save the file. Return None for another
    kind of file.
    """
    if not _MAGIC.match(beginning):
        return None
    at = 9
    while at < len(beginning) and beginning[at] == _OPCODE_AUX:
        key, at = _text(beginning, at + 1)
        value, at = _text(beginning, at)
        if key == "ctime" and re.fullmatch(r"\d{1,12}", value):
            return datetime.fromtimestamp(int(value), UTC)
    return None


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Decode the length-encoded string at position ``at`` of an RDB. Return the text, and the position after the string."""
    first = data[at : at + 1] or b"\xff"
    kind, low = first[0] >> 6, first[0] & 0x3F
    if kind == 3 and low in (0, 1, 2):  # an integer of 1, 2 or 4 bytes
        end = at + 1 + (1 << low)
        return str(int.from_bytes(data[at + 1 : end], "little", signed=True)), end
    if kind == 0:
        start, size = at + 1, low
    elif kind == 1:
        start, size = at + 2, low << 8 | (data[at + 1] if at + 1 < len(data) else 0)
    else:
        return "", len(data)
    return data[start : start + size].decode("ascii", "replace"), start + size

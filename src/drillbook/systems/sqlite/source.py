"""Backup source of the kind `sqlite`: copies that `.backup` or `VACUUM INTO` made, or plain copies of the database file and
its `-wal` file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk import host_programs
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_files import FileBackups
from drillbook.sdk.backup_places import StoredFile
from drillbook.sdk.backup_source import Backup, Checked, stamp
from drillbook.sdk.encryption import SUFFIX
from drillbook.sdk.host import Host, printable
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.systems.sqlite import manual_restore
from drillbook.systems.sqlite.verification import MAGIC

Problem = tuple[str, str, str]
"""Problem of a copy: the code of the finding, the expected value, and the measured value."""
PROGRAM = "drillbook.systems.sqlite.verification"
LOG, JOURNAL = "-wal", "-journal"
BESIDE = (LOG, "-shm", JOURNAL)
"""Suffixes of the files that accompany a database file. Source: https://www.sqlite.org/tempfiles.html."""
_MODULE = "python3 -c 'import sqlite3' 2>/dev/null"
JULIAN_1970 = 2440587.5
"""Julian day of the Unix epoch."""


class SqliteSource(FileBackups):
    """Backup source of SQLite copies. Each backup is one database file, with its `-wal` file if there is one."""

    kind: Literal["sqlite"] = "sqlite"
    METHOD: ClassVar[tuple[str, str]] = ("SQLite", "`python3`")
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("folder",)
    PROGRAMS: ClassVar[tuple[str, ...]] = ("cp", "mv", "python3")
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = ("cp", "mkdir", "mv")

    tables: tuple[str, ...] = Field(default=(), description="Tables that each copy must contain, with at least one row.")
    clock: str = Field(
        default="",
        pattern=r"^([^.]+\.[^.]+)?$",
        description=(
            "Column `table.column` that holds the time at which a row was written. Its newest value must not be "
            "older than `max_age`. The column is read when a backup is checked or restored, but not when backups are "
            "listed. Choose a table to which the application writes all the time."
        ),
    )
    log: Literal["auto", "needed"] = Field(
        default="auto",
        description=(
            "`needed`: the copies are file copies of a running service, so a copy in WAL mode without its "
            "`-wal` file counts as damaged; `auto`: the same as `needed` if at least one copy has a `-wal` file."
        ),
    )

    def backups(self, ctx: Context) -> list[Backup]:
        """List the copies. If a copy has a `-wal` file, the time of the copy is the later of the times of the two
        files.
        """
        files = {file.name: file for file in self.place(ctx).files(ctx)}
        copies = [file for file in self.matching(list(files.values())) if not file.name.endswith(BESIDE)]
        logs = any(f"{file.name}{LOG}" in files for file in copies)
        return [self._copy(file, files, logs=logs) for file in copies]

    def _copy(self, file: StoredFile, files: Mapping[str, StoredFile], *, logs: bool) -> Backup:
        beside = [end for end in (LOG, JOURNAL) if f"{file.name}{end}" in files]
        parts = [file, *(files[f"{file.name}{end}"] for end in beside)]
        whole = replace(
            file,
            bytes=None if file.bytes is None else sum(part.bytes or 0 for part in parts),
            modified=max(part.modified for part in parts),
        )
        return replace(self._backup(whole), facts={"beside": beside, "log_needed": self.log == "needed" or logs})

    def begins(self, data: bytes) -> bool:
        """Return True if ``data``, the first bytes of a file, are those of a database of SQLite."""
        return data.startswith(MAGIC)

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Open a private copy of the file, verify every page, and count the rows."""
        with ctx.temporary("sqlite") as folder:
            path = self._brought(ctx, backup, ctx.host, folder)
            seen = host_programs.call(ctx, PROGRAM, path, self.clock)
        return self._judged(seen, backup, ctx.host.name)

    def _brought(self, ctx: Context, backup: Backup, host: Host, folder: str) -> str:
        """Copy the decrypted database and its accompanying files into ``folder`` on ``host``. Return the path of the copy."""
        name = backup.id.rpartition("/")[2].removesuffix(SUFFIX)
        for end in ("", *backup.facts["beside"]):
            path = self.opened(ctx, self.place(ctx).bring(ctx, f"{backup.id}{end}", host, folder), host, folder)
            host.run(("sh", "-c", _TAKE, "sh", path, folder, f"{folder}/{name}{end}"), deadline=ctx.deadline).check()
        return f"{folder}/{name}"

    def _judged(self, seen: Mapping[str, Any], backup: Backup, host: str) -> Checked:
        """Convert the results ``seen`` of the examination to findings. Raises CouldNotVerify when the host's SQLite is too
        old for the copy. Also raises it when the newest value of `clock` is no time, so that `max_age` cannot be judged.
        """
        if seen.get("error") and seen["writer"] > _number(seen["library"]):
            raise CouldNotVerify(
                f"{host} has SQLite {seen['library']}, which is older than the SQLite that wrote {backup.id}: {seen['error']}",
                hint="install a newer python3 or libsqlite3 on that host",
            )
        problem = next(self._problems(seen, backup), None)
        if not problem and self.clock and self.max_age is not None and moment_of(seen["newest"]) is None:
            empty = "is not a column of the copy" if seen["clock_missing"] else "has no value"
            measured = empty if seen["newest"] is None else "is not a time in the newest row"
            raise CouldNotVerify(
                f"`max_age` of {self.name} cannot be judged: {self.clock} of {backup.id} {measured}",
                hint="set `clock` to a column with times in ISO 8601 or as numbers, in a table that always has rows",
            )
        findings = tuple(
            finding(code, title=backup.id, wanted=wanted, measured=measured, host=host)
            for code, wanted, measured in ([problem] if problem else [])
        )
        covered = ("the header, every page, every index and every reference were verified", "every row was counted")
        unseen = ["changed bytes inside values, because SQLite stores no checksum of values"]
        if seen["wal"] and seen["log"] is None:
            unseen.append("transactions in a log that was not copied: the database is in WAL mode, but the copy has no log")
        unseen += [f"the virtual table {name}, because {host} lacks its module" for name in seen.get("unread", ())]
        return Checked(findings, covered if "tables" in seen else ("the header was read",), tuple(unseen), self._facts(seen))

    def _facts(self, seen: Mapping[str, Any]) -> Facts:
        kept = ("tables", "frames", "library", "broken_references")
        facts = {key: seen[key] for key in kept if key in seen} | {"wal": seen["wal"]}
        if (moment := moment_of(seen.get("newest"))) is not None:
            facts["newest_row"] = {"of": self.clock, "at": stamp(moment), "age_s": round(_age_s(moment), 3)}
        return facts

    def _problems(self, seen: Mapping[str, Any], backup: Backup) -> Iterator[Problem]:
        """Yield the problems of a copy, beginning with the most fundamental problem. The caller reports only the first
        problem.
        """
        if seen["empty"]:
            yield "backup-empty", "an SQLite database", "0 bytes"
        if seen["foreign"]:
            measured = f"another kind of file, or an encrypted file: its first bytes are {seen['foreign']}"
            yield "backup-damaged", "an SQLite database", measured
        if seen["cut"]:
            yield "backup-damaged", "a whole database", seen["cut"]
        if seen["wal"] and seen["log"] is None and backup.facts["log_needed"]:
            measured = "the database is in WAL mode, but its log was not copied"
            yield "backup-damaged", f"the log {backup.id}{LOG} next to the copy", measured
        if seen.get("torn"):
            measured = f"{seen['torn']}; the {seen['frames']} frames before the damage are whole"
            yield "backup-damaged", "a log that is whole", measured
        if said := "; ".join(seen.get("problems") or filter(None, [seen.get("error", "")])):
            yield "backup-damaged", "PRAGMA integrity_check: ok", printable(said, limit=600)
        yield from self._missing(seen)

    def _missing(self, seen: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the problems in an intact copy: missing tables, empty tables, broken references, old rows."""
        tables = seen.get("tables", {})
        wanted = [*self.tables, *filter(None, [self.clock.rpartition(".")[0]])]
        if absent := [name for name in wanted if name not in tables]:
            yield "backup-of-another", f"the table {absent[0]}", f"tables: {_names(tables)}"
        if not any(tables.values()):
            yield "backup-empty", "at least one row", f"no row in any of the {len(tables)} tables"
        if empty := [name for name in self.tables if tables[name] == 0]:
            yield "backup-empty", f"rows in {empty[0]}", "no row"
        if seen["broken_references"]:
            measured = f"{seen['broken_references']}: {'; '.join(seen['references'][:3])}"
            yield "reference-broken", "no such row", printable(measured, limit=600)
        moment = moment_of(seen["newest"])
        if moment is not None and self.max_age is not None and _age_s(moment) > self.max_age:
            measured = f"the newest value of {self.clock} is {stamp(moment)}"
            yield "backup-too-old", f"a newest row that is at most {self.max_age} old", measured

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Copy the file into the folder `data` of the sandbox, open the copy there, and verify it in the same way as
        `backup.check`.
        """
        data = f"{box.folder}/data"
        box.files.run(("mkdir", "--", data), deadline=ctx.deadline).check()
        begun = time.monotonic()
        path = self._brought(ctx, backup, box.files, data)
        brought = time.monotonic()
        seen = host_programs.call(ctx, PROGRAM, path, self.clock, prefix=box.inside(()))
        judged = self._judged(seen, backup, box.host.name)
        facts = {
            "bytes": backup.bytes,
            "seconds": {"fetch": round(brought - begun, 3), "open": round(time.monotonic() - brought, 3)},
            **judged.facts,
        }
        if judged.findings:
            raise StepFailed(f"{box.host.name}: {judged.findings[0].title}", findings=judged.findings, facts=facts)
        return facts

    @property
    def content_tells_age(self) -> bool:
        """True when the field `clock` is set. This field names a column with times, and the newest of them shows the age of
        the data.
        """
        return bool(self.clock)

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        return manual_restore.blocks(manual, self.by_hand)

    def ready(self, ctx: Context) -> None:
        """Check that python3 on the host has the module sqlite3, and that the place of the copies is valid."""
        super().ready(ctx)
        _need_module(ctx)

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that python3 on the sandbox's host has the module sqlite3."""
        _need_module(ctx)
        self.need_here(ctx)


# PATH FOLDER TO: if PATH is in FOLDER, rename it to TO; otherwise copy it to TO.
_TAKE = """
umask 077
case $1 in
  "$3") ;;
  "$2"/*) mv -T -- "$1" "$3" ;;
  *) cp --reflink=auto -- "$1" "$3" ;;
esac
"""


def _need_module(ctx: Context) -> None:
    host_programs.need_python(ctx)
    if not ctx.run("sh", "-c", _MODULE).ok:
        raise NotReady(
            f"{ctx.host.name}: python3 has no module sqlite3",
            hint="install libpython3-stdlib, or the package that contains this module",
        )


def _names(tables: Mapping[str, int]) -> str:
    return ", ".join(sorted(tables)[:10]) or "none"


def _number(version: str) -> int:
    """Return a version in the form in which SQLite writes it into a database header, such as 3046001 for 3.46.1."""
    first, second, third = (*map(int, version.split(".")[:3]), 0, 0)[:3]
    return first * 1_000_000 + second * 1000 + third


def _age_s(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()


def moment_of(value: object) -> datetime | None:
    """Parse a column value as a time, in the formats of SQLite's date functions. Return None for any other value.

    A text must be ISO 8601; without an offset it is in UTC. A number is a Julian day, or counts seconds, milliseconds or
    microseconds since 1970.
    """
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not isinstance(value, int | float):
        return None
    for below, unit_s, start in ((10_000_000, 86400.0, JULIAN_1970), (1e11, 1.0, 0), (1e14, 1e-3, 0), (1e17, 1e-6, 0)):
        if value < below:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=(value - start) * unit_s)
    return None

"""Backup source `mariadb_dump`: SQL dumps that mariadb-dump or mysqldump made. Each dump is one file, which may be
compressed.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import rows_left_out
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_beginning import LIMIT
from drillbook.sdk.backup_files import FileBackups
from drillbook.sdk.backup_history import too_old_by_record
from drillbook.sdk.backup_source import Backup, Checked, need_one, stamp
from drillbook.sdk.expected_differences import Reasons
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.local_times import moments
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.sdk.service import Service
from drillbook.systems.mariadb import disposable_server, manual_restore
from drillbook.systems.mariadb.client import name, said, verifying
from drillbook.systems.mariadb.copied_files import MOST_NAMED
from drillbook.systems.mariadb.dump_reading import BEGIN, CHECK, LOAD, SECTIONS, Reading
from drillbook.systems.mariadb.in_place import DumpInPlace
from drillbook.systems.mariadb.service import Mariadb
from drillbook.systems.tar.source import need_unpacked, need_unpacker, unpacker

DEFINERS = """
SELECT DISTINCT d FROM (
  SELECT DEFINER AS d FROM information_schema.VIEWS UNION SELECT DEFINER FROM information_schema.ROUTINES
  UNION SELECT DEFINER FROM information_schema.TRIGGERS UNION SELECT DEFINER FROM information_schema.EVENTS
) AS all_definers WHERE d NOT IN (SELECT CONCAT(User, '@', Host) FROM mysql.user) AND d LIKE '%@%' AND d <> '@'
"""
NOT_COVERED = (
    "changed characters inside values, because a dump contains no checksum of its own",
    "rows, triggers, views, users and other databases that the options of the dump program left out",
    "the exact time of the data: the file's time is the end of the dump, but the data is from the dump's beginning",
    "consistency across tables: the dump does not show if it was taken with --single-transaction",
)


class MariadbDump(FileBackups):
    """Backup source of SQL dumps that mariadb-dump or mysqldump made.

    Each file is one dump. The suffix of the file shows its compression.
    """

    TAKEN: ClassVar[str] = "the dump"
    kind: Literal["mariadb_dump"] = "mariadb_dump"
    METHOD: ClassVar[tuple[str, str]] = ("mariadb-dump", "`mariadb-server`; on production SELECT, SHOW VIEW, TRIGGER, EVENT")
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("mariadb",)
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ("mariadb",)
    PROGRAMS: ClassVar[tuple[str, ...]] = ("cat", "sed", "uniq")
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = ("cat", "id", "mkdir", "rm", "sed", "sleep", "tail", "tee", "uniq")

    without_data: Reasons = Field(
        default_factory=dict,
        description="Tables whose rows the backup job leaves out on purpose, such as by `--ignore-table-data`, each with the "
        "reason. Each name has its database, such as `shop.log`; `*` stands for any text. Other tables without rows are a finding.",
    )

    def begins(self, data: bytes) -> bool:
        """Return True if ``data``, the first bytes of a file, are those of a dump of mariadb-dump or mysqldump."""
        return any(line.startswith((b"-- MariaDB dump ", b"-- MySQL dump ")) for line in data.splitlines()[:5])

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Decompress the dump, read it to its last line, and check that this line marks a complete dump. Also check that the
        dump contains tables with rows, and the database of the service.
        """
        with ctx.temporary("dump") as folder, self.brought(ctx, backup, ctx.host, folder) as path:
            argv = ("sh", "-c", CHECK, "sh", path, f"{folder}/statuses", SECTIONS, _unpacker(path))
            output = ctx.run(*argv).check()
        reading = Reading.of(output.text, said(output.stderr) if output.stderr else "")
        need_unpacked(ctx.host.name, backup.id, reading.unpacker)
        checksum = ("the compression's checksum of the content",) if unpacker(backup.id) else ()
        return Checked(
            tuple(self._problems(ctx, backup, reading)),
            ("every byte was read", "the last line says that the dump was completed", *checksum),
            (*NOT_COVERED[1 if checksum else 0 :], *rows_left_out.not_covered(reading.without_data(), self.without_data)),
            _facts(reading),
        )

    def _problems(self, ctx: Context, backup: Backup, reading: Reading) -> list[Finding]:
        problems = reading.problems(backup.id, ctx.host.name, self._database(ctx))
        lacking = rows_left_out.unexpected(reading.without_data(), self.without_data)
        if lacking and not problems:
            remedy = rows_left_out.remedy("--ignore-table-data", self.setting("without_data"))
            measured = rows_left_out.measured(lacking)
            wanted, host = rows_left_out.WANTED, ctx.host.name
            code = rows_left_out.CODE
            problems = [finding(code, title=backup.id, wanted=wanted, measured=measured, remedy=remedy, host=host)]
        return [*problems, *self._older(ctx, backup, reading)]

    def _older(self, ctx: Context, backup: Backup, reading: Reading) -> list[Finding]:
        """Return a finding if the last line of the dump tells a time that is too long ago. The list of backups cannot show this,
        because the dump is read to its end only here.
        """
        text = reading.completed
        if not text or (self.max_age is None and self.every is None):
            return []
        (ended,) = moments(ctx.host_named(self.host), [text], ctx.deadline) or [None]
        if ended is None:
            return []
        told = f"completed at {stamp(ended)}, by its last line (time zone of {self.host})"
        return too_old_by_record(backup.id, ended, told, at=backup.taken_at, max_age=self.max_age, every=self.every)

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Start a new server in the sandbox, and load the dump with the client `mariadb`. The client stops at the first
        error.
        """
        begun = time.monotonic()
        disposable_server.install(box)
        disposable_server.start(box)
        started = time.monotonic()
        facts = self.loaded(ctx, backup, box)
        return {**facts, "seconds": {"server": round(started - begun, 3), **facts.pop("seconds")}}

    def loaded(self, ctx: Context, backup: Backup, box: Sandbox) -> Facts:
        """Load the dump into the running server of the sandbox, and check that the dump was complete. Raises StepFailed when
        it was incomplete or the client stopped at an error, and HostError when the host cannot be used.
        """
        moments = [time.monotonic()]
        with self.brought(ctx, backup, box.files, box.folder) as path:
            moments.append(time.monotonic())
            reading = self._load(ctx, box, path)
        moments.append(time.monotonic())
        need_unpacked(box.host.name, backup.id, reading.unpacker)
        if problems := reading.problems(backup.id, box.host.name, self._database(ctx)):
            raise StepFailed(f"{box.host.name}: {backup.id} was not restored completely", findings=problems)
        if reading.client != 0:
            raise _refused(box, backup, reading)
        service, client = disposable_server.place(box)
        with verifying(service):
            followed = disposable_server.quiet(client)
        created = [] if "mysql" in reading.databases else _definers(box)
        stages = ("fetch", "load")
        seconds = {stage: round(moments[n + 1] - moments[n], 3) for n, stage in enumerate(stages)}
        return {**_facts(reading), "accounts_created": created, "replication_stopped": followed, "seconds": seconds}

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return the object that restores a dump into a server whose databases were dropped."""
        return DumpInPlace(ctx, service, self)

    def _load(self, ctx: Context, box: Sandbox, path: str) -> Reading:
        service, client = disposable_server.place(box)
        database = service.database or self._database(ctx)
        if database:
            created = f"CREATE DATABASE IF NOT EXISTS {name(database)}"
            with verifying(service):
                client.results(created)
        words = client.argv("--sandbox", "--max-allowed-packet=1G", database=database)
        after = f"{box.folder}/{disposable_server.ACCOUNT_FILE}"
        output = box.run(
            "sh", "-c", LOAD, "sh", path, f"{box.folder}/statuses", SECTIONS, _unpacker(path), after, *words
        ).check()
        return Reading.of(output.text, said(output.stderr) if output.stderr else "")

    def _database(self, ctx: Context) -> str:
        """Return the name of the database that the dump must contain. The name is empty when no database is set in the
        inventory.
        """
        service = ctx.services.get(self.service)
        return service.database if isinstance(service, Mariadb) else ""

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        return manual_restore.dump(manual, self.by_hand, manual.target) if isinstance(manual.target, Mariadb) else []

    def manual_move(self, manual: ManualRestore) -> str:
        """Return instructions for a person who puts the restored files in the place of the service's data directory."""
        return manual_restore.move(manual, physical=False)

    def ready(self, ctx: Context) -> None:
        """Check that the place of the dumps is valid, and that the host has the decompression program."""
        super().ready(ctx)
        need_unpacker(ctx, self)

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the sandbox's host has MariaDB and the decompression program."""
        if isinstance(service, Mariadb):
            disposable_server.need(ctx, service, ("mariadbd", "mariadb", "mariadb-install-db"))
            disposable_server.need_safe_client(ctx, service)
        need_unpacker(ctx, self)
        self.need_here(ctx)
        if isinstance(service, Mariadb):
            self._need_collations(ctx, service)

    def _need_collations(self, ctx: Context, service: Mariadb) -> None:
        """Find the dump that the step will use, and check that the server knows all collations in this dump.

        A dump from a newer series of MariaDB, or from MySQL, can be loaded if this server knows everything in the dump. Before
        a drill, only the collations can be checked. Therefore a check before a drill records for each such dump that it is not
        verified whether this server can load the dump.
        """

        def check(backup: Backup) -> None:
            begun = self.beginning(ctx, [backup.id]).data
            lines = begun.rpartition(b"\n")[0]
            if not lines:
                return
            output = ctx.run("sh", "-c", BEGIN, "sh", SECTIONS, stdin=lines + b"\n").check()
            reading = Reading.of(output.text, "")
            if not reading.header:
                self.unlike(ctx, backup.id, "a dump of mariadb-dump or mysqldump")
            known = sorted(reading.collations), sorted(reading.character_sets)
            disposable_server.need_collations(ctx, service, *known, backup.id)
            unread = len(begun) >= LIMIT and not self._need_later(ctx, service, reading, backup.id)
            self._compare(ctx, service, reading, backup.id, unread=unread)

        need_one(ctx, self.candidates(ctx), check)

    def _need_later(self, ctx: Context, service: Mariadb, begun: Reading, name: str) -> bool:
        """Check the collations and character sets that a long dump names only after its beginning. ``begun``: names in the
        beginning, which were checked before. Return True when the dump was read to its end.
        """
        text, whole = self.lines(ctx, name, SECTIONS)
        reading = Reading.of(text, "")
        later = sorted(reading.collations - begun.collations), sorted(reading.character_sets - begun.character_sets)
        disposable_server.need_collations(ctx, service, *later, name)
        return whole

    def _compare(self, ctx: Context, service: Mariadb, reading: Reading, name: str, *, unread: bool) -> None:
        """Record the restore of a dump as not verified if the dump is from MySQL or from a newer series of MariaDB. The record
        also says whether a part of the dump was not read. This is a part of the check before a drill.

        For other dumps nothing is recorded, because a MariaDB server knows every collation of its own series and of older
        series.
        """
        there = disposable_server.version(ctx, service)
        of = "" if "MariaDB" in reading.server else f"MySQL {reading.server}".strip()
        of = f"the newer server {reading.server}" if disposable_server.is_newer(reading.server, there) else of
        if not reading.header or not of:
            return
        rest = f"; collations after the first {LIMIT >> 10} KiB were not read" if unread else ""
        ctx.unsure(f"that MariaDB {there} on {ctx.host.name} loads the dump {name} of {of}{rest}")


def _unpacker(path: str) -> str:
    return " ".join(unpacker(path)) or "cat"


def _facts(reading: Reading) -> Facts:
    return {
        "databases": sorted(reading.databases),
        "tables": len(reading.tables),
        "named": len(reading.named),
        "names": sorted(reading.named)[:MOST_NAMED],
        "tables_without_rows": reading.without_rows(),
        "without_data": reading.without_data()[:MOST_NAMED],
        "insert_statements": sum(reading.rows.values()),
        "sections": sorted(reading.sections),
        "taken_with": reading.header,
        "server_version": reading.server,
        "completed": reading.last,
        "collations": sorted(reading.collations),
        "character_sets": sorted(reading.character_sets),
    }


def _refused(box: Sandbox, backup: Backup, reading: Reading) -> StepFailed:
    return StepFailed(
        f"{box.host.name}: the client stopped at an error in {backup.id}: {reading.said}",
        findings=[
            finding(
                "restore-errors",
                title=backup.id,
                wanted="a dump that loads without an error",
                measured=reading.said,
                host=box.host.name,
            )
        ],
    )


def _definers(box: Sandbox) -> list[str]:
    """Create the accounts under which the views and stored programs of the database run (DEFINER), if these accounts are
    missing. Without them, MariaDB refuses to run the views and programs. Nobody can log in to the new accounts, because they
    are locked. Return the names of the new accounts.
    """
    service, client = disposable_server.place(box)
    with verifying(service):
        names = [str(row["d"]) for row in client.rows(DEFINERS)]
        for definer in names:
            user, _, place = definer.rpartition("@")
            account = f"{name(user)}@{name(place)}"
            client.results(f"CREATE USER {account} ACCOUNT LOCK; GRANT ALL PRIVILEGES ON *.* TO {account}")
    return names

"""Backup source of the kind `redis_rdb`: RDB files written by SAVE, BGSAVE or `redis-cli --rdb`, one for each backup."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_files import FileBackups
from drillbook.sdk.backup_history import too_old_by_record
from drillbook.sdk.backup_places import BEGINNINGS_NEED
from drillbook.sdk.backup_source import Backup, Checked, need_one, stamp
from drillbook.sdk.host import Host, printable
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.sdk.service import Service
from drillbook.systems.redis import manual_restore, verification
from drillbook.systems.redis.disposable_server import sandboxed
from drillbook.systems.redis.in_place import RedisInPlace
from drillbook.systems.redis.verification import Checker, Program, Verdict
from drillbook.systems.tar.source import need_unpacked, need_unpacker, unpacker

BASIS = "time in the header of the RDB, by the clock of the server that saved it"
# FILE TARGET UNPACKER...: decompress FILE into TARGET.
_UNPACK = 'umask 077; from=$1 to=$2; shift 2; "$@" < "$from" > "$to"'


class RdbSource(FileBackups):
    """Backup source of RDB files of Redis and Valkey. Each file is one backup.

    A suffix such as .gz shows the compression of a file. The time of a backup is the time in the header of the RDB,
    since the modification time of a copied file may be much later. The field `newest` can set another rule.
    """

    kind: Literal["redis_rdb"] = "redis_rdb"
    PROGRAMS: ClassVar[tuple[str, ...]] = ("head", "ln", "stat", "tr")
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = ("cat", "cp", "head", "ln", "mkdir", "stat", "tail", "tr")
    METHOD: ClassVar[tuple[str, str]] = ("Redis RDB", "`redis-server` or `valkey-server`")
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("redis",)
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ("redis",)

    pattern: str = Field(default="*.rdb*", description="Shell pattern that the names of the backup files match.")
    program: Program = ""

    @property
    def place_programs(self) -> tuple[str, ...]:
        """Programs that read the times of backups from the headers of the files. The value is empty when these times come
        from the names of the files.
        """
        return () if self.newest == "name" else BEGINNINGS_NEED

    def backups(self, ctx: Context) -> list[Backup]:
        """List the files that match the pattern. The time of each backup is the time in the header of its file, if the
        header can be read.
        """
        listed = super().backups(ctx)
        if self.newest == "name":
            return listed
        plain = [backup.id for backup in listed if not unpacker(backup.id)]
        begun = self.place(ctx).beginnings(ctx, plain, verification.BEGINNING) if plain else {}
        moments = {name: verification.saved_at(data) for name, data in begun.items()}
        return [
            replace(backup, taken_at=moment, basis=BASIS) if (moment := moments.get(backup.id)) else backup
            for backup in listed
        ]

    def begins(self, data: bytes) -> bool:
        """Return True if ``data``, the first bytes of a file, are those of an RDB."""
        return verification.is_rdb(data)

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Check the file and its checksum with the checker program of Redis, and count the keys."""
        with ctx.temporary("rdb") as folder, self.brought(ctx, backup, ctx.host, folder) as brought:
            tool = Checker(lambda argv: ctx.run(*argv), ctx.host, self.program, folder)
            _, verdict = self.verdict(tool, backup, brought)
        problems = (*verdict.problems, *self._older(backup, verdict))
        return Checked(problems, *coverage(verdict), {**counted(verdict), "format": verdict.begins})

    def verdict(self, tool: Checker, backup: Backup, brought: str) -> tuple[str, Verdict]:
        """Check ``brought``, a copy of the file of ``backup``. Return the path of the decompressed RDB, and the verdict."""
        path, wrong = _plain(tool, backup.id, brought)
        return path, Verdict(wrong) if wrong else tool.rdb(backup.id, path)

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return the object that restores a backup into a server that lost its keys."""
        return RedisInPlace(ctx, service, self)

    def _older(self, backup: Backup, verdict: Verdict) -> tuple[Finding, ...]:
        """Return a finding if the RDB in the file of the backup was saved too long ago. The list of backups cannot show this for a
        compressed file, because the time in the RDB is read only after decompression.
        """
        saved = int(verdict.facts.get("ctime", "0"))
        if not saved:
            return ()
        moment = datetime.fromtimestamp(saved, UTC)
        told = f"saved at {stamp(moment)}, by the header of the file"
        at = backup.taken_at
        return tuple(too_old_by_record(backup.id, moment, told, at=at, max_age=self.max_age, every=self.every))

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Check the file of the backup, and start a server in the sandbox that loads this file. The server has no append-only
        file.
        """
        data, begun = sandboxed.prepared(box), time.monotonic()
        tool = Checker(lambda argv: box.run(*argv), box.host, sandboxed.program(box), box.folder)
        with self.brought(ctx, backup, box.files, box.folder) as brought:
            path, wrong = _plain(tool, backup.id, brought)
            if not wrong:
                box.run("cp", "--", path, f"{data}/dump.rdb").check()
        copied = time.monotonic()
        verdict = Verdict(wrong) if wrong else tool.rdb(backup.id, f"{data}/dump.rdb")
        if verdict.problems:
            raise StepFailed(
                f"{box.host.name}: {verdict.problems[0].title}", findings=verdict.problems, facts=counted(verdict)
            )
        checked = time.monotonic()
        facts = sandboxed.serving(ctx, box, sandboxed.Load(backup.id, verdict.begins, verdict.databases))
        _must_be_all(backup.id, box.host, verdict, facts)
        seconds = {"fetch": round(copied - begun, 3), "check": round(checked - copied, 3), **facts.pop("seconds")}
        return {**facts, "keys_in_file": verdict.keys, "seconds": seconds}

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        return manual_restore.rdb(manual, self.by_hand, self.program)

    def manual_move(self, manual: ManualRestore) -> str:
        """Return instructions for a person who gives the RDB file to the service."""
        return manual_restore.move_rdb(manual)

    def ready(self, ctx: Context) -> None:
        """Check that the place of the backups is valid, and that the host has a checker and a decompression program."""
        super().ready(ctx)
        verification.need_checker(lambda argv: ctx.run(*argv), ctx.host, self.program)
        need_unpacker(ctx, self)
        self.need_format(ctx, self.program)

    def need_format(self, ctx: Context, program: str) -> None:
        """Check that the server ``program`` on the step's host knows the format of the file that the step uses.

        Raises NotReady when the server is too old.
        """

        def check(backup: Backup) -> None:
            beginning = self.beginning(ctx, [backup.id], verification.BEGINNING).data
            if beginning and not verification.is_rdb(beginning):
                self.unlike(ctx, backup.id, "an RDB")
            verification.need_format(lambda argv: ctx.run(*argv), ctx.host, program, backup.id, beginning)

        need_one(ctx, self.candidates(ctx), check)

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the sandbox's host has a Redis or Valkey server, and the decompression program."""
        sandboxed.need_server(ctx, service)
        self.need_here(ctx)
        self.need_format(ctx, str(getattr(service, "program", "")))

    def need_here(self, ctx: Context) -> None:
        """Check that the step's host can receive, decrypt and decompress the backups. Raises NotReady when it cannot."""
        need_unpacker(ctx, self)
        super().need_here(ctx)


def coverage(verdict: Verdict) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return two lists of texts: the checks done on an RDB, and the properties that were not checked."""
    covered = ("every byte was read", "every key was parsed", "the file ends where the RDB ends")
    missing = (
        "keys that were already missing when the RDB was saved",
        "ACLs and settings of the server, which an RDB does not contain",
    )
    if verdict.checksum:
        return (*covered, "the checksum of the whole file"), missing
    return covered, (*missing, "changed bytes, because the RDB was saved without a checksum (rdbchecksum no)")


def counted(verdict: Verdict) -> Facts:
    """Return the numbers of keys and databases that a check has counted, as facts."""
    return {
        "keys": verdict.keys,
        "expires": verdict.expires,
        "expired": verdict.expired,
        "databases": verdict.databases,
        **verdict.facts,
    }


def _plain(tool: Checker, name: str, path: str) -> tuple[str, tuple[Finding, ...]]:
    """Decompress a file if it is compressed. Return the path of the RDB, and a finding if the file cannot be decompressed."""
    argv = unpacker(name)
    if not argv:
        return path, ()
    target = f"{tool.folder}/unpacked.rdb"
    output = tool.run(("sh", "-c", _UNPACK, "sh", path, target, *argv))
    if output.ok:
        return target, ()
    need_unpacked(tool.host.name, name, output.exit)
    measured = printable(output.stderr, limit=400).strip() or f"{argv[0]} ended with status {output.exit}"
    wanted = "a file that can be decompressed to its end"
    return path, (finding("backup-damaged", title=name, wanted=wanted, measured=measured, host=tool.host.name),)


def _must_be_all(name: str, host: Host, verdict: Verdict, facts: Facts) -> None:
    """Raise StepFailed unless the server loaded as many keys as the checker counted."""
    total = facts["keys"] + facts["expired"]
    if total < verdict.keys:
        raise StepFailed(
            f"{name}: the server loaded {total} of {verdict.keys} keys",
            findings=[
                finding(
                    "restore-errors",
                    title=name,
                    wanted=f"{verdict.keys} keys loaded",
                    measured=f"{facts['keys']} keys loaded, {facts['expired']} expired",
                    host=host.name,
                )
            ],
            facts=facts,
        )

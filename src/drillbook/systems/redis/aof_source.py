"""Backup source of the kind `redis_aof`: copies of append-only files, as folders with a manifest or as single files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import ClassVar, Literal

from drillbook.errors import StepFailed
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.backup_files import FileBackups, moment_in
from drillbook.sdk.backup_places import StoredFile, matching
from drillbook.sdk.backup_source import Backup, Checked, need_one
from drillbook.sdk.host import Host, Output
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.systems.redis import manual_restore, verification
from drillbook.systems.redis.aof_parts import MANIFEST, PART, Copy, judged
from drillbook.systems.redis.disposable_server import sandboxed
from drillbook.systems.redis.verification import Checker, Program, Run

COVERED = (
    "every byte was read",
    "every command was parsed",
    "every part in the manifest exists",
    "the checksum of the base file, if this file is an RDB",
)
NOT_COVERED = (
    "changed bytes inside values, because an append-only file has no checksum",
    "missing commands at the end, if the file was cut off between two commands",
    "ACLs and settings of the server, which an append-only file does not contain",
)


class AofSource(FileBackups):
    """Backup source of append-only files (Redis 7, Valkey): each folder with a manifest, or each separate .aof file.

    The time of a backup is the modification time of its newest file, unless the field `newest` sets another rule.
    """

    DECRYPTS: ClassVar[bool] = False
    kind: Literal["redis_aof"] = "redis_aof"
    PROGRAMS: ClassVar[tuple[str, ...]] = ("cat", "chmod", "cp", "head", "ln", "mkdir", "mv", "rm", "stat", "tr")
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = (*PROGRAMS, "tail")
    METHOD: ClassVar[tuple[str, str]] = ("Redis AOF", "`redis-server` or `valkey-server`")
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("redis",)

    program: Program = ""

    def backups(self, ctx: Context) -> list[Backup]:
        """List the folders with a manifest, and the single append-only files."""
        return [self._of(name, group) for name, group in self._groups(ctx).items()]

    def _groups(self, ctx: Context) -> dict[str, list[StoredFile]]:
        """Find the backups. Return the files of each backup under the id of the backup.

        The id is the path of the backup's manifest, even if the manifest is missing there. A backup that is a single file
        has no manifest, and its id is the path of the file.
        """
        files_by_backup: dict[str, list[StoredFile]] = {}
        for file in sorted(
            matching(self.place(ctx).files(ctx), self.pattern), key=lambda stored: not stored.name.endswith(MANIFEST)
        ):
            folder, name = _folder(file.name), _plain(file.name)
            named = [key for key in files_by_backup if _folder(key) == folder and key.endswith(MANIFEST)]
            part = PART.fullmatch(name)
            if named or part:
                key = named[0] if named else f"{folder}/{part[1] if part else name}{MANIFEST}".removeprefix("/")
                files_by_backup.setdefault(key, []).append(file)
            elif name.endswith((".aof", MANIFEST)):
                files_by_backup[file.name] = [file]
        return files_by_backup

    def _of(self, name: str, group: Sequence[StoredFile]) -> Backup:
        last = max(group, key=lambda file: file.modified)
        sizes = [file.bytes for file in group if file.bytes is not None]
        total = sum(sizes) if len(sizes) == len(group) else None
        if self.newest == "modified":
            return Backup(name, last.modified, f"{last.basis}, of {_plain(last.name)}", 1.0, total)
        moment = moment_in(name, self.time)
        if moment is None:
            raise StepFailed(
                f"{self.name}: the path {name!r} contains no time" + (f" in the format {self.time}" if self.time else "")
            )
        return Backup(name, moment, "time in the path, taken as UTC", 1.0, total)

    @contextmanager
    def copied(self, ctx: Context, backup: Backup, host: Host, folder: str, run: Run) -> Iterator[Copy]:
        """Yield a copy of the backup below the private folder ``folder`` on ``host``. The copy is removed when the `with`
        block ends.
        """
        place, target = self.place(ctx), f"{folder}/aof"
        run(("mkdir", "-m", "700", "--", target)).check()
        sizes: dict[str, int] = {}
        try:
            for file in self._groups(ctx).get(backup.id, ()):
                path, name = place.bring(ctx, file.name, host, folder), _plain(file.name)
                move = ("mv", "-f", "--") if path.startswith(f"{folder}/") else ("cp", "--")
                run((*move, path, f"{target}/{name}")).check()
                run(("chmod", "u+rw", "--", f"{target}/{name}")).check()
                sizes[name] = int(run(("stat", "-c", "%s", "--", f"{target}/{name}")).check().text)
            manifest = _plain(backup.id) if backup.id.endswith(MANIFEST) else ""
            text = run(("cat", "--", f"{target}/{manifest}")).check().text if manifest in sizes else ""
            yield Copy(backup.id, host, target, sizes, manifest, text)
        finally:
            run(("rm", "-rf", "--", target))

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Check every part of a copy with the checker programs of Redis, and compare the files with the manifest."""

        def run(argv: Sequence[str]) -> Output:
            return ctx.run(*argv)

        with ctx.temporary("aof") as folder, self.copied(ctx, backup, ctx.host, folder, run) as copy:
            verdict = judged(Checker(run, ctx.host, self.program, folder), copy)
        return Checked(verdict.problems, COVERED, NOT_COVERED, {"files": len(copy.sizes), "keys_in_base": verdict.keys})

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Check a copy of the backup, and start a server in the sandbox that loads this copy. The server refuses a truncated
        file.
        """
        data, begun = sandboxed.prepared(box), time.monotonic()

        def run(argv: Sequence[str]) -> Output:
            return box.run(*argv)

        with self.copied(ctx, backup, box.files, box.folder, run) as copy:
            copied = time.monotonic()
            verdict = judged(Checker(run, box.host, sandboxed.program(box), box.folder), copy)
            if verdict.problems:
                raise StepFailed(f"{box.host.name}: {verdict.problems[0].title}", findings=verdict.problems)
            name = copy.manifest.removesuffix(MANIFEST) or sandboxed.AOF
            source = copy.folder if copy.manifest else f"{copy.folder}/{next(iter(copy.sizes))}"
            run(("mv", "--", source, f"{data}/{sandboxed.AOF_FOLDER if copy.manifest else name}")).check()
        checked = time.monotonic()
        load = sandboxed.Load(backup.id, verdict.begins, verdict.databases, append_only=name)
        facts = sandboxed.serving(ctx, box, load)
        seconds = {"fetch": round(copied - begun, 3), "check": round(checked - copied, 3), **facts.pop("seconds")}
        return {**facts, "seconds": seconds}

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        return manual_restore.aof(manual, self.by_hand, self.program)

    def ready(self, ctx: Context) -> None:
        """Check that the place of the backups is valid. Also check that the host has a checker program, and that this program
        knows the format of the backup.
        """
        super().ready(ctx)
        verification.need_checker(lambda argv: ctx.run(*argv), ctx.host, self.program)
        self._need_format(ctx, self.program)

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the sandbox's host has a Redis or Valkey server that knows the format of the backup."""
        sandboxed.need_server(ctx, service)
        self.need_here(ctx)
        self._need_format(ctx, str(getattr(service, "program", "")))

    def _need_format(self, ctx: Context, program: str) -> None:
        """Find the backup that the step will use. Check that the server ``program`` on the step's host knows the format of
        the backup's base file. Raises NotReady when the server is too old for this format.
        """

        def check(backup: Backup) -> None:
            for file in self._groups(ctx).get(backup.id, ()):
                if not file.name.endswith(MANIFEST) and ".incr." not in _plain(file.name):
                    beginning = self.beginning(ctx, [file.name], verification.BEGINNING).data
                    if beginning and not verification.is_rdb(beginning) and not beginning.startswith((b"*", b"#")):
                        self.unlike(ctx, file.name, "an RDB or commands of Redis")
                    verification.need_format(lambda argv: ctx.run(*argv), ctx.host, program, file.name, beginning)

        need_one(ctx, self.candidates(ctx), check)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _plain(path: str) -> str:
    return path.rpartition("/")[2]

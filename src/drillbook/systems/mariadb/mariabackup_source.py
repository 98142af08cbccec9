"""Backup source `mariabackup`: physical backups that mariadb-backup made, as folders or as single files in the format
mbstream.

`mariadb-backup --prepare` changes the files of a backup. So it runs on a copy in the sandbox, and the team's backup stays
unchanged.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.backup_files import FileBackups
from drillbook.sdk.backup_places import HostFolder
from drillbook.sdk.backup_source import Backup, Checked, need_one, need_programs
from drillbook.sdk.encryption import SUFFIX
from drillbook.sdk.host import Host, Output, printable
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.manual_restore import Block, ManualRestore
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.sdk.service import Service
from drillbook.systems.mariadb import disposable_server, manual_restore
from drillbook.systems.mariadb.client import program
from drillbook.systems.mariadb.copied_files import BROKEN, LIST, CopiedFiles, parsed, settings, version_at_end
from drillbook.systems.mariadb.in_place import PhysicalInPlace
from drillbook.systems.mariadb.service import Mariadb
from drillbook.systems.mariadb.stored_pages import READ, coverage, damage, not_verified
from drillbook.systems.tar.source import need_unpacked, need_unpacker, unpacker

# FILE FOLDER UNPACKER MBSTREAM: decompress the stream FILE and extract its files into FOLDER.
UNPACK = """
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
mkdir -p -- "$2" || exit 1
# shellcheck disable=SC2086 # the words of a command
{ $3 < "$1"; echo "$?" > "$2.status"; } | "$4" -x -C "$2"
extracted=$? unpacked=$(cat -- "$2.status")
test "$unpacked" != 127 || exit 127
test "$extracted $unpacked" = "0 0" || exit 1
test -n "$(find "$2" -type f | head -n 1)" || exit 43
"""
NO_FILE, NO_FOLDER = 43, 44
"""Exit statuses of the scripts. ``NO_FILE``: the stream contains no file. ``NO_FOLDER``: the script cannot enter the folder."""


class Mariabackup(FileBackups):
    """Backup source of physical backups by mariadb-backup.

    Each backup is a subfolder of the folder in `at`, or a file written with `--stream=mbstream`.
    """

    kind: Literal["mariabackup"] = "mariabackup"
    form: Literal["folder", "stream"] = Field(
        default="folder",
        description=(
            "`folder`: `at` is a folder on the host with one subfolder for each backup; `stream`: each backup is one file. A "
            "backup can only be restored with a MariaDB of the same series, and a stream contains its series only at its end. A "
            "check before a drill reads this end if the streams are in a folder on a host; it skips a compressed stream that takes "
            "more than 15 seconds. A restore always compares the series, before it prepares the files."
        ),
    )
    PROGRAMS: ClassVar[tuple[str, ...]] = (
        *("cat", "cut", "date", "dirname", "du", "find", "head", "mkdir", "od", "sed"),
        *("sort", "stat", "tail", "tr"),
    )
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    RESTORE_PROGRAMS: ClassVar[tuple[str, ...]] = (
        *("cat", "cp", "cut", "date", "dirname", "du", "find", "head", "id", "mkdir"),
        *("od", "rm", "sed", "sleep", "sort", "stat", "tail", "tr"),
    )
    METHOD: ClassVar[tuple[str, str]] = ("mariadb-backup", "`mariadb-server` of the same series, `mariadb-backup`")
    RESTORES_TO: ClassVar[tuple[str, ...]] = ("mariadb",)
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ("mariadb",)

    @property
    def place_programs(self) -> tuple[str, ...]:
        """Programs that list the backups if each backup is a folder. No program is needed if the backups are streams,
        because the content of a stream is not read.
        """
        return ("cut", "date", "dirname", "du", "head", "sed", "sort") if self.form == "folder" else ()

    def backups(self, ctx: Context) -> list[Backup]:
        """List the backups: the subfolders of the folder in `at`, or the files that contain streams."""
        if self.form == "stream":
            return super().backups(ctx)
        folder = self._folder(ctx)
        return [self._listed(files, folder) for files in self._folders(ctx)]

    def _id(self, files: CopiedFiles, folder: HostFolder) -> str:
        return PurePosixPath(folder.path).name if files.path == "." else files.path

    def _listed(self, files: CopiedFiles, folder: HostFolder) -> Backup:
        ended = files.ended is not None
        basis = (
            f"field end_time of mariadb_backup_info, read in the time zone of {folder.host.name}"
            if ended
            else f"time of the last change of the folder on {folder.host.name}"
        )
        moment = datetime.fromtimestamp(files.ended if files.ended is not None else files.changed, UTC)
        return Backup(
            self._id(files, folder),
            moment,
            basis,
            1.0,
            files.bytes,
            facts={"type": files.kind or "unfinished", "server_version": files.version},
        )

    def _folder(self, ctx: Context) -> HostFolder:
        """Return the place of the backups, for `form: folder`. Raises NotReady when it is not a folder on a host."""
        place = self.place(ctx)
        if not isinstance(place, HostFolder):
            raise NotReady(
                f"{self.name}: with `form: folder`, backups must be in a folder on a host",
                hint="write `at` as /path; or take backups with --stream=mbstream and set `form: stream`",
            )
        return place

    def _folders(self, ctx: Context) -> list[CopiedFiles]:
        folder = self._folder(ctx)
        return _read_list(ctx, folder.host, folder.path, self.name)

    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Read every byte, verify the page checksums, and check that the files that mariadb-backup writes last exist."""
        with self._unpacked(ctx, backup) as (folder, broken):
            files = _files_in(ctx, ctx.host, folder, self.name)
            sink = Answer(f"{ctx.host.name}: the list of files in the backup {backup.id}")
            ctx.run("sh", "-c", READ, "sh", folder, sink=sink).check()
        there = ctx.host.name
        findings = broken or files.unfinished(backup.id, there) or damage(sink.text, files, backup.id, there)
        if not findings and self.form == "folder":
            findings = self._chain(ctx, backup)[1]
        findings = findings or files.without_tables(backup.id, there)
        return Checked(tuple(findings), *coverage(files, sink.text), files.facts(), not_verified(sink.text))

    @contextmanager
    def _unpacked(self, ctx: Context, backup: Backup) -> Iterator[tuple[str, list[Finding]]]:
        """Yield the folder with the files of a backup, and a finding if the stream of the backup cannot be extracted."""
        if self.form == "folder":
            yield _path(self._folder(ctx), backup.id), []
            return
        with ctx.temporary("mariabackup") as folder, self.brought(ctx, backup, ctx.host, folder) as path:
            argv = ("sh", "-c", UNPACK, "sh", path, f"{folder}/files", _words(path), "mbstream")
            yield f"{folder}/files", _unpacking(ctx.run(*argv), backup)

    def _chain(self, ctx: Context, backup: Backup) -> tuple[list[CopiedFiles], list[Finding]]:
        """Return all backups that the increment ``backup`` needs, from the full backup to the increment itself. Also return
        a finding if one of them is missing.
        """
        known, folder = self._folders(ctx), self._folder(ctx)
        chain = [files for files in known if self._id(files, folder) == backup.id]
        while chain and (files := chain[0]).kind == "incremental":
            before = [other for other in known if other not in chain and other.ends_at(files.base_lsn)]
            if not before:
                wanted = f"the backup that ends at the log sequence number {files.base_lsn}"
                missing = finding("backup-missing", title=backup.id, wanted=wanted, measured="none", host=self.host)
                return chain, [missing]
            chain.insert(0, max(before, key=lambda other: (other.base_lsn == 0, other.ended or 0.0)))
        return chain, []

    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Copy the backup and its base backups into the sandbox, apply the redo log to the copy, and start a server on this
        copy.
        """
        service, _ = disposable_server.place(box)
        moments = [time.monotonic()]
        with ThreadPoolExecutor(1, thread_name_prefix="version") as pool:
            version = pool.submit(disposable_server.version, ctx, service)
            names, files = self._copy(ctx, backup, box, service.data)
        _same_series(box, version.result(), files.version)
        moments.append(time.monotonic())
        needed = settings(disposable_server.copied_settings(box))
        for position in range(len(names)):
            _prepare(box, service, names[position], f"{box.folder}/part{position}" if position else "")
        moments.append(time.monotonic())
        tables = disposable_server.start(box, needed)
        moments.append(time.monotonic())
        disposable_server.must_open(box, tables)
        seconds = {
            stage: round(moments[step + 1] - moments[step], 3) for step, stage in enumerate(("copy", "prepare", "server"))
        }
        return {**files.facts(), "prepared": names, "seconds": seconds}

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return the object that restores a backup into a server whose databases were dropped."""
        return PhysicalInPlace(ctx, service, self)

    def _copy(self, ctx: Context, backup: Backup, box: Sandbox, data: str) -> tuple[list[str], CopiedFiles]:
        """Copy the files into the sandbox. The full backup becomes the data directory. Each increment gets a folder next to
        the data directory. Return the names of the copied backups, and the files of the full backup.

        Raises StepFailed when the full backup is incomplete, or when an increment needs a backup that is missing.
        """
        if self.form == "stream":
            with self.brought(ctx, backup, box.files, box.folder) as path:
                program = disposable_server.program_path(disposable_server.place(box)[0], "mbstream")
                output = box.run("sh", "-c", UNPACK, "sh", path, data, _words(path), program)
            if problems := _unpacking(output, backup):
                raise StepFailed(f"{box.host.name}: {backup.id} was not extracted completely", findings=problems)
            files = _files_in(ctx, box.host, data, self.name, box)
            _must_be_finished(box, backup.id, files)
            return [backup.id], files
        folder = self._folder(ctx)
        chain, problems = self._chain(replace(ctx, host=ctx.host_named(self.host)), backup)
        if problems:
            raise StepFailed(f"{self.name}: {backup.id} needs a base backup that is missing", findings=problems)
        names = [self._id(files, folder) for files in chain]
        _must_be_finished(box, names[0], chain[0])
        box.need_space(sum(files.bytes for files in chain))
        for position, name in enumerate(names):
            target = f"{box.folder}/part{position}" if position else data
            box.run("cp", "-r", "--", _path(folder, name), target).check()
        return names, chain[0]

    def manual_restore(self, manual: ManualRestore) -> list[Block]:
        """Return the commands with which a person restores a backup without Drillbook."""
        if not isinstance(manual.target, Mariadb):
            return []
        return manual_restore.physical(manual, self.by_hand, manual.target, stream=self.form == "stream")

    def manual_move(self, manual: ManualRestore) -> str:
        """Return instructions for a person who puts the restored files in the place of the service's data directory."""
        return manual_restore.move(manual, physical=True)

    def ready(self, ctx: Context) -> None:
        """Check that the place of the backups is valid, and that the host has the programs to extract backups."""
        super().ready(ctx)
        if self.form == "stream":
            need_programs(ctx, ("mbstream",), hint="install Debian's package mariadb-backup on that host")
            need_unpacker(ctx, self)
        elif (there := self._folder(ctx).host.name) != ctx.host.name:
            raise NotReady(
                f"the folders of {self.name} are on {there}, but a check would read them on {ctx.host.name}",
                hint=f"set `host: {there}` and write `at` as /path; or take backups as streams, and set `form: stream`",
            )

    def need_list(self, ctx: Context) -> None:
        """Check that the backups can be listed. With `form: folder`, also check that `at` is a folder on a host."""
        if self.form == "folder":
            self._folder(ctx)
        super().need_list(ctx)

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the sandbox's host has MariaDB's programs, and that they are of the same release series as the backup.
        With `form: folder`, also check that the folders of the backups are on this host.
        """
        if self.form == "folder" and service.host != (there := self._folder(ctx).host.name):
            raise NotReady(
                f"the folders of {self.name} are on {there}, but the sandbox {service.name} is on {service.host}",
                hint="use a sandbox on the same host, or take backups with --stream=mbstream and set `form: stream`",
            )
        if isinstance(service, Mariadb):
            disposable_server.need(ctx, service, ("mariadbd", "mariadb", "mariadb-backup"))
            self.need_here(ctx)
            if self.form == "stream":
                disposable_server.need(ctx, service, ("mbstream",))
                need_unpacker(ctx, self)
            self._need_series(ctx, service)

    def _need_series(self, ctx: Context, service: Mariadb) -> None:
        """Check that MariaDB on the step's host is of the same release series as the backup. If the version of the backup
        cannot be read before the drill, record that this was not verified.
        """
        there = disposable_server.version(ctx, service)

        def check(backup: Backup) -> None:
            copied = backup.facts.get("server_version", "") or self._version_at_end(ctx, backup)
            if copied == BROKEN:
                ctx.unsure(f"the backup {backup.id} of {self.name}, because this backup does not decompress to its end")
                return
            if not copied:
                ctx.unsure(
                    f"the MariaDB version of the backup {backup.id} of {self.name}, which could not be read before the drill"
                )
            series = disposable_server.series
            if copied and series(copied) != series(there):
                raise NotReady(
                    f"{ctx.host.name} has MariaDB {there}, but the backup is from MariaDB {copied}",
                    hint=f"install MariaDB {series(copied)} on that host, or set {service.setting('bin')} to the folder of "
                    "its programs",
                )

        need_one(ctx, self.candidates(ctx), check)

    def _version_at_end(self, ctx: Context, backup: Backup) -> str:
        """Return the version of the server that was backed up. A stream contains this version only at its end.

        A compressed stream is decompressed up to its end, but the output is not stored. The version is empty in four cases:
        the backups are folders, the stream is not in a folder on a host, the stream is encrypted, or its end was not reached
        within the time limit. The version is ``BROKEN`` if decompressing fails.
        """
        place = self.place(ctx)
        if self.form == "folder" or backup.id.endswith(SUFFIX) or not isinstance(place, HostFolder):
            return ""
        path = place.bring(ctx, backup.id, place.host, "")
        return version_at_end(place.host, path, " ".join(unpacker(backup.id)), ctx.deadline)


def _path(folder: HostFolder, backup: str) -> str:
    """Return the path of the backup ``backup``. If ``backup`` is the name of ``folder``, the backup is this folder. Otherwise
    the backup is a subfolder of it.
    """
    place = PurePosixPath(folder.path)
    return str(place if backup == place.name else place / backup)


def _words(path: str) -> str:
    return " ".join(unpacker(path)) or "cat"


def _read_list(ctx: Context, host: Host, folder: str, source: str, box: Sandbox | None = None) -> list[CopiedFiles]:
    """List the backups in a folder. Raises StepFailed when the folder is missing or cannot be read, and HostError when
    the host cannot be used.
    """
    argv = ("sh", "-c", LIST, "sh", folder)
    output = box.run(*argv) if box else host.run(argv, deadline=ctx.deadline)
    if output.exit == NO_FOLDER:
        what = f"{folder} on {host.name}"
        raise StepFailed(
            f"{source}: {what} is not a folder, or cannot be read",
            findings=[
                finding(
                    "backup-missing",
                    title=what,
                    wanted="a folder with backups",
                    measured="no folder, or no permission to read it",
                )
            ],
        )
    return parsed(output.check().text)


def _files_in(ctx: Context, host: Host, folder: str, source: str, box: Sandbox | None = None) -> CopiedFiles:
    """Return the backup whose files are directly in ``folder``. When the folder contains no files of a backup, return a
    backup without metadata.
    """
    listed = _read_list(ctx, host, folder, source, box)
    return next((files for files in listed if files.path == "."), CopiedFiles(".", 0, 0.0))


def _unpacking(output: Output, backup: Backup) -> list[Finding]:
    """Return a finding if the stream could not be extracted. Return an empty list on success."""
    if output.ok:
        return []
    need_unpacked(output.host, backup.id, output.exit)
    if output.exit == NO_FILE:
        return [finding("backup-empty", title=backup.id, wanted="files in the stream", measured="none", host=output.host)]
    measured = "; ".join(printable(output.stderr, limit=400).strip().splitlines()[-3:]) or f"status {output.exit}"
    wanted = "a stream that can be extracted to its end"
    return [finding("backup-damaged", title=backup.id, wanted=wanted, measured=measured, host=output.host)]


def _must_be_finished(box: Sandbox, name: str, files: CopiedFiles) -> None:
    """Raise StepFailed when the backup is unfinished, or when its redo log does not reach the end of the backup."""
    if problems := files.unfinished(name, box.host.name):
        raise StepFailed(f"{box.host.name}: {name} is incomplete or damaged", findings=problems)


def _same_series(box: Sandbox, there: str, copied: str) -> None:
    """Raise StepFailed when the release series of MariaDB on the sandbox's host and of the backup differ."""
    if disposable_server.series(there) != disposable_server.series(copied):
        raise StepFailed(
            f"{box.host.name} has MariaDB {there}, but the backup is from MariaDB {copied}: only a server of "
            f"the same series can open the backup",
        )


def _prepare(box: Sandbox, service: Mariadb, name: str, increment: str) -> None:
    """Run `mariadb-backup --prepare` on the copy of a backup. ``increment``: folder of an increment to apply to the copy;
    empty: no increment. Raises StepFailed when the command fails, and HostError when the host cannot be used.
    """
    words = (*program(service, "mariadb-backup"), "--no-defaults", "--prepare", f"--target-dir={service.data}")
    output = box.run(
        *words, f"--tmpdir={disposable_server.temporary(box)}", *((f"--incremental-dir={increment}",) if increment else ())
    )
    if output.ok and b"completed OK!" in output.stderr[-400:]:
        return
    lines = [line for line in printable(output.stderr).splitlines() if line.strip() and "[Note]" not in line]
    measured = "; ".join(lines[-4:])[-600:]
    raise StepFailed(
        f"{box.host.name}: a copy of {name} could not be prepared: {measured}",
        findings=[
            finding("backup-damaged", title=name, wanted="a copy that is prepared", measured=measured, host=box.host.name)
        ],
    )

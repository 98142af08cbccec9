"""Actions on archives of files: create, verify and extract an archive, and compare files with it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import CommandFailed, CouldNotVerify, DrillbookError, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk import host_programs, nofollow, store_rights, stored_backup
from drillbook.sdk.action import Context, Facts, Read, Undo, Write
from drillbook.sdk.backup_writer import PART_SIZE, BackupFolder, BackupSet, PartSize, drop_uploads, taking
from drillbook.sdk.host import Deadline, printable
from drillbook.sdk.host_encryption import need_transfer
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference, Uri
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import StoredFile
from drillbook.sdk.transfer import Carrier
from drillbook.systems.files import archives, compare, content, identity, rights
from drillbook.systems.files.actions.fields import HostPath, Location, ServiceName, refuse_dangerous
from drillbook.systems.files.manifest import Entry, Manifest, archive_name, read_manifest

ROUNDS = 3
"""Maximum number of attempts to archive files that change during archiving."""
# NAME OTHER: run in the folder that contains NAME; move NAME to `../OTHER`. The relative path is used because the parent's
# absolute path may have changed.
_MOVE = """
if test -e "../$2" || test -L "../$2"; then rmdir -- "../$2" 2>/dev/null || exit 3; fi
mv -T -- "./$1" "../$2" && { sync -f . 2>/dev/null || :; }
"""


class Archive(Write):
    """Archive a file or folder with permissions, owners, links, attributes and sparse files. The manifest is written last."""

    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    path: HostPath
    to: BackupFolder
    part_size: PartSize = PART_SIZE

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location`` and ``manifest`` (for later steps), ``path``, ``entries`` (number of archived entries),
        ``bytes`` (total size of the files), ``packed`` (size of the compressed archive in bytes), ``seconds``, ``evidence``
        (copy of the manifest), ``signed`` (true if the manifest is signed), ``unsigned`` (the reason if it is not)."""
        folder, store = Reference.parse(self.to), Store(ctx.bucket(self.to))
        path, begun = archives.resolve(ctx, self.path), ctx.deadline.remaining()
        with _failing(), taking(store, folder, "archive") as backup, ctx.temporary("archive") as scratch:
            manifest = self._send(ctx, path, scratch, backup)
            return {
                **backup.facts(ctx),
                "path": path,
                "entries": len(manifest.entries),
                "bytes": manifest.bytes,
                "packed": manifest.archive.size,
                "seconds": round(begun - ctx.deadline.remaining(), 3),
            }

    def _send(self, ctx: Context, path: str, scratch: str, backup: BackupSet) -> Manifest:
        """Send the archive to the store, and after it the manifest. Return the manifest."""
        ctx.run("mkdir", "-m", "700", "--", f"{scratch}/files").check()
        taken = stored_backup.now()
        compression = archives.compression_of(ctx)
        entries, archive = self._stored(ctx, path, scratch, compression, backup)
        manifest = Manifest(
            run=ctx.run_id,
            service=self.service,
            host=ctx.host.name,
            path=path,
            taken_at=taken,
            machine=identity.machine(ctx),
            entries=entries,
            archive=archive,
            compression=compression,
        )
        backup.seal(manifest)
        return manifest

    def _stored(
        self, ctx: Context, path: str, scratch: str, compression: Literal["zstd"] | None, backup: BackupSet
    ) -> tuple[dict[str, Entry], StoredFile]:
        """Archive the files and send the archive. Return the manifest entries of the files, and that of the archive.

        The files are read a second time to find changes. In the first attempt, they are read while the archive is being sent.
        In later attempts, and in all attempts with encryption, they are read before the archive is sent. If a file has changed,
        an archive that was sent is removed, and the next attempt begins. There are at most ``ROUNDS`` attempts.
        """
        before, name = _there(ctx, path), archive_name(compression)
        if all(entry.type == "folder" for entry in before.values()):
            raise StepFailed(f"{ctx.host.name}: {path} contains no files, so there is nothing to archive")
        for attempt in range(ROUNDS):
            said = _pack(ctx, path, f"{scratch}/files/{name}", compression)
            with ThreadPoolExecutor(1, thread_name_prefix="survey") as pool:
                again = pool.submit(_there, ctx, path)
                # Encryption replaces the archive on the host, which a repetition would need: then the check comes first. So it does
                # when the files have changed before.
                early = not said and ((attempt == 0 and not backup.store.service.encrypt) or again.result() == before)
                sent = self._upload(ctx, f"{scratch}/files", scratch, backup) if early else {}
                after = again.result()
            if after == before and not said:
                return after, sent[name]
            if sent:
                self._remove(backup, name)
            if after != before:
                said = "; ".join(f"{path}/{name}" for name in sorted(before | after) if before.get(name) != after.get(name))
            before = after
        raise StepFailed(
            f"{ctx.host.name}: files change during archiving: {said[:500]}; stop the programs that write them, or "
            "archive fewer files"
        )

    def _remove(self, backup: BackupSet, name: str) -> None:
        """Remove an archive whose files changed during archiving. Raises StepFailed when the store refuses the removal."""
        try:
            backup.remove(name)
        except DrillbookError as error:
            raise StepFailed(
                f"files changed during archiving, and the store did not delete their first archive: {error.message}; stop the "
                "programs that write the files"
            ) from error

    def _upload(self, ctx: Context, folder: str, scratch: str, backup: BackupSet) -> dict[str, StoredFile]:
        carrier = Carrier(ctx.host, ctx.deadline, scratch)
        return backup.send(carrier, folder, carrier.survey(folder, int(self.part_size)), int(self.part_size))

    def ready(self, ctx: Context) -> None:
        """Check that the files are readable, that the store answers, and that the host has the programs.

        The programs are a GNU tar that supports extended attributes, and a program to transfer files.
        """
        archives.need_tar(ctx)
        if self.known("path"):
            rights.need_readable(ctx, archives.resolve(ctx, self.path))
        need_transfer(ctx, self.to if self.known("to") else "")
        if self.known("to"):
            store_rights.need_target(ctx, Store(ctx.bucket(self.to)), self.to)

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the archived files. It consists of the host, the machine id and the path."""
        return identity.identity(ctx, archives.resolve(ctx, self.path))

    def interrupted(self, ctx: Context) -> None:
        """Abort the unfinished uploads to the store folder in the parameter `to`."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the archive should stay in the store."""
        return Undo.nothing("the archive stays in the store")


@contextmanager
def _failing() -> Iterator[None]:
    """Context manager that converts errors of the backup store to StepFailed."""
    try:
        yield
    except CouldNotVerify as error:
        raise StepFailed(f"the archive failed: {error.message}") from error


def _pack(ctx: Context, path: str, archive: str, compression: Literal["zstd"] | None) -> str:
    """Archive the files to the new file ``archive``. Return the messages of tar if a file changed while tar read it."""
    ctx.run("rm", "-f", "--", archive).check()
    try:
        archives.pack(ctx, path, archive, compression)
    except CommandFailed as error:
        if error.exit != 1:  # exit status 1: a file changed while tar read it
            raise StepFailed(f"{ctx.host.name}: tar failed: {error.tail}") from error
        return error.tail
    return ""


def _there(ctx: Context, path: str) -> dict[str, Entry]:
    around, _, name = path.rpartition("/")
    try:
        entries = content.survey(ctx, f"./{name}", nofollow.inside(around)).entries
    except CommandFailed as error:
        if error.exit != nofollow.NOT_THERE:
            raise
        entries = None
    if entries is None:
        raise StepFailed(f"{ctx.host.name}: the path to archive, {path}, does not exist")
    if entries["."].type not in ("file", "folder"):
        raise StepFailed(f"{ctx.host.name}: {path} is a {entries['.'].type}; set `path` to a file or folder")
    return entries


def _fetch(ctx: Context, store: Store, folder: Reference, manifest: Manifest, scratch: str) -> str:
    """Download the archive to the host and return its path. If the archive is damaged, raise StepFailed with a finding."""
    if wrong := stored_backup.present(store, folder, manifest.stored()):
        raise StepFailed(f"the archive in {folder} is incomplete or damaged: {stored_backup.summary(wrong)}", findings=wrong)
    return f"{stored_backup.carry(ctx, store, folder, manifest, scratch)}/{manifest.name}"


def _extract(ctx: Context, archive: str, manifest: Manifest, inside: tuple[str, ...]) -> None:
    """Extract ``archive`` on the host, and compare the extracted files with ``manifest``.

    ``inside``: words to put before a command, so that it runs in the folder to extract to. Raises StepFailed when tar fails, or
    when the files differ.
    """
    try:
        archives.unpack(ctx, archive, inside, manifest.compression)
    except CommandFailed as error:
        tail = printable(error.tail, limit=1500)
        told = finding("restore-errors", title="tar", wanted="status 0", measured=tail, host=ctx.host.name)
        raise StepFailed(f"{ctx.host.name}: tar reported errors: {error.tail}", findings=[told]) from error
    extracted = content.survey(ctx, f"./{_name(manifest)}", inside).entries or {}
    wrong = compare.differences(manifest.path, manifest.entries, extracted, unexpected=True)
    if wrong:
        raise StepFailed(
            f"{ctx.host.name}: the extracted files differ from the manifest: {stored_backup.summary(wrong)}", findings=wrong
        )


def _name(manifest: Manifest) -> str:
    return manifest.path.rpartition("/")[2]


class BackupIntact(Read):
    """Download an archive, compare its digest, extract it to a temporary folder, and compare every entry with the manifest."""

    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("files.extract",)

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``entries`` (number of entries), ``bytes``, ``packed`` (bytes of the archive), ``identity`` (of the files),
        ``seconds``."""
        begun, store = ctx.deadline.remaining(), Store(ctx.bucket(self.from_))
        folder = stored_backup.split(self.from_)
        manifest = Manifest.read(store, folder)
        if not ctx.same_service(manifest.service, self.service):
            raise StepFailed(f"{folder} contains an archive of the service {manifest.service}, not of {self.service}")
        with ctx.temporary("intact") as scratch:
            archive = _fetch(ctx, store, folder, manifest, scratch)
            ctx.run("mkdir", "-m", "700", "--", f"{scratch}/out").check()
            _extract(ctx, archive, manifest, nofollow.inside(f"{scratch}/out"))
        return {
            "entries": len(manifest.entries),
            "bytes": manifest.bytes,
            "packed": manifest.archive.size,
            "identity": identity.archived(ctx, manifest, folder).model_dump(),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of all files on the host. It matches the files at any path on this host."""
        return identity.identity(ctx)

    def ready(self, ctx: Context) -> None:
        """Check that the host has a GNU tar that supports extended attributes, and a program to transfer files."""
        archives.need_tar(ctx)
        need_transfer(ctx, self.from_ if self.known("from_") else "")


class Extract(Write):
    """Extract an archive next to its destination, compare the entries with the manifest, and move them to the destination.

    Nothing is overwritten. The destination must be missing or empty, or its content must equal the manifest. Its content equals
    the manifest, for example, when a run died before it deleted any file, and `drill.recover` restores the files.
    """

    TIMEOUT = 3600.0
    UNDO = ("commands",)

    service: ServiceName
    from_: Location
    path: Annotated[HostPath | None, Field(description="Folder to restore to. Default: the original path.")] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``entries`` (number of entries), ``bytes``, ``already`` (true if nothing had to be extracted),
        ``seconds``."""
        begun, store = ctx.deadline.remaining(), Store(ctx.bucket(self.from_))
        folder = stored_backup.split(self.from_)
        manifest = Manifest.read(store, folder)
        path = archives.resolve(ctx, self.path or manifest.path)
        refuse_dangerous(path)
        entries = content.survey(ctx, path).entries
        already = entries is not None and not compare.differences(path, manifest.entries, entries, unexpected=True)
        if not already:
            self._bring(ctx, store, folder, manifest, path)
        with suppress(HostError):  # while these files exist, the fault `files.lose` does not count as undone
            ctx.run("sh", "-c", nofollow.DELETE, "sh", archives.lost(ctx, path))
        return {
            "path": path,
            "entries": len(manifest.entries),
            "bytes": manifest.bytes,
            "already": already,
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }

    def _bring(self, ctx: Context, store: Store, folder: Reference, manifest: Manifest, path: str) -> None:
        place = _place(ctx, path)
        around, _, name = place.rpartition("/")
        try:
            with ctx.temporary("extract") as scratch:
                archive = _fetch(ctx, store, folder, manifest, scratch)
                inside = nofollow.inside(place, host_programs.made_in(ctx, around, name))
                _extract(ctx, archive, manifest, inside)
            moved = ctx.run(*inside, "sh", "-c", _MOVE, "sh", _name(manifest), path.rpartition("/")[2])
            nofollow.refuse(ctx, moved)
            if moved.exit == 3:
                raise StepFailed(
                    f"{ctx.host.name}: {path} is not empty; nothing was overwritten",
                    findings=[
                        finding("restore-target", title=path, wanted="a missing or an empty folder", measured="not empty")
                    ],
                )
            moved.check()
        finally:
            with suppress(HostError):
                ctx.host.run(("sh", "-c", nofollow.DELETE, "sh", place), deadline=Deadline.after(60))

    def ready(self, ctx: Context) -> None:
        """Check that the host has GNU tar and a transfer program, and that the user may replace `path`, if `path` is set."""
        archives.need_tar(ctx)
        need_transfer(ctx, self.from_ if self.known("from_") else "")
        if self.known("path") and self.path is not None:
            rights.need_place(ctx, archives.resolve(ctx, self.path))

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the extracted files. It consists of the host, the machine id and the path."""
        manifest = read_manifest(ctx, self.from_)
        return identity.identity(ctx, archives.resolve(ctx, self.path or manifest.path))

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes an unfinished extraction next to the destination. A finished extraction stays."""
        if self.path is None:
            manifest = read_manifest(ctx, self.from_)
        path = archives.resolve(ctx, self.path or manifest.path)
        return Undo.by_commands(("sh", "-c", nofollow.DELETE, "sh", _place(ctx, path)))


def _place(ctx: Context, path: str) -> str:
    return f"{path}{archives.own_mark(ctx)}-new"


class Matches(Read):
    """Compare files on the host with the manifest of an archive: content, type, permissions, owner, links and attributes."""

    TIMEOUT = 1800.0
    COMPARES = True

    service: ServiceName
    manifest: Annotated[Uri, Field(description="Fact `manifest` of the step `files.archive`.")]
    path: Annotated[HostPath | None, Field(description="Folder of the files. Default: the original path.")] = None
    unexpected: Annotated[
        Literal["fail", "allow"],
        Field(description="`fail`: a file that is not in the manifest fails the step. `allow`: it is only counted."),
    ] = "fail"

    def run(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``entries`` (number of compared entries), ``bytes``, ``unexpected``, ``sockets``, ``seconds``.

        ``unexpected`` counts entries that are not in the archive. ``sockets`` counts sockets, which are never archived.
        """
        begun = ctx.deadline.remaining()
        manifest = read_manifest(ctx, self.manifest)
        path = archives.resolve(ctx, self.path or manifest.path)
        survey = content.survey(ctx, path)
        entries = survey.entries or {}
        wrong = compare.differences(path, manifest.entries, entries, unexpected=self.unexpected == "fail")
        facts: Facts = {
            "path": path,
            "entries": len(manifest.entries),
            "bytes": manifest.bytes,
            "unexpected": len(entries.keys() - manifest.entries.keys()),
            "sockets": len(survey.sockets),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }
        if wrong:
            raise StepFailed(
                f"{ctx.host.name}: {path} differs from its archive: {stored_backup.summary(wrong)}",
                findings=wrong,
                facts=facts,
            )
        return facts

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the compared files on the host. It consists of the host, the machine id and the path."""
        manifest = read_manifest(ctx, self.manifest)
        return identity.identity(ctx, archives.resolve(ctx, self.path or manifest.path))

    def ready(self, ctx: Context) -> None:
        """Check that the host has python3, and that the store answers."""
        host_programs.need_python(ctx)
        if self.known("manifest"):
            Store(ctx.bucket(self.manifest)).check()

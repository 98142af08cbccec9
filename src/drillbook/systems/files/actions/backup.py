"""Archives of files: take one, prove it, extract it, compare with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import CommandFailed, CouldNotVerify, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk import host_programs, nofollow
from drillbook.sdk.action import Context, Facts, Read, Undo, Write
from drillbook.sdk.backup_writer import BackupSet, drop_uploads, taking
from drillbook.sdk.host import Deadline
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Reference, Store, Uri
from drillbook.sdk.stored_backup import StoredFile
from drillbook.sdk.transfer import PART_LEAST, Carrier
from drillbook.systems.files import archives, rights
from drillbook.systems.files.actions.fields import HostPath, Location, ServiceName, refuse_dangerous
from drillbook.systems.files.archives import ARCHIVE, Entry, Manifest
from drillbook.values import Size

ROUNDS = 3
"""How often files that change meanwhile are archived again."""
# NAME OTHER: run in the folder that holds it. The folder around that one is `..`, wherever its own path leads by now.
_MOVE = """
if test -e "../$2" || test -L "../$2"; then rmdir -- "../$2" 2>/dev/null || exit 3; fi
mv -T -- "./$1" "../$2" && { sync -f . 2>/dev/null || :; }
"""


class Archive(Write):
    """Archive a file or a folder with permissions, owners, links, attributes and holes; its manifest is written last."""

    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    path: HostPath
    to: Annotated[Uri, Field(description="Folder in a store: `s3://bucket/prefix`. It must hold no archive yet.")]
    part_size: Annotated[Size, Field(ge=PART_LEAST, description="Larger archives are sent in parts.")] = Size(32 << 20)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location`` and ``manifest`` for what comes after, ``path``, ``entries``, ``bytes``, ``packed``."""
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
        """Bring the archive and then the manifest into the store."""
        ctx.run("mkdir", "-m", "700", "--", f"{scratch}/files").check()
        taken = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entries = self._pack(ctx, path, f"{scratch}/files/{ARCHIVE}")
        carrier = Carrier(ctx.host, ctx.deadline, scratch)
        found = carrier.survey(f"{scratch}/files", int(self.part_size))
        backup.send(carrier, f"{scratch}/files", found, int(self.part_size))
        manifest = Manifest(
            run=ctx.run_id,
            service=self.service,
            host=ctx.host.name,
            path=path,
            taken_at=taken,
            machine=archives.machine(ctx),
            entries=entries,
            archive=StoredFile(size=found[0].size, sha256=found[0].sha256),
        )
        backup.seal(manifest.encoded())
        return manifest

    def _pack(self, ctx: Context, path: str, archive: str) -> dict[str, Entry]:
        """Archive what is there; what changed between a look before and a look after is archived again."""
        before = _there(ctx, path)
        if all(one.type == "folder" for one in before.values()):
            raise StepFailed(
                f"{ctx.host.name}: {path} holds no file: there is nothing to archive, and nothing that a restore could prove"
            )
        said = ""
        for _ in range(ROUNDS):
            ctx.run("rm", "-f", "--", archive).check()
            try:
                archives.pack(ctx, path, archive)
            except CommandFailed as error:
                said = error.tail
                if error.exit != 1:  # 1: a file changed while it was read
                    raise StepFailed(f"{ctx.host.name}: tar failed: {error.tail}") from error
            after = _there(ctx, path)
            if after == before and not said:
                return after
            if after != before:
                said = "; ".join(f"{path}/{name}" for name in sorted(before | after) if before.get(name) != after.get(name))
            before, said_last, said = after, said, ""
        raise StepFailed(
            f"{ctx.host.name}: files change while they are archived: {said_last[:500]}; stop what writes them, "
            "or archive less"
        )

    def ready(self, ctx: Context) -> None:
        """GNU tar with attributes, files that may be read, a way to carry them, and the store."""
        archives.need_tar(ctx)
        if self.known("path"):
            rights.need_readable(ctx, archives.resolve(ctx, self.path))
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("to"):
            Store(ctx.bucket(self.to)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The files that are archived."""
        return archives.identity(ctx, archives.resolve(ctx, self.path))

    def interrupted(self, ctx: Context) -> None:
        """Drop what was being uploaded."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """An archive is kept."""
        return Undo.nothing("an archive is kept")


@contextmanager
def _failing() -> Iterator[None]:
    """Turn what the store refuses into StepFailed."""
    try:
        yield
    except CouldNotVerify as error:
        raise StepFailed(f"the archive failed: {error.message}") from error


def _there(ctx: Context, path: str) -> dict[str, Entry]:
    around, _, name = path.rpartition("/")
    try:
        found = archives.survey(ctx, f"./{name}", nofollow.inside(around)).entries
    except CommandFailed as error:
        if error.exit != nofollow.NOT_THERE:
            raise
        found = None
    if found is None:
        raise StepFailed(f"{ctx.host.name}: there is no {path} to archive")
    if found["."].type not in ("file", "folder"):
        raise StepFailed(f"{ctx.host.name}: {path} is a {found['.'].type}; name the file or folder itself")
    return found


def _fetch(ctx: Context, store: Store, folder: Reference, manifest: Manifest, scratch: str) -> str:
    """Bring the archive to the host; returns its path. Raises StepFailed with a finding when it is not as it was."""
    size = store.size(f"{folder.key}/{ARCHIVE}")
    if size is None:
        raise StepFailed(
            f"the archive in {folder} is not whole",
            findings=[
                finding("backup-missing", title=ARCHIVE, wanted=f"{manifest.archive.size} bytes", measured="no such object")
            ],
        )
    if size != manifest.archive.size:
        raise StepFailed(
            f"the archive in {folder} is not whole",
            findings=[
                finding("backup-size", title=ARCHIVE, wanted=f"{manifest.archive.size} bytes", measured=f"{size} bytes")
            ],
        )
    problems = Carrier(ctx.host, ctx.deadline, scratch).fetch(scratch, [manifest.packed()], store, folder.key)
    if problems:
        wrong = [
            finding(f"backup-{one.kind}", title=one.name, wanted=one.wanted, measured=one.measured, host=ctx.host.name)
            for one in problems
            if one.kind != "error"
        ]
        said = f"{problems[0].kind}: wanted {problems[0].wanted}, measured {problems[0].measured}"
        raise StepFailed(f"the archive in {folder} did not arrive as it was: {said}", findings=wrong)
    return f"{scratch}/{ARCHIVE}"


def _extract(ctx: Context, archive: str, manifest: Manifest, inside: tuple[str, ...]) -> None:
    """Extract into the empty folder of ``inside`` and compare all of it. Raises StepFailed."""
    try:
        archives.unpack(ctx, archive, inside)
    except CommandFailed as error:
        raise StepFailed(
            f"{ctx.host.name}: tar reported errors: {error.tail}",
            findings=[
                finding("restore-errors", title="tar", wanted="status 0", measured=error.tail[-1500:], host=ctx.host.name)
            ],
        ) from error
    found = archives.survey(ctx, f"./{_name(manifest)}", inside).entries or {}
    wrong = archives.differences(manifest.path, manifest.entries, found, unexpected=True)
    if wrong:
        raise StepFailed(
            f"{ctx.host.name}: what was extracted differs from the manifest: {archives.summary(wrong)}", findings=wrong
        )


def _name(manifest: Manifest) -> str:
    return manifest.path.rpartition("/")[2]


class BackupIntact(Read):
    """Fetch an archive from where it lies, compare its digest, extract it aside and compare every entry."""

    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("files.extract",)

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``entries``, ``bytes``, ``packed``, ``identity`` of what it is an archive of, ``seconds``."""
        begun, store = ctx.deadline.remaining(), Store(ctx.bucket(self.from_))
        folder, manifest = archives.read(store, self.from_)
        if not ctx.same_service(manifest.service, self.service):
            raise StepFailed(f"{folder} is an archive of {manifest.service}, not of {self.service}")
        with ctx.temporary("intact") as scratch:
            archive = _fetch(ctx, store, folder, manifest, scratch)
            ctx.run("mkdir", "-m", "700", "--", f"{scratch}/out").check()
            _extract(ctx, archive, manifest, nofollow.inside(f"{scratch}/out"))
        return {
            "entries": len(manifest.entries),
            "bytes": manifest.bytes,
            "packed": manifest.archive.size,
            "identity": archives.archived(ctx, manifest, folder.sha256).model_dump(),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }

    def subject(self, ctx: Context) -> Identity | None:
        """Files of the service, wherever on its host."""
        return archives.identity(ctx)

    def ready(self, ctx: Context) -> None:
        """GNU tar with attributes, and a way to carry files."""
        archives.need_tar(ctx)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()


class Extract(Write):
    """Extract an archive beside its place, compare every entry with the manifest, then move it there in one step.

    Nothing is overwritten: the place must be empty or not there, or hold exactly what the manifest says, as when the run
    that is recovered died before it lost anything, or after it had restored it.
    """

    TIMEOUT = 3600.0
    UNDO = ("commands",)

    service: ServiceName
    from_: Location
    path: Annotated[HostPath | None, Field(description="Where to; by default where it was.")] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``entries``, ``bytes``, ``already`` (nothing had to be extracted), ``seconds``."""
        begun, store = ctx.deadline.remaining(), Store(ctx.bucket(self.from_))
        folder, manifest = archives.read(store, self.from_)
        path = archives.resolve(ctx, self.path or manifest.path)
        refuse_dangerous(path)
        found = archives.survey(ctx, path).entries
        already = found is not None and not archives.differences(path, manifest.entries, found, unexpected=True)
        if not already:
            self._bring(ctx, store, folder, manifest, path)
        with suppress(HostError):  # what is still there keeps `files.lose` from being proven gone
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
                    f"{ctx.host.name}: there is something in {path}; nothing was overwritten",
                    findings=[
                        finding("restore-target", title=path, wanted="nothing, or an empty folder", measured="something")
                    ],
                )
            moved.check()
        finally:
            with suppress(HostError):
                ctx.host.run(("sh", "-c", nofollow.DELETE, "sh", place), deadline=Deadline.after(60))

    def ready(self, ctx: Context) -> None:
        """GNU tar with attributes, a way to carry files, and a place that the user may write, where it is known."""
        archives.need_tar(ctx)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("path") and self.path is not None:
            rights.need_place(ctx, archives.resolve(ctx, self.path))

    def subject(self, ctx: Context) -> Identity | None:
        """The files that were extracted."""
        _, manifest = archives.read(Store(ctx.bucket(self.from_)), self.from_)
        return archives.identity(ctx, archives.resolve(ctx, self.path or manifest.path))

    def undo(self, ctx: Context) -> Undo:
        """What was extracted is kept; a half-extracted one beside it is removed."""
        if self.path is None:
            _, manifest = archives.read(Store(ctx.bucket(self.from_)), self.from_)
        path = archives.resolve(ctx, self.path or manifest.path)
        return Undo.by_commands(("sh", "-c", nofollow.DELETE, "sh", _place(ctx, path)))


def _place(ctx: Context, path: str) -> str:
    return f"{path}{archives.own_mark(ctx)}-new"


class Matches(Read):
    """Compare files on the host with the manifest of an archive: content, type, permissions, owner, links, attributes."""

    TIMEOUT = 1800.0
    COMPARES = True

    service: ServiceName
    manifest: Annotated[Uri, Field(description="The `manifest` that `files.archive` gave.")]
    path: Annotated[HostPath | None, Field(description="Where they are; by default where they were.")] = None
    unexpected: Annotated[
        Literal["fail", "allow"], Field(description="What a file that the manifest does not know means.")
    ] = "fail"

    def run(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``entries``, ``bytes``, ``unexpected``, ``sockets`` (never archived), ``seconds``."""
        begun = ctx.deadline.remaining()
        _, manifest = archives.read(Store(ctx.bucket(self.manifest)), self.manifest)
        path = archives.resolve(ctx, self.path or manifest.path)
        found = archives.survey(ctx, path)
        entries = found.entries or {}
        wrong = archives.differences(path, manifest.entries, entries, unexpected=self.unexpected == "fail")
        facts: Facts = {
            "path": path,
            "entries": len(manifest.entries),
            "bytes": manifest.bytes,
            "unexpected": len(entries.keys() - manifest.entries.keys()),
            "sockets": len(found.sockets),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }
        if wrong:
            raise StepFailed(
                f"{ctx.host.name}: {path} differs from its archive: {archives.summary(wrong)}", findings=wrong, facts=facts
            )
        return facts

    def subject(self, ctx: Context) -> Identity | None:
        """The files that are compared."""
        _, manifest = archives.read(Store(ctx.bucket(self.manifest)), self.manifest)
        return archives.identity(ctx, archives.resolve(ctx, self.path or manifest.path))

    def ready(self, ctx: Context) -> None:
        """The host needs python3."""
        host_programs.need_python(ctx)
        if self.known("manifest"):
            Store(ctx.bucket(self.manifest)).check()

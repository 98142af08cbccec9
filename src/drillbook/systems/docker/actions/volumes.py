"""Volumes of containers: saved to the backup store, and brought back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from drillbook.errors import DrillbookError, StepFailed
from drillbook.findings import finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Undo, Write
from drillbook.sdk.backup_writer import BackupSet, drop_uploads, taking
from drillbook.sdk.host import Deadline
from drillbook.sdk.identity import Identity, host_place
from drillbook.sdk.store import Reference, Store, Uri
from drillbook.sdk.stored_backup import StoredFile
from drillbook.sdk.transfer import PART_LEAST, Carrier
from drillbook.systems.docker.actions.fields import ServiceName
from drillbook.systems.docker.undo import tool
from drillbook.systems.docker.volumes import ARCHIVE, Digest, Manifest, Volume, read
from drillbook.values import Size

VolumeName = Annotated[
    str, Field(min_length=1, description=("Name of the volume, or the path at which the container has it."))
]
PUT_BACK_S = 120.0


@contextmanager
def _scratch(ctx: Context) -> Iterator[str]:
    """A folder on the host with an empty folder ``files`` in it, removed at the end."""
    with ctx.temporary("volume") as path:
        ctx.run("mkdir", "-m", "700", "--", f"{path}/files").check()
        yield path


def _identity(ctx: Context, service: str, volume: str) -> Identity:
    """A volume of the host's engine: no other bears its name there."""
    name = Volume.of(ctx, service, volume).name
    return Identity(kind="volume", of={"at": host_place(ctx.host.name, ctx.hosts), "path": name})


class VolumeBackup(Write):
    """Copy a volume of a container to the backup store, as an archive with its digest.

    A helper container of the same image reads it, on the service's host. It fails when something changes meanwhile: stop
    what writes to it, or restore a database by its own backup.
    """

    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    volume: VolumeName
    to: Annotated[Uri, Field(description="Folder of the backup, `s3://bucket/key`.")]
    part_size: Annotated[Size, Field(ge=PART_LEAST, description="A larger archive is sent in parts.")] = Size(32 << 20)

    def ready(self, ctx: Context) -> None:
        """The volume, a way to carry the archive, and the store."""
        if self.known("volume"):
            Volume.of(ctx, self.service, self.volume)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("to"):
            Store(ctx.bucket(self.to)).check()

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location``, ``manifest``, ``volume``, ``entries``, ``bytes``, ``seconds``."""
        begun, volume = time.monotonic(), Volume.of(ctx, self.service, self.volume)
        store, folder = Store(ctx.bucket(self.to)), stored_backup.split(self.to)
        with taking(store, folder) as backup, _scratch(ctx) as scratch:
            manifest = self._send(ctx, volume, scratch, backup)
            return {
                **backup.facts(ctx),
                "volume": volume.name,
                "entries": manifest.entries,
                "bytes": manifest.files[ARCHIVE].size,
                "seconds": round(time.monotonic() - begun, 3),
            }

    def _send(self, ctx: Context, volume: Volume, scratch: str, backup: BackupSet) -> Manifest:
        """Bring the archive and then the manifest into the store."""
        taken_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        before = volume.digest()
        if not before.entries:
            raise StepFailed(
                f"the volume {volume.name} is empty: there is nothing to back up, and nothing that a restore could prove"
            )
        volume.save(f"{scratch}/files/{ARCHIVE}")
        if volume.digest() != before:
            raise StepFailed(
                f"the volume {volume.name} changed while it was copied",
                findings=[
                    finding(
                        "step-failed",
                        title=volume.name,
                        wanted="no change while it is copied",
                        measured="another content",
                        remedy="Stop or pause what writes to it for that time, or back it up by its own tools.",
                    )
                ],
            )
        carrier = Carrier(ctx.host, ctx.deadline, scratch)
        found = carrier.survey(f"{scratch}/files", int(self.part_size))
        backup.send(carrier, f"{scratch}/files", found, int(self.part_size))
        manifest = Manifest(
            run=ctx.run_id,
            service=self.service,
            volume=volume.name,
            image=volume.image,
            taken_at=taken_at,
            entries=before.entries,
            content=before.content,
            root=before.root,
            files={ARCHIVE: StoredFile(size=found[0].size, sha256=found[0].sha256)},
        )
        backup.seal(manifest.encoded())
        return manifest

    def subject(self, ctx: Context) -> Identity | None:
        """The volume that is copied."""
        return _identity(ctx, self.service, self.volume)

    def interrupted(self, ctx: Context) -> None:
        """Drop what was being uploaded."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """A backup is kept; one that failed removes what it sent."""
        return Undo.nothing("a backup is kept")


class VolumeRestore(Write):
    """Put a saved volume in the place of its present content, and prove it by the digest of all that is in it.

    Containers that use it are stopped meanwhile; none may be paused, or made with `--rm`. What was there is put back
    unless the content is as it was saved.
    """

    TIMEOUT = 3600.0
    UNDO = ("commands",)

    service: ServiceName
    volume: VolumeName
    from_: Annotated[Uri, Field(alias="from", description="The `location` that a backup gave.")]

    def ready(self, ctx: Context) -> None:
        """The volume, a way to carry the archive, and the store."""
        if self.known("volume"):
            Volume.of(ctx, self.service, self.volume).must_be_free()
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()

    def run(self, ctx: Context) -> Facts:
        """Facts: ``volume``, ``entries``, ``bytes``, ``restarted`` (containers), ``seconds``, ``taken_at``."""
        begun, store, origin = time.monotonic(), Store(ctx.bucket(self.from_)), stored_backup.split(self.from_)
        backup = read(store, origin)
        volume = Volume.of(ctx, self.service, self.volume)
        volume.must_be_free()
        back = volume.undo()
        with _scratch(ctx) as scratch:
            self._fetch(ctx, backup, store, origin, scratch)
            try:
                if volume.users:
                    ctx.run(*tool(ctx), "stop", "--", *volume.users).check()
                volume.replace(f"{scratch}/files/{ARCHIVE}")
                self._must_be_equal(volume, backup)
            except BaseException:
                self._give_up(ctx, back)
                raise
        volume.forget()
        if volume.users:
            ctx.run(*tool(ctx), "start", "--", *volume.users).check()
        return {
            "volume": volume.name,
            "entries": backup.entries,
            "bytes": backup.files[ARCHIVE].size,
            "restarted": list(volume.users),
            "seconds": round(time.monotonic() - begun, 3),
            "taken_at": backup.taken_at,
        }

    def _fetch(self, ctx: Context, backup: Manifest, store: Store, origin: Reference, scratch: str) -> None:
        carrier = Carrier(ctx.host, ctx.deadline, scratch)
        problems = carrier.fetch(f"{scratch}/files", backup.listed(), store, origin.key)
        if wrong := [
            finding(f"backup-{one.kind}", title=one.name, wanted=one.wanted, measured=one.measured, host=ctx.host.name)
            for one in problems
            if one.kind != "error"
        ]:
            raise StepFailed(f"the backup in {origin} is damaged: {stored_backup.summary(wrong)}", findings=wrong)
        if problems:
            raise StepFailed(f"{ctx.host.name} could not fetch the archive: {problems[0].measured}")

    def _must_be_equal(self, volume: Volume, backup: Manifest) -> None:
        wanted, measured = Digest(backup.entries, backup.content, backup.root), volume.digest()
        if measured != (wanted if backup.root else replace(wanted, root=measured.root)):
            raise StepFailed(
                f"the volume {volume.name} is not as it was saved",
                findings=[finding("restore-errors", title=volume.name, wanted=str(wanted), measured=str(measured))],
            )

    def _give_up(self, ctx: Context, back: Undo) -> None:
        """Have the old content again, also when the run was stopped; what fails here the undo does later."""
        later = replace(ctx, deadline=Deadline.after(PUT_BACK_S))
        with suppress(DrillbookError, TimeoutError):
            for argv in back.commands:
                later.run(*argv).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The volume that was restored."""
        return _identity(ctx, self.service, self.volume)

    def undo(self, ctx: Context) -> Undo:
        """A finished restore is kept; an unfinished one gives way to what was there before."""
        return Volume.of(ctx, self.service, self.volume).undo()

    def active(self, ctx: Context) -> bool | None:
        """True while what was there waits to be put back; otherwise nothing is said: a user may still be stopped."""
        return True if Volume.of(ctx, self.service, self.volume).kept() else None

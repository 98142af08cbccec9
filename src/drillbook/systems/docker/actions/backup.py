"""Actions that back up volumes of containers to a store, and restore them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from drillbook.errors import DrillbookError, StepFailed
from drillbook.findings import finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Undo, Write
from drillbook.sdk.backup_writer import PART_SIZE, BackupFolder, BackupSet, PartSize, drop_uploads, taking
from drillbook.sdk.host import Deadline
from drillbook.sdk.host_encryption import need_transfer
from drillbook.sdk.identity import Identity, host_place
from drillbook.sdk.object_reference import Uri
from drillbook.sdk.store import Store
from drillbook.sdk.store_rights import need_target
from drillbook.sdk.transfer import Carrier
from drillbook.systems.docker.actions.fields import ServiceName
from drillbook.systems.docker.manifest import ARCHIVE, Manifest
from drillbook.systems.docker.undo import tool
from drillbook.systems.docker.volumes import Digest, Volume

VolumeName = Annotated[
    str, Field(min_length=1, description=("Name of the volume, or the path at which it is mounted in the container."))
]
PUT_BACK_S = 120.0


def _identity(ctx: Context, service: str, volume: str) -> Identity:
    """Return the identity of the volume: the address of the host, and the name of the volume in the engine of this
    host.
    """
    name = Volume.of(ctx, service, volume).name
    return Identity(kind="volume", of={"at": host_place(ctx.host.name, ctx.hosts), "path": name})


class VolumeBackup(Write):
    """Copy a volume of a container to the backup store. The copy is an archive, stored with its digest.

    On the service's host, a helper container reads the volume. The helper container is created from the image of the
    service's container. The step fails when a file changes during the copy. Stop the programs that write to the volume
    first, or back up a database with its own tools.
    """

    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    volume: VolumeName
    to: BackupFolder
    part_size: PartSize = PART_SIZE

    def ready(self, ctx: Context) -> None:
        """Check that the volume exists, that the host has a program to transfer files, and that the store answers."""
        if self.known("volume"):
            Volume.of(ctx, self.service, self.volume)
        need_transfer(ctx, self.to if self.known("to") else "")
        if self.known("to"):
            need_target(ctx, Store(ctx.bucket(self.to)), self.to)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location`` and ``manifest`` (for later steps), ``volume`` (name of the volume), ``entries`` (number of
        archived entries), ``bytes``, ``seconds``.

        ``bytes`` is the size of the archive. ``evidence`` is a copy of the manifest, ``signed`` is true if the manifest
        is signed, and ``unsigned`` is the reason if it is not.
        """
        begun, volume = time.monotonic(), Volume.of(ctx, self.service, self.volume)
        store, folder = Store(ctx.bucket(self.to)), stored_backup.split(self.to)
        with taking(store, folder) as backup, ctx.temporary("volume") as scratch:
            ctx.run("mkdir", "-m", "700", "--", f"{scratch}/files").check()
            manifest = self._send(ctx, volume, scratch, backup)
            return {
                **backup.facts(ctx),
                "volume": volume.name,
                "entries": manifest.entries,
                "bytes": manifest.files[ARCHIVE].size,
                "seconds": round(time.monotonic() - begun, 3),
            }

    def _send(self, ctx: Context, volume: Volume, scratch: str, backup: BackupSet) -> Manifest:
        """Send the archive of the volume to the store, and after it the manifest. Return the manifest."""
        taken_at = stored_backup.now()
        before = volume.digest()
        if not before.entries:
            raise StepFailed(f"the volume {volume.name} is empty, so there is nothing to back up")
        volume.save(f"{scratch}/files/{ARCHIVE}")
        if volume.digest() != before:
            raise StepFailed(
                f"the volume {volume.name} changed during the copy",
                findings=[
                    finding(
                        "step-failed",
                        title=volume.name,
                        wanted="no change during the copy",
                        measured="different content",
                        remedy=(
                            "Stop or pause the programs that write to the volume during the copy, or back up a database "
                            "by its own tools."
                        ),
                    )
                ],
            )
        carrier = Carrier(ctx.host, ctx.deadline, scratch)
        listed = carrier.survey(f"{scratch}/files", int(self.part_size))
        files = backup.send(carrier, f"{scratch}/files", listed, int(self.part_size))
        manifest = Manifest(
            run=ctx.run_id,
            service=self.service,
            volume=volume.name,
            image=volume.image,
            taken_at=taken_at,
            entries=before.entries,
            content=before.content,
            root=before.root,
            files=files,
        )
        backup.seal(manifest)
        return manifest

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the copied volume: the address of the host, and the name of the volume in the engine of this
        host.
        """
        return _identity(ctx, self.service, self.volume)

    def interrupted(self, ctx: Context) -> None:
        """Abort the unfinished uploads to the store folder in the parameter `to`."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the backup should stay in the store."""
        return Undo.nothing("a backup is kept")


class VolumeRestore(Write):
    """Replace the content of a volume by the content of a backup.

    The digest of the new content is then compared with the digest of the backup. Containers that use the volume are
    stopped during the restore. None of them may be paused, or created with `--rm`. If the new content differs from the
    backup, the old content is put back.
    """

    TIMEOUT = 3600.0
    UNDO = ("commands",)

    service: ServiceName
    volume: VolumeName
    from_: Annotated[Uri, Field(alias="from", description="Fact `location` of the step `docker.volume_backup`.")]

    def ready(self, ctx: Context) -> None:
        """Check that the volume can be replaced, that the host has a program to transfer files, and that the store answers."""
        if self.known("volume"):
            Volume.of(ctx, self.service, self.volume).must_be_free()
        need_transfer(ctx, self.from_ if self.known("from_") else "")
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()

    def run(self, ctx: Context) -> Facts:
        """Facts: ``volume`` (name of the volume), ``entries`` (number of restored entries), ``bytes``, ``seconds``,
        ``taken_at`` (time of the backup), ``restarted`` (names of the containers that were started again).
        """
        begun, store, origin = time.monotonic(), Store(ctx.bucket(self.from_)), stored_backup.split(self.from_)
        backup = Manifest.read(store, origin)
        volume = Volume.of(ctx, self.service, self.volume)
        volume.must_be_free()
        back = volume.undo()
        with ctx.temporary("volume") as scratch:
            folder = stored_backup.carry(ctx, store, origin, backup, scratch)
            try:
                if volume.users:
                    ctx.run(*tool(ctx), "stop", "--", *volume.users).check()
                volume.replace(f"{folder}/{ARCHIVE}")
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

    def _must_be_equal(self, volume: Volume, backup: Manifest) -> None:
        wanted, measured = Digest(backup.entries, backup.content, backup.root), volume.digest()
        if measured != (wanted if backup.root else replace(wanted, root=measured.root)):
            raise StepFailed(
                f"the volume {volume.name} differs from the backup",
                findings=[finding("restore-errors", title=volume.name, wanted=str(wanted), measured=str(measured))],
            )

    def _give_up(self, ctx: Context, back: Undo) -> None:
        """Run the undo ``back`` at once, after an error or a stop of the run. Errors are ignored, because the step's undo runs
        the same commands again later.
        """
        later = replace(ctx, deadline=Deadline.after(PUT_BACK_S))
        with suppress(DrillbookError, TimeoutError):
            for argv in back.commands:
                later.run(*argv).check()

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the restored volume: the address of the host, and the name of the volume in the engine of this
        host.
        """
        return _identity(ctx, self.service, self.volume)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that starts the containers that the restore stopped. If the restore is unfinished, the undo puts the
        old content back before the start.
        """
        return Volume.of(ctx, self.service, self.volume).undo()

    def active(self, ctx: Context) -> bool | None:
        """Return True while old content must still be put back. Otherwise return None (unknown), because a container that
        the restore stopped may still be down, and the undo must then start it.
        """
        return True if Volume.of(ctx, self.service, self.volume).kept() else None

"""Writer of backup sets: uploads the files of one backup to a folder of a store, and the manifest as the last file.

A set is complete or absent: a folder that already has a manifest is never written to, and after a failure all uploads are
removed. All kinds of backups are written with ``BackupSet``, each with its own files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import DrillbookError, NotReady, StepFailed
from drillbook.sdk import host_encryption, vouchers
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.service import S3
from drillbook.sdk.store import Reference, Store, Uri
from drillbook.sdk.stored_backup import FILE, SIGNATURE, BackupManifest, StoredFile, entries, sha256
from drillbook.sdk.transfer import PART_LEAST, Carrier, File, Upload
from drillbook.values import Size

BackupFolder = Annotated[
    Uri, Field(description="Folder for the backup in a store, `s3://bucket/prefix`; it must not contain a backup yet.")
]
PartSize = Annotated[Size, Field(ge=PART_LEAST, description="Size of the parts in which larger files are uploaded.")]
PART_SIZE = Size(32 << 20)
"""Default part size in bytes for the upload of large files."""


@dataclass(slots=True)
class BackupSet:
    """Writer of one backup set to ``folder``; created by ``taking``."""

    store: Store
    folder: Reference
    upload: Upload
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes of the files sent so far, in bytes, by name."""
    manifest: bytes = b""

    def send(self, carrier: Carrier, path: str, found: Sequence[File], part_size: int) -> dict[str, StoredFile]:
        """Send the files ``found`` below ``path`` to the store, from the host of ``carrier``; ``part_size`` is in bytes.

        If the store requires encryption, the files are first replaced by encrypted ones. Returns the manifest's entries by
        the name of the plain file. Raises StepFailed, NotReady, HostError, CouldNotVerify, Cancelled.
        """
        rule = self.store.service.encrypt
        sent = host_encryption.encrypt(carrier, path, found, rule, part_size) if rule else found
        carrier.send(path, sent, self.upload, part_size)
        carrier.deadline.check()
        self.upload.commit()
        self.sizes.update({one.name: one.size for one in sent})
        return entries(sent)

    def put(self, name: str, data: bytes) -> str:
        """Upload ``data`` from the controller as file ``name``; returns the SHA-256.

        Raises StepFailed, NotReady for a store that requires encryption, CouldNotVerify.
        """
        need_clear(self.store.service)
        key, digest = self.folder.below(name).key, sha256(data)
        self.upload.small.append(key)
        self.store.put(key, data, digest)
        self.sizes[name] = len(data)
        return digest

    def stream(self, name: str, parts: Iterable[bytes]) -> None:
        """Write the large file ``name`` from the controller; it becomes visible once all ``parts`` are sent.

        Every part except the last must have at least ``PART_LEAST`` bytes. Raises the errors of ``parts``, NotReady for a
        store that requires encryption, CouldNotVerify.
        """
        need_clear(self.store.service)
        key = self.folder.below(name).key
        begun, size = self.store.begin(key), 0
        self.upload.begun[key] = begun
        sent: list[tuple[str, str]] = []
        for data in parts:
            sent.append((self.store.put_part(key, begun, len(sent) + 1, data, sha256(data)), sha256(data)))
            size += len(data)
        self.upload.done[key] = sent
        self.upload.commit()
        self.sizes[name] = size

    def remove(self, name: str) -> None:
        """Remove the file ``name`` of this set from the store. Raises CouldNotVerify."""
        self.store.delete([self.folder.below(name).key])
        del self.sizes[name]

    def seal(self, manifest: BackupManifest) -> None:
        """Check that the store lists every file with its size, then write the manifest, which also names the store's
        recipients.

        Raises StepFailed, CouldNotVerify.
        """
        sizes = self.store.sizes(self.folder.key + "/")
        if wrong := [name for name, size in self.sizes.items() if sizes.get(name) != size]:
            raise StepFailed(f"the store does not list the uploaded files as sent: {', '.join(wrong[:5])}")
        self.manifest = manifest.model_copy(update={"encrypted": self.store.service.encrypt}).encoded()
        self.store.put(self.folder.below(FILE).key, self.manifest, sha256(self.manifest))

    def facts(self, ctx: Context) -> Facts:
        """Return the facts of the backup; sign its manifest if the run has a signing key. Raises CouldNotVerify.

        Facts: ``location`` (the folder) and ``manifest``, both with the SHA-256 of the manifest; ``evidence`` (a copy of the
        manifest); ``signed``, and ``unsigned`` with the reason.
        """
        digest = sha256(self.manifest)
        self.upload.small.append(self.folder.below(SIGNATURE).key)
        signed = vouchers.signed(ctx, self.store, self.folder, self.manifest)
        return {
            "location": str(Reference(self.folder.bucket, self.folder.key, digest)),
            "manifest": str(self.folder.below(FILE, digest)),
            "evidence": ctx.evidence(FILE, self.manifest),
            **signed,
        }

    def discard(self) -> None:
        """Remove all uploaded files, as far as the store permits. The manifest is removed first, but only if this set wrote it."""
        key = self.folder.below(FILE).key
        with suppress(DrillbookError):
            if self.manifest and self.store.get(key) == self.manifest:
                self.store.delete([key])
        self.upload.discard()


def need_clear(service: S3) -> None:
    """Check that the store accepts unencrypted backups, for kinds of backups that cannot be encrypted. Raises NotReady."""
    if service.encrypt:
        raise NotReady(
            f"backups in {service.name} are encrypted, and this kind of backup cannot be: a server or the store itself copies it",
            hint="name a store without `encrypt`",
        )


def drop_uploads(ctx: Context, to: str) -> None:
    """Abort unfinished multipart uploads below the folder ``to``: they take up space, although no list of objects shows
    them.

    Raises CouldNotVerify.
    """
    store, folder = Store(ctx.bucket(to)), Reference.parse(to)
    for key, upload in store.unfinished(folder.key + "/"):
        store.abort(key, upload)


@contextmanager
def taking(store: Store, folder: Reference, what: Literal["backup", "archive"] = "backup") -> Iterator[BackupSet]:
    """Yield a writer of a backup set in ``folder``; the uploads are removed when the `with` block fails.

    Error messages name the set by ``what``. Raises StepFailed when the folder already contains a backup set, CouldNotVerify.
    """
    if store.size(folder.below(FILE).key) is not None:
        name = f"{'an' if what == 'archive' else 'a'} {what}"
        raise StepFailed(f"{folder} already contains {name}; {name} is never overwritten")
    made = BackupSet(store, folder, Upload(store, folder.key))
    try:
        yield made
    except BaseException:
        made.discard()
        raise

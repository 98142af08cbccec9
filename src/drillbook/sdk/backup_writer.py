"""Writer of backup sets. It uploads the files of one backup to a folder of a store, and uploads the manifest last.

A folder without a manifest is not a backup, so that a set is either complete or absent. The writer never writes to a folder
that already has a manifest. After a failure, it removes all uploads. Backups of every kind are written with ``BackupSet``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import DrillbookError, NotReady, StepFailed
from drillbook.sdk import host_encryption, manifest_signatures
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.object_reference import Reference, Uri
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import FILE, SIGNATURE, BackupManifest, StoredFile, entries, sha256
from drillbook.sdk.transfer import PART_LEAST, Carrier, File, Upload
from drillbook.values import Size

BackupFolder = Annotated[
    Uri, Field(description="Folder for the backup in a store, `s3://bucket/prefix`. It must not contain a backup yet.")
]
PartSize = Annotated[
    Size,
    Field(ge=PART_LEAST, description=("Size in bytes. Each larger file of the backup is uploaded in parts of this size.")),
]
PART_SIZE = Size(32 << 20)
"""Default part size in bytes for the upload of large files."""


@dataclass(slots=True)
class BackupSet:
    """Writer of one backup set to ``folder``. Only ``taking`` creates a writer."""

    store: Store
    folder: Reference
    upload: Upload
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes of the files sent so far. The key of each entry is the name of the file, and the value is its size in bytes."""
    manifest: bytes = b""

    def send(self, carrier: Carrier, path: str, files: Sequence[File], part_size: int) -> dict[str, StoredFile]:
        """Send ``files``, which are in the folder ``path``, from the host of ``carrier`` to the store.

        Returns a mapping: each key is the name of a plain file, and the value is the file's entry in the manifest. If the
        store requires encryption, the files on the host are first replaced by encrypted files. ``part_size``: size in
        bytes of the parts of large files. Raises StepFailed, NotReady, HostError, CouldNotVerify and Cancelled.
        """
        rule = self.store.service.encrypt
        sent = host_encryption.encrypt(carrier, path, files, rule, part_size) if rule else files
        carrier.send(path, sent, self.upload, part_size)
        carrier.deadline.check()
        self.upload.commit()
        self.sizes.update({file.name: file.size for file in sent})
        return entries(sent)

    def put(self, name: str, data: bytes) -> str:
        """Upload ``data`` from the controller as the file ``name``, and return its SHA-256.

        Raises StepFailed when the file exists, NotReady when the store requires encryption, and CouldNotVerify when the
        store fails.
        """
        need_clear(self.store.service)
        key, digest = self.folder.below(name).key, sha256(data)
        self.upload.small.append(key)
        self.store.put(key, data, digest)
        self.sizes[name] = len(data)
        return digest

    def stream(self, name: str, parts: Iterable[bytes]) -> None:
        """Write the large file ``name`` from the controller. The file becomes visible after all ``parts`` have been sent.

        Every part except the last must have at least ``PART_LEAST`` bytes. Raises the errors of ``parts``, NotReady when
        the store requires encryption, and CouldNotVerify when the store fails.
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
        """Remove the file ``name`` of this set from the store. Raises CouldNotVerify when the store fails."""
        self.store.delete([self.folder.below(name).key])
        del self.sizes[name]

    def seal(self, manifest: BackupManifest) -> None:
        """Check that the store lists every file with its size, and then write the manifest.

        The manifest also names the recipients of the store's encryption. Raises StepFailed when a file is missing or has
        another size, and CouldNotVerify when the store fails.
        """
        sizes = self.store.sizes(self.folder.key + "/")
        if wrong := [name for name, size in self.sizes.items() if sizes.get(name) != size]:
            raise StepFailed(f"the store does not list these files, or lists them with another size: {', '.join(wrong[:5])}")
        self.manifest = manifest.model_copy(update={"encrypted": self.store.service.encrypt}).encoded()
        self.store.put(self.folder.below(FILE).key, self.manifest, sha256(self.manifest))

    def facts(self, ctx: Context) -> Facts:
        """Return the facts of the backup. If the run has a signing key, sign the manifest. Raises CouldNotVerify when the
        signature cannot be stored.

        The facts ``location`` (URI of the folder) and ``manifest`` (URI of the manifest) end with the SHA-256 of the
        manifest. The other facts are ``evidence`` (a copy of the manifest), ``signed``, and ``unsigned`` (the reason why
        the manifest is not signed).
        """
        digest = sha256(self.manifest)
        self.upload.small.append(self.folder.below(SIGNATURE).key)
        signed = manifest_signatures.signed(ctx, self.store, self.folder, self.manifest)
        return {
            "location": str(Reference(self.folder.bucket, self.folder.key, digest)),
            "manifest": str(self.folder.below(FILE, digest)),
            "evidence": ctx.evidence(FILE, self.manifest),
            **signed,
        }

    def discard(self) -> None:
        """Remove all uploaded files, as far as the store permits.

        If this set wrote a manifest, the manifest is removed first.
        """
        key = self.folder.below(FILE).key
        with suppress(DrillbookError):
            if self.manifest and self.store.get(key) == self.manifest:
                self.store.delete([key])
        self.upload.discard()


def need_clear(service: S3) -> None:
    """Check that the store accepts unencrypted backups.

    Used by kinds of backups that cannot be encrypted. Raises NotReady when the store requires encryption.
    """
    if service.encrypt:
        raise NotReady(
            (
                f"backups in {service.name} must be encrypted, but Drillbook cannot encrypt this kind of backup, "
                "because a server or the store itself copies the data of the backup"
            ),
            hint="name a store without `encrypt` in the inventory",
        )


def drop_uploads(ctx: Context, to: str) -> None:
    """Abort the unfinished multipart uploads to the store folder ``to``. Raises CouldNotVerify when the store fails.

    Unfinished uploads take up space, although no list of objects shows them.
    """
    store, folder = Store(ctx.bucket(to)), Reference.parse(to)
    for key, upload in store.unfinished(folder.key + "/"):
        store.abort(key, upload)


@contextmanager
def taking(store: Store, folder: Reference, what: Literal["backup", "archive"] = "backup") -> Iterator[BackupSet]:
    """Yield a writer of a backup set in ``folder``. When the `with` block fails, the uploads are removed.

    ``what``: name of the set in error messages. Raises StepFailed when the folder already contains a backup set, and
    CouldNotVerify when the store cannot be asked.
    """
    if store.size(folder.below(FILE).key) is not None:
        name = f"{'an' if what == 'archive' else 'a'} {what}"
        raise StepFailed(f"{folder} already contains {name}; Drillbook never overwrites {name}")
    made = BackupSet(store, folder, Upload(store, folder.key))
    try:
        yield made
    except BaseException:
        made.discard()
        raise

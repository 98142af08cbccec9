"""A backup set that is being taken: the files of one backup in a folder of a store, and last the manifest that names them.

It is there whole or not at all: a folder that holds a manifest is never written to, and what was sent before a failure is
removed again. Every kind of backup is taken through here; what it consists of is the kind's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from drillbook.errors import DrillbookError, StepFailed
from drillbook.sdk import vouchers
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import FILE, SIGNATURE, sha256
from drillbook.sdk.transfer import Carrier, File, Upload


@dataclass(slots=True)
class BackupSet:
    """One that is being taken into ``folder``; made by ``taking``."""

    store: Store
    folder: Reference
    upload: Upload
    sizes: dict[str, int] = field(default_factory=dict)
    """Of what was sent, by name."""
    manifest: bytes = b""

    def send(self, carrier: Carrier, path: str, found: Sequence[File], part_size: int) -> None:
        """Send the files ``found`` below ``path`` from the carrier's host; ``part_size`` in bytes.

        Raises StepFailed, HostError, CouldNotVerify, Cancelled.
        """
        carrier.send(path, found, self.upload, part_size)
        carrier.deadline.check()
        self.upload.commit()
        self.sizes.update({one.name: one.size for one in found})

    def put(self, name: str, data: bytes) -> str:
        """Write one file from here; its SHA-256. Raises StepFailed, CouldNotVerify."""
        key, digest = self.folder.below(name).key, sha256(data)
        self.upload.small.append(key)
        self.store.put(key, data, digest)
        self.sizes[name] = len(data)
        return digest

    def stream(self, name: str, parts: Iterable[bytes]) -> None:
        """Write one large file from here, which shows once ``parts`` has ended; each but the last has ``PART_LEAST`` bytes.

        Raises what ``parts`` does, CouldNotVerify.
        """
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
        """Take a file out that was sent. Raises CouldNotVerify."""
        self.store.delete([self.folder.below(name).key])
        del self.sizes[name]

    def seal(self, manifest: bytes) -> None:
        """Write the manifest, once the store shows every file in its size. Raises StepFailed, CouldNotVerify."""
        sizes = self.store.sizes(self.folder.key + "/")
        if wrong := [name for name, size in self.sizes.items() if sizes.get(name) != size]:
            raise StepFailed(f"the store does not show what was uploaded: {', '.join(wrong[:5])}")
        self.manifest = manifest
        self.store.put(self.folder.below(FILE).key, manifest, sha256(manifest))

    def facts(self, ctx: Context) -> Facts:
        """``location`` and ``manifest``, which pin the manifest that was written, and the ``evidence`` that holds it.

        The manifest is signed, where the run has a key. Raises CouldNotVerify.
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
        """Remove what was sent, as far as the store lets it: first the manifest, if it is there and this one's."""
        key = self.folder.below(FILE).key
        with suppress(DrillbookError):
            if self.manifest and self.store.get(key) == self.manifest:
                self.store.delete([key])
        self.upload.discard()


def drop_uploads(ctx: Context, to: str) -> None:
    """Drop the uploads below the folder ``to`` that were never completed: they take space, and no list of objects shows it.

    Raises CouldNotVerify.
    """
    store, folder = Store(ctx.bucket(to)), Reference.parse(to)
    for key, upload in store.unfinished(folder.key + "/"):
        store.abort(key, upload)


@contextmanager
def taking(store: Store, folder: Reference, what: Literal["backup", "archive"] = "backup") -> Iterator[BackupSet]:
    """A backup set in ``folder``, of which nothing stays when the block fails. ``what`` is its name in messages.

    Raises StepFailed where there is one already, CouldNotVerify.
    """
    if store.size(folder.below(FILE).key) is not None:
        name = f"{'an' if what == 'archive' else 'a'} {what}"
        raise StepFailed(f"there is {name} in {folder} already; {name} is never overwritten")
    made = BackupSet(store, folder, Upload(store, folder.key))
    try:
        yield made
    except BaseException:
        made.discard()
        raise

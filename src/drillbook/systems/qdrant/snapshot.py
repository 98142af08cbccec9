"""The server's own snapshot of a collection, as part of a backup. This module transfers the snapshot from the server's disk
to the store and back.

A snapshot restores a large collection together with its indexes, whereas restored points must be indexed again. But a
snapshot belongs to one node, and only servers of the same or the next minor version accept it
(https://qdrant.tech/documentation/snapshots/). Servers of every version accept points.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.backup_writer import BackupSet
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.systems.qdrant.client import ANSWER_S, Session, Snapshot
from drillbook.systems.qdrant.manifest import SNAPSHOT, Manifest, ServerSnapshot
from drillbook.systems.qdrant.points import Tally
from drillbook.systems.qdrant.service import Qdrant

PART = 16 << 20
"""Size of one part of the upload, in bytes. The controller holds one part in memory."""


@dataclass(frozen=True, slots=True)
class Carrying:
    """Transfers a snapshot of the collection of ``service`` to the backup set ``backup``, through the controller."""

    ctx: Context
    service: Qdrant
    backup: BackupSet

    def take(self, session: Session, tally: Tally) -> tuple[ServerSnapshot | None, str]:
        """Take a snapshot and store it. Return its manifest entry, or None and the reason why there is no snapshot.

        ``tally`` holds the number and the digest of the exported points. The snapshot is removed from the server at the end.
        Its name is recorded in the run's evidence, so that a recovery can remove it too.

        Raises StepFailed when the snapshot arrives damaged, and CouldNotVerify when it cannot be received.
        """
        made = session.snapshot()
        if made is None:
            return None, "the server does not support snapshots"
        try:
            # Recorded so that, if this run dies before the removal, its recovery can delete the snapshot on the server.
            self.ctx.evidence("server-snapshot.txt", f"{self.service.collection} {made.name}\n", sync=True)
            snapshot = self._carry(made)
        finally:
            session.forget_snapshot(made.name)
        after = Tally()
        for points in session.points():
            for point in points:
                after.add(point.digest())
        if (after.points, after.digest) != (tally.points, tally.digest):
            self.backup.remove(SNAPSHOT)
            return (
                None,
                "clients wrote after the export of the points began, so the content of the snapshot cannot be verified",
            )
        return snapshot, ""

    def _carry(self, made: Snapshot) -> ServerSnapshot:
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for data in self._parts(made.name):
                digest.update(data)
                size += len(data)
                yield data
            if size != made.size or (made.sha256 and made.sha256 != digest.hexdigest()):
                raise StepFailed(
                    f"the received snapshot {made.name} has {size} bytes and the sha256 {digest.hexdigest()}, "
                    f"but the server reported {made.size} bytes and the sha256 {made.sha256}"
                )

        self.backup.stream(SNAPSHOT, counted())
        return ServerSnapshot(size=size, sha256=digest.hexdigest())

    def _parts(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of the snapshot ``name`` on the server's disk, in chunks."""
        url = f"{self.service.url.rstrip('/')}/collections/{quote(self.service.collection, safe='')}/snapshots/{quote(name)}"
        headers = {"api-key": self.service.api_key.reveal()} if self.service.api_key else {}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  the inventory allows only http and https
        try:
            with opener.open(request, timeout=ANSWER_S) as answer:
                part = b""
                while data := answer.read(1 << 20):
                    self.ctx.deadline.check()
                    part += data
                    if len(part) >= PART:
                        yield part
                        part = b""
                if part:
                    yield part
        except http.client.HTTPException as error:
            raise CouldNotVerify(
                f"{self.service.name}: the snapshot was not received completely: {type(error).__name__}"
            ) from error


def proven(ctx: Context, store: Store, folder: Reference, manifest: Manifest) -> None:
    """Verify the server's snapshot in the store, if the backup has one. Raises StepFailed when the snapshot was changed, and
    CouldNotVerify when the store cannot be read.
    """
    wanted, where = manifest.snapshot, folder.below(SNAPSHOT)
    if wanted is None:
        return
    measured = store.digest(where.key, ctx.deadline)
    if measured != (wanted.size, wanted.sha256):
        raise StepFailed(
            f"{where} was changed after the backup",
            findings=[
                finding(
                    "backup-digest" if measured else "backup-missing",
                    title=SNAPSHOT,
                    wanted=f"sha256 {wanted.sha256}",
                    measured=f"sha256 {measured[1]}, {measured[0]} bytes" if measured else "no such object",
                )
            ],
        )


def recover(ctx: Context, session: Session, store: Store, folder: Reference, wanted: ServerSnapshot) -> str:
    """Make the server fetch the snapshot from the store and restore it. Return the reason if the server refuses, and
    otherwise an empty text.
    """
    return without_signature(
        session.recover(store.sign_get(folder.below(SNAPSHOT).key, ctx.deadline.remaining()), wanted.sha256)
    )


def without_signature(text: str) -> str:
    """Return ``text`` without the signatures of URLs, which permit anybody to read the snapshot."""
    return re.sub(r"[?&]X-Amz-\S*", "?...", text)

"""The server's own snapshot of a collection beside the points of a backup: from the server's disk to the store, and back.

A snapshot brings a large collection back with its indexes, where points have to be indexed anew. It is of one node, and goes
back to the same or the next minor version alone (https://qdrant.tech/documentation/snapshots/); the points go anywhere.
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
from drillbook.sdk.store import Reference, Store
from drillbook.systems.qdrant.collection import ANSWER_S, Session
from drillbook.systems.qdrant.collection import Snapshot as Made
from drillbook.systems.qdrant.manifest import SNAPSHOT, Manifest, ServerSnapshot
from drillbook.systems.qdrant.points import Tally
from drillbook.systems.qdrant.service import Qdrant

PART = 16 << 20
"""Bytes of one part of the upload; the controller holds one at a time."""


@dataclass(frozen=True, slots=True)
class Carrying:
    """The way of a snapshot of ``service`` into ``backup``, through the controller."""

    ctx: Context
    service: Qdrant
    backup: BackupSet

    def take(self, session: Session, tally: Tally) -> tuple[ServerSnapshot | None, str]:
        """Take one; the points that were read are those of ``tally``. Returns it, or None and why there is none.

        Raises StepFailed, CouldNotVerify. Nothing of it stays on the server; until it is gone
        there, the run's evidence tells its name.
        """
        made = session.snapshot()
        if made is None:
            return None, "the server has none"
        try:
            # Who finds a run that died here knows what to delete on the server.
            self.ctx.evidence("server-snapshot.txt", f"{self.service.collection} {made.name}\n", sync=True)
            found = self._carry(made)
        finally:
            session.forget_snapshot(made.name)
        after = Tally()
        for points in session.points():
            for point in points:
                after.add(point.digest())
        if (after.points, after.digest) != (tally.points, tally.digest):
            self.backup.remove(SNAPSHOT)
            return None, "clients wrote meanwhile, so that nothing says what it holds"
        return found, ""

    def _carry(self, made: Made) -> ServerSnapshot:
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for data in self._parts(made.name):
                digest.update(data)
                size += len(data)
                yield data
            if size != made.size or (made.sha256 and made.sha256 != digest.hexdigest()):
                raise StepFailed(
                    f"the snapshot {made.name} came with {size} bytes, sha256 {digest.hexdigest()}; the server "
                    f"says {made.size} bytes, sha256 {made.sha256}"
                )

        self.backup.stream(SNAPSHOT, counted())
        return ServerSnapshot(size=size, sha256=digest.hexdigest())

    def _parts(self, name: str) -> Iterator[bytes]:
        """The bytes of a snapshot on the server's disk, in parts."""
        url = f"{self.service.url.rstrip('/')}/collections/{quote(self.service.collection, safe='')}/snapshots/{quote(name)}"
        headers = {"api-key": self.service.api_key.reveal()} if self.service.api_key else {}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  the inventory allows http and https alone
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
            raise CouldNotVerify(f"{self.service.name}: the snapshot did not come whole: {type(error).__name__}") from error


def proven(ctx: Context, store: Store, folder: Reference, manifest: Manifest) -> None:
    """Read the snapshot where it lies, if the backup has one. Raises StepFailed, CouldNotVerify."""
    wanted, where = manifest.snapshot, folder.below(SNAPSHOT)
    if wanted is None:
        return
    found = store.digest(where.key, ctx.deadline)
    if found != (wanted.size, wanted.sha256):
        raise StepFailed(
            f"{where} is not as it was written",
            findings=[
                finding(
                    "backup-digest" if found else "backup-missing",
                    title=SNAPSHOT,
                    wanted=f"sha256 {wanted.sha256}",
                    measured=f"sha256 {found[1]}, {found[0]} bytes" if found else "no such object",
                )
            ],
        )


def recover(ctx: Context, session: Session, store: Store, folder: Reference, wanted: ServerSnapshot) -> str:
    """Let the server fetch the snapshot from the store and take it; returns why it did not, or nothing."""
    refused = session.recover(store.sign_get(folder.below(SNAPSHOT).key, ctx.deadline.remaining()), wanted.sha256)
    return re.sub(r"[?&]X-Amz-\S*", "?...", refused)  # who has the signature may read the snapshot

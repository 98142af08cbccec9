"""Export of a collection with Qdrant's scroll API. Every point becomes a line of JSON. The lines are stored in compressed
parts of limited size.

The export is not a consistent snapshot. Each point is exported in the state that it had when its page was read, and a point
that was written during the export may be missing. So a later comparison uses the digest of the exported points, not the
digest of the collection.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.backup_writer import BackupSet
from drillbook.sdk.host import excerpt
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import now, sha256
from drillbook.systems.qdrant.client import Session
from drillbook.systems.qdrant.manifest import Manifest, PointsFile
from drillbook.systems.qdrant.points import Point, Tally
from drillbook.systems.qdrant.service import Qdrant
from drillbook.systems.qdrant.snapshot import Carrying

PART = 8 << 20
"""Maximum size of a part before compression, in characters. The last line of a part may exceed this size."""


@dataclass(slots=True)
class Export:
    """Exports all points of one collection to the backup set ``backup``."""

    backup: BackupSet
    part: int = PART
    files: dict[str, PointsFile] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    left_out: str = ""
    """Reason why the backup does not include the server's own snapshot. The reason is empty when the backup includes
    it.
    """

    def take(self, ctx: Context, session: Session, service: Qdrant, *, with_snapshot: bool) -> Manifest:
        """Export the points. When ``with_snapshot`` is true and the server supports snapshots, also export the server's own
        snapshot.

        Raises StepFailed when the collection contains no points, and CouldNotVerify when the server cannot be read.
        """
        taken = now()
        config, version = session.config(), session.version()
        self._parts(session)
        if not self.tally.points:
            raise StepFailed(f"the collection {session.collection!r} contains no points, so there is nothing to back up")
        carrying = Carrying(ctx, service, self.backup)
        snapshot, self.left_out = carrying.take(session, self.tally) if with_snapshot else (None, "not wanted")
        manifest = Manifest(
            run=ctx.run_id,
            service=service.name,
            collection=session.collection,
            server_version=version,
            taken_at=taken,
            config=config,
            points=self.tally.points,
            digest=self.tally.digest,
            snapshot=snapshot,
            files=self.files,
        )
        self.backup.seal(manifest)
        return manifest

    def _parts(self, session: Session) -> None:
        lines: list[str] = []
        size = 0
        for points in session.points():
            for point in points:
                self.tally.add(point.digest())
                lines.append(point.line())
                size += len(lines[-1])
                if size >= self.part:
                    self._write(lines)
                    lines, size = [], 0
        if lines:
            self._write(lines)

    def _write(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
        data = gzip.compress(text, compresslevel=1, mtime=0)
        name = f"points-{len(self.files) + 1:05}.jsonl.gz"
        self.files[name] = PointsFile(size=len(data), sha256=self.backup.put(name, data), points=len(lines))


def parts(ctx: Context, store: Store, folder: Reference, manifest: Manifest) -> Iterator[list[Point]]:
    """Yield the points of each part. The part is read from the store and compared with its digest in the manifest.

    Raises StepFailed with a finding when a part is missing or was changed, and CouldNotVerify when the store fails.
    """
    for name, file in sorted(manifest.files.items()):
        ctx.deadline.check()
        data = store.get(folder.below(name).key)
        if data is None:
            raise StepFailed(
                f"{folder.below(name)} does not exist",
                findings=[finding("backup-missing", title=name, wanted=f"{file.size} bytes", measured="no such object")],
            )
        measured = sha256(data)
        if measured != file.sha256:
            raise StepFailed(
                f"{folder.below(name)} was changed after the backup",
                findings=[
                    finding(
                        "backup-digest",
                        title=name,
                        wanted=f"sha256 {file.sha256}",
                        measured=f"sha256 {measured}, {len(data)} bytes",
                    )
                ],
            )
        try:
            yield [Point.parse(line) for line in gzip.decompress(data).splitlines()]
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise StepFailed(
                f"{folder.below(name)} contains data that is not points",
                findings=[
                    finding(
                        "backup-digest",
                        title=name,
                        wanted="one point per line, as JSON",
                        measured=excerpt(str(error), limit=200),
                    )
                ],
            ) from error


def proven(ctx: Context, store: Store, folder: Reference, manifest: Manifest) -> Tally:
    """Read every part, and compare the files and the points with the manifest. Raises StepFailed when they differ, and
    CouldNotVerify when the store cannot be read.
    """
    tally = Tally()
    for points in parts(ctx, store, folder, manifest):
        for point in points:
            tally.add(point.digest())
    if (tally.points, tally.digest) != (manifest.points, manifest.digest):
        raise StepFailed(
            f"the backup in {folder} does not match its manifest",
            findings=[
                finding(
                    "backup-digest",
                    title=str(folder),
                    wanted=f"{manifest.points} points, digest {manifest.digest[:16]}",
                    measured=f"{tally.points} points, digest {tally.digest[:16]}",
                )
            ],
        )
    return tally

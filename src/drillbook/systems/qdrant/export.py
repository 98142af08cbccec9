"""A scroll export: every point of a collection as a line of JSON, in compressed parts of bounded size, and back.

It is no view of one moment: each point is as it was when its page was read, and one that is written meanwhile may be in it
or not. What a later comparison wants is therefore the digest of what was exported, never of what was there.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.backup_writer import BackupSet
from drillbook.sdk.host import excerpt
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.qdrant.collection import Session
from drillbook.systems.qdrant.manifest import Manifest, PointsFile
from drillbook.systems.qdrant.points import Point, Tally
from drillbook.systems.qdrant.service import Qdrant
from drillbook.systems.qdrant.snapshot import Carrying

PART = 8 << 20
"""Characters of a part before it is compressed; one line may go beyond."""


@dataclass(slots=True)
class Export:
    """One export that is being taken into ``backup``."""

    backup: BackupSet
    part: int = PART
    files: dict[str, PointsFile] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    left_out: str = ""
    """Why the server's own snapshot is not in it."""

    def take(self, ctx: Context, session: Session, service: Qdrant, *, with_snapshot: bool) -> Manifest:
        """Take it, with the server's own snapshot where there is one and ``with_snapshot`` is set.

        Raises StepFailed, CouldNotVerify.
        """
        taken = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        config, version = session.config(), session.version()
        self._parts(session)
        if not self.tally.points:
            raise StepFailed(f"the collection {session.collection!r} holds no point: there is nothing to back up")
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
        self.backup.seal(manifest.encoded())
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
    """The points of each part, read where it lies; its bytes must be those that were written.

    Raises StepFailed with ``backup-missing`` or ``backup-digest``, CouldNotVerify.
    """
    for name, file in sorted(manifest.files.items()):
        ctx.deadline.check()
        data = store.get(folder.below(name).key)
        if data is None:
            raise StepFailed(
                f"there is no {folder.below(name)}",
                findings=[finding("backup-missing", title=name, wanted=f"{file.size} bytes", measured="no such object")],
            )
        found = sha256(data)
        if found != file.sha256:
            raise StepFailed(
                f"{folder.below(name)} is not as it was written",
                findings=[
                    finding(
                        "backup-digest",
                        title=name,
                        wanted=f"sha256 {file.sha256}",
                        measured=f"sha256 {found}, {len(data)} bytes",
                    )
                ],
            )
        try:
            yield [Point.parse(line) for line in gzip.decompress(data).splitlines()]
        except (ValueError, OSError, EOFError, zlib.error) as error:
            raise StepFailed(
                f"{folder.below(name)} holds something else than points",
                findings=[
                    finding(
                        "backup-digest",
                        title=name,
                        wanted="points as lines of JSON",
                        measured=excerpt(str(error), limit=200),
                    )
                ],
            ) from error


def proven(ctx: Context, store: Store, folder: Reference, manifest: Manifest) -> Tally:
    """Read every part and compare files and content with the manifest. Raises StepFailed, CouldNotVerify."""
    tally = Tally()
    for points in parts(ctx, store, folder, manifest):
        for point in points:
            tally.add(point.digest())
    if (tally.points, tally.digest) != (manifest.points, manifest.digest):
        raise StepFailed(
            f"the backup in {folder} does not hold what it says",
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

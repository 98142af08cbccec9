"""Faults of a collection: deleting points, or adding points that have no source row."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo, Write
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.qdrant import fault_record
from drillbook.systems.qdrant.actions.fields import FILE_NAME, Chosen, ServiceName
from drillbook.systems.qdrant.client import Session, connected, need_collection
from drillbook.systems.qdrant.points import Id, Point, sample
from drillbook.systems.qdrant.service import Qdrant

MARK = "drillbook-run"
"""Payload field that contains the id of the run that added a point."""
RECORD_LIMIT = 256 << 20
"""Maximum total size in bytes of the points that a drill may delete."""


class DeletePoints(Fault):
    """Delete points, as a failed indexing job or a too broad filter would.

    The run's folder stores a copy of the deleted points.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    UNDO = ("action",)
    UNDO_ACTIONS = ("qdrant.put_back",)

    service: ServiceName
    ids: Annotated[Chosen | None, Field(description="Ids of the points to delete.")] = None
    count: Annotated[
        int,
        Field(ge=1, le=5000, description="Maximum number of points to delete. The points with the lowest ids are chosen."),
    ] = 50

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``deleted`` (number of points), ``skipped`` (number of points that changed after they were chosen), ``ids``
        (ids of the first deleted points).
        """
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            chosen = self._recorded(ctx) or self._choose(ctx, session)
            live = session.fetch([point.id for point in chosen])
            unchanged = {point.id for point in chosen if point.id in live and live[point.id].digest() == point.digest()}
            if not unchanged:
                raise StepFailed(f"all {len(chosen)} points have changed since they were chosen, so none was deleted")
            session.delete(unchanged)
        return {"deleted": len(unchanged), "skipped": len(chosen) - len(unchanged), "ids": sample(unchanged)}

    def _choose(self, ctx: Context, session: Session) -> list[Point]:
        """Choose the points to delete, and store them in the run's folder. The undo and a recovery read them there."""
        if self.ids:
            there = session.fetch(self.ids)
            if missing := set(self.ids) - there.keys():
                raise StepFailed(f"the point to delete, {sample(missing)[0]}, does not exist in {session.collection}")
            points = list(there.values())
        else:
            points = list(itertools.islice(itertools.chain.from_iterable(session.points()), self.count))
        if not points:
            raise StepFailed(f"the collection {session.collection} has no point that could be deleted")
        data = fault_record.encoded(points)
        if len(data) > RECORD_LIMIT:
            raise StepFailed(
                f"{len(points)} points have {len(data)} bytes, more than the {RECORD_LIMIT} that a drill stores for the "
                "undo; choose fewer points"
            )
        kept = ctx.evidence(self._record(ctx), data, sync=True)
        if kept["sha256"] != sha256(data):
            raise StepFailed(
                "a payload contains a secret of the inventory; secrets are never written to a run's folder, so "
                "the points could not be restored; choose other points by `ids`"
            )
        return points

    def _record(self, ctx: Context) -> str:
        """Return the name of the evidence file that stores the chosen points. The name depends on the fields of the step."""
        way = f"{ctx.service(self.service, Qdrant).collection} {self.model_dump_json()}"
        return f"points-{hashlib.sha256(way.encode()).hexdigest()[:12]}.jsonl"

    def _file(self, ctx: Context) -> str:
        return ctx.evidence_file(self._record(ctx))

    def _recorded(self, ctx: Context) -> list[Point] | None:
        """Return the points that an earlier call of this step chose, or None when no choice is recorded."""
        try:
            return fault_record.decoded((ctx.folder / "evidence" / self._file(ctx)).read_bytes())
        except (OSError, ValueError):
            return None

    def ready(self, ctx: Context) -> None:
        """Check that the server answers and has the collection, and that the API key may write."""
        need_collection(ctx, ctx.service(self.service, Qdrant), writable=True)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that writes missing points again, from their copy in the run's folder."""
        chosen = self._recorded(ctx)
        if chosen is None:
            with connected(ctx, ctx.service(self.service, Qdrant)) as session:
                chosen = self._choose(ctx, session)
        return Undo.by_action(
            "qdrant.put_back", service=self.service, record=self._file(ctx), digest=fault_record.digest(chosen)
        )

    def active(self, ctx: Context) -> bool | None:
        """Return True while one of the chosen points is missing, and None when no choice is recorded."""
        chosen = self._recorded(ctx)
        if chosen is None:
            return None
        wanted = {point.id for point in chosen}
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            return bool(wanted - session.present(wanted))


class PutBack(Write):
    """Write again the points that a drill deleted and that are still missing.

    This is the undo of `qdrant.delete_points`.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 600.0
    UNDO = ("nothing",)

    service: ServiceName
    record: Annotated[
        str,
        Field(
            pattern=FILE_NAME,
            description="Name of the run's evidence file that contains the deleted points.",
        ),
    ]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the points in the evidence file.")]
    of_run: Annotated[
        str | None,
        Field(
            pattern=FILE_NAME,
            description="Id of the run that deleted the points, and whose evidence file is read. Default: this run.",
        ),
    ] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``written`` (number of points), ``there`` (number of points that existed already and were not written)."""
        folder = ctx.folder.parent / self.of_run if self.of_run else ctx.folder
        path = folder / "evidence" / self.record
        try:
            points = fault_record.decoded(path.read_bytes())
        except (OSError, ValueError) as error:
            raise StepFailed(
                f"the file {path} with the deleted points cannot be read: {error}; restore the collection from its backup"
            ) from error
        if fault_record.digest(points) != self.digest:
            raise StepFailed(
                f"{path} contains other points than those that were deleted; restore the collection from its backup"
            )
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            there = session.present(point.id for point in points)
            session.put(point for point in points if point.id not in there)
        return {"written": len(points) - len(there), "there": len(there)}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: this action is itself an undo."""
        return Undo.nothing("this step is itself an undo")


class AddStrays(Fault):
    """Add points that have no source row. This looks as if documents had been deleted, but not their vectors."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    UNDO = ("action",)
    UNDO_ACTIONS = ("qdrant.remove_strays",)

    service: ServiceName
    count: Annotated[int, Field(ge=1, le=5000, description="Number of points to add.")] = 20

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``added`` (number of points), ``ids`` (the first added points). Each added point is a copy of an existing
        point. The payload of the copy names the run.
        """
        ids = self._ids(ctx)
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            foreign = session.fetch(ids).keys() - _ours(session, ids, ctx.run_id)
            if foreign:
                raise StepFailed(
                    f"the point {sample(set(foreign))[0]} already exists, but was not written by this run; nothing was added"
                )
            models = list(itertools.islice(itertools.chain.from_iterable(session.points()), self.count))
            if not models:
                raise StepFailed(f"the collection {session.collection} has no point that could be copied")
            session.put(
                Point(number, model.vector, model.payload | {MARK: ctx.run_id})
                for number, model in zip(ids, itertools.cycle(models), strict=False)
            )
        return {"added": len(ids), "ids": sample(set(ids))}

    def _ids(self, ctx: Context) -> list[Id]:
        """Return ids that only this step uses. Each id is 52 bits of a digest, so a collision is unlikely. It is below 2^53,
        so JSON represents it exactly.
        """
        begin = f"{ctx.run_id}/{ctx.step}"
        return [int(hashlib.sha256(f"{begin}/{number}".encode()).hexdigest()[:13], 16) for number in range(self.count)]

    def ready(self, ctx: Context) -> None:
        """Check that the server answers and has the collection, and that the API key may write."""
        need_collection(ctx, ctx.service(self.service, Qdrant), writable=True)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that deletes the points that this run added."""
        return Undo.by_action("qdrant.remove_strays", service=self.service, ids=self._ids(ctx), of_run=ctx.run_id)

    def active(self, ctx: Context) -> bool:
        """Return True while one of the added points exists."""
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            return bool(_ours(session, self._ids(ctx), ctx.run_id))


def _ours(session: Session, ids: Sequence[Id], run: str) -> set[Id]:
    """Return the ids of points that exist and were written by the run ``run``. ``ids``: the ids to look for."""
    return {point.id for point in session.fetch(ids).values() if point.payload.get(MARK) == run}


class RemoveStrays(Write):
    """Delete exactly the points that a run added. This is the undo of `qdrant.add_strays`."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName
    ids: Annotated[Chosen, Field(description="Ids of the points to delete.")]
    of_run: Annotated[str, Field(min_length=1, description="Id of the run that added the points.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed`` (number of deleted points)."""
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            ours = _ours(session, self.ids, self.of_run)
            session.delete(ours)
        return {"removed": len(ours)}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: this action is itself an undo."""
        return Undo.nothing("this step is itself an undo")

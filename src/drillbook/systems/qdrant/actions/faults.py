"""What can happen to a collection: points that are deleted, points that nothing stands behind."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo, Write
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.qdrant import record
from drillbook.systems.qdrant.actions.fields import Chosen, ServiceName
from drillbook.systems.qdrant.collection import Session, connected, need_collection
from drillbook.systems.qdrant.points import Id, Point, sample
from drillbook.systems.qdrant.service import Qdrant

MARK = "drillbook-run"
"""Field in the payload of what a drill writes: the run."""
RECORD_LIMIT = 256 << 20
"""The most bytes of points that a drill deletes."""


class DeletePoints(Fault):
    """Delete points, as when a job that writes vectors failed or a filter was too wide; the run's folder keeps them."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    UNDO = ("action",)

    service: ServiceName
    ids: Annotated[Chosen | None, Field(description="Exactly the points of these ids.")] = None
    count: Annotated[int, Field(ge=1, le=5000, description="At most so many points, the first by id.")] = 50

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``deleted``, ``skipped`` (changed since they were chosen), ``ids`` (the first)."""
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            chosen = self._recorded(ctx) or self._choose(ctx, session)
            live = session.fetch([one.id for one in chosen])
            unchanged = {one.id for one in chosen if one.id in live and live[one.id].digest() == one.digest()}
            if not unchanged:
                raise StepFailed(f"none of the {len(chosen)} points is as it was when they were chosen")
            session.delete(unchanged)
        return {"deleted": len(unchanged), "skipped": len(chosen) - len(unchanged), "ids": sample(unchanged)}

    def _choose(self, ctx: Context, session: Session) -> list[Point]:
        """Choose the points, and keep them in the run's folder: the undo needs them, in a recovery too."""
        if self.ids:
            there = session.fetch(self.ids)
            if missing := set(self.ids) - there.keys():
                raise StepFailed(f"there is no point {sample(missing)[0]} in {session.collection} to delete")
            points = list(there.values())
        else:
            points = list(itertools.islice(itertools.chain.from_iterable(session.points()), self.count))
        if not points:
            raise StepFailed(f"there is no point in {session.collection} to delete")
        data = record.encoded(points)
        if len(data) > RECORD_LIMIT:
            raise StepFailed(
                f"{len(points)} points are {len(data)} bytes, and at most {RECORD_LIMIT} are kept to bring "
                "them back: choose fewer"
            )
        kept = ctx.evidence(self._record(ctx), data, sync=True)
        if kept["sha256"] != sha256(data):
            raise StepFailed(
                "a payload holds a secret of the inventory, which is never written to a run's folder: the "
                "points could not be brought back; choose others by `ids`"
            )
        return points

    def _record(self, ctx: Context) -> str:
        """Name of the evidence that holds the points: one for each way to choose."""
        way = f"{ctx.service(self.service, Qdrant).collection} {self.model_dump_json()}"
        return f"points-{hashlib.sha256(way.encode()).hexdigest()[:12]}.jsonl"

    def _file(self, ctx: Context) -> str:
        return re.sub(r"[^A-Za-z0-9._-]", "_", f"{ctx.step}.{ctx.host.name}.{self._record(ctx)}")

    def _recorded(self, ctx: Context) -> list[Point] | None:
        """What an earlier call of this step chose, or None."""
        try:
            return record.decoded((ctx.folder / "evidence" / self._file(ctx)).read_bytes())
        except (OSError, ValueError):
            return None

    def ready(self, ctx: Context) -> None:
        """The server must answer and have the collection."""
        need_collection(ctx, ctx.service(self.service, Qdrant))

    def undo(self, ctx: Context) -> Undo:
        """Write those that are not there, from the record in the run's folder."""
        chosen = self._recorded(ctx)
        if chosen is None:
            with connected(ctx, ctx.service(self.service, Qdrant)) as session:
                chosen = self._choose(ctx, session)
        return Undo.by_action("qdrant.put_back", service=self.service, record=self._file(ctx), digest=record.digest(chosen))

    def active(self, ctx: Context) -> bool | None:
        """True while one of the points is not there."""
        chosen = self._recorded(ctx)
        if chosen is None:
            return None
        wanted = {one.id for one in chosen}
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            return bool(wanted - session.present(wanted))


class PutBack(Write):
    """Write the points that a drill deleted and that are not there: the undo of `qdrant.delete_points`."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 600.0
    UNDO = ("nothing",)

    service: ServiceName
    record: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", description="Their file in the run's evidence.")]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the points in it.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``written``, ``there`` (left as they are)."""
        path = ctx.folder / "evidence" / self.record
        try:
            points = record.decoded(path.read_bytes())
        except (OSError, ValueError) as error:
            raise StepFailed(
                f"the record of the deleted points {path} cannot be read: {error}; restore the collection from its backup"
            ) from error
        if record.digest(points) != self.digest:
            raise StepFailed(f"{path} holds other points than were deleted; restore the collection from its backup")
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            there = session.present(one.id for one in points)
            session.put(one for one in points if one.id not in there)
        return {"written": len(points) - len(there), "there": len(there)}

    def undo(self, ctx: Context) -> Undo:
        """It is an undo itself."""
        return Undo.nothing("it puts back")


class AddStrays(Fault):
    """Add points that no row stands behind, as when documents were deleted and their vectors were not."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    UNDO = ("action",)

    service: ServiceName
    count: Annotated[int, Field(ge=1, le=5000, description="How many points.")] = 20

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``added``, ``ids`` (the first). Each is a copy of a point that is there, with the run in its payload."""
        ids = self._ids(ctx)
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            foreign = session.fetch(ids).keys() - _ours(session, ids, ctx.run_id)
            if foreign:
                raise StepFailed(f"the point {sample(set(foreign))[0]} is there and is not this run's; nothing was added")
            models = list(itertools.islice(itertools.chain.from_iterable(session.points()), self.count))
            if not models:
                raise StepFailed(f"there is no point in {session.collection} to be like")
            session.put(
                Point(number, model.vector, model.payload | {MARK: ctx.run_id})
                for number, model in zip(ids, itertools.cycle(models), strict=False)
            )
        return {"added": len(ids), "ids": sample(set(ids))}

    def _ids(self, ctx: Context) -> list[Id]:
        """Numbers that this step alone has: JSON carries them below 2^53, and 52 bits of a digest do not meet by chance."""
        begin = f"{ctx.run_id}/{ctx.step}"
        return [int(hashlib.sha256(f"{begin}/{number}".encode()).hexdigest()[:13], 16) for number in range(self.count)]

    def ready(self, ctx: Context) -> None:
        """The server must answer and have the collection."""
        need_collection(ctx, ctx.service(self.service, Qdrant))

    def undo(self, ctx: Context) -> Undo:
        """Delete the points that this run wrote."""
        return Undo.by_action("qdrant.remove_strays", service=self.service, ids=self._ids(ctx), of_run=ctx.run_id)

    def active(self, ctx: Context) -> bool:
        """True while one of them is there."""
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            return bool(_ours(session, self._ids(ctx), ctx.run_id))


def _ours(session: Session, ids: Sequence[Id], run: str) -> set[Id]:
    """Those of ``ids`` that are there and that ``run`` wrote."""
    return {one.id for one in session.fetch(ids).values() if one.payload.get(MARK) == run}


class RemoveStrays(Write):
    """Delete the points that a run added, and no other: the undo of `qdrant.add_strays`."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName
    ids: Annotated[Chosen, Field(description="Ids of the points.")]
    of_run: Annotated[str, Field(min_length=1, description="Name of the run.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed``."""
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            ours = _ours(session, self.ids, self.of_run)
            session.delete(ours)
        return {"removed": len(ours)}

    def undo(self, ctx: Context) -> Undo:
        """It is an undo itself."""
        return Undo.nothing("it puts back")

"""Action `qdrant.reconcile`: repair a collection from its source rows in a database."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.sdk.object_reference import Uri
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.qdrant import compare, export, fault_record
from drillbook.systems.qdrant.actions import source_rows
from drillbook.systems.qdrant.actions.fields import Database, Query, ServiceName, store_of
from drillbook.systems.qdrant.client import PAGE, Session, connected, need_collection, pieces
from drillbook.systems.qdrant.manifest import Manifest
from drillbook.systems.qdrant.points import Id, ordered, sample
from drillbook.systems.qdrant.service import Qdrant


class Reconcile(Write):
    """Repair a collection so that it agrees with its source rows.

    Missing points are written, and points without a row are deleted.

    The vector of a missing point comes from a backup, or else from the query `source`. Existing vectors are never
    overwritten. Right before a point without a row is deleted, the action checks again that the database has no row for this
    point. The run's folder stores a copy of each deleted point.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    database: Database
    query: Query
    from_: Annotated[
        Uri | None,
        Field(
            alias="from",
            description=(
                "Fact `location` of the step `qdrant.snapshot`. If rows of the database may have changed after this backup, set "
                "`source` instead, because the vectors in the backup are then out of date."
            ),
        ),
    ] = None
    source: Annotated[
        str | None,
        Field(
            min_length=1,
            description=(
                "SQL query that returns the columns id, vector (an array of numbers, or pgvector's type) and "
                "payload (JSON) of rows to index. It is used for rows that the backup lacks, and runs with the "
                "same role and in the same kind of transaction as `query`."
            ),
        ),
    ] = None
    max_strays: Annotated[
        int,
        Field(
            ge=0,
            description=(
                "Maximum number of points to delete because the query returns no row for them. If there are more such "
                "points, nothing is changed, because the query is probably wrong, or the database lost rows."
            ),
        ),
    ] = 1000

    def run(self, ctx: Context) -> Facts:
        """Facts before the repair: ``missing`` (number of source rows without a point), ``strays`` (number of points without
        a source row).

        Facts about the repair: ``from_backup`` (number of points written from the backup), ``from_source`` (number of points
        written from `source`), ``deleted`` (number of deleted points), ``evidence`` (copy of the deleted points), ``left``
        (number of remaining differences), ``points`` (number of points after the repair), ``seconds`` (duration).
        """
        service, begun = ctx.service(self.service, Qdrant), time.monotonic()
        try:
            with connected(ctx, service) as session:
                difference = source_rows.difference(ctx, session, self.database, self.query)
                self._refuse(difference, session.collection)
                backup = self._from_backup(ctx, session, difference.missing)
                source = self._from_source(ctx, session, difference.missing - backup)
                facts = self._sweep(ctx, session, difference.strays)
                after = source_rows.difference(ctx, session, self.database, self.query)
        except CouldNotVerify as error:
            raise StepFailed(f"{self.service} could not be reconciled: {error.message}") from error
        facts |= {
            "missing": len(difference.missing),
            "strays": len(difference.strays),
            "from_backup": len(backup),
            "from_source": len(source),
            "left": len(after.missing) + len(after.strays),
            "points": len(after.present),
            "seconds": round(time.monotonic() - begun, 3),
        }
        if after.missing or after.strays:
            raise StepFailed(
                f"{self.service} and {self.database} still differ: rows without a vector: {len(after.missing)}"
                f"{'' if self.from_ or self.source else ' (set `from` or `source` to supply these vectors)'}, "
                f"vectors without a row: {len(after.strays)}",
                facts=facts,
                findings=compare.sets(after.missing, after.strays, service.collection),
            )
        return facts

    def _refuse(self, difference: source_rows.Difference, place: str) -> None:
        """Raise StepFailed when more than ``max_strays`` points, or all points, have no source row. In this case the query
        is probably wrong.
        """
        if len(difference.strays) > self.max_strays or (difference.strays and difference.strays == difference.present):
            raise StepFailed(
                f"{len(difference.strays)} of {len(difference.present)} points have no row, but the step deletes at most "
                f"{self.max_strays} points (`max_strays`), and never all points; nothing was changed. First check that `query` "
                "returns all rows",
                findings=compare.sets((), difference.strays, place),
            )

    def _from_backup(self, ctx: Context, session: Session, missing: set[Id]) -> set[Id]:
        """Copy missing points from the backup to the collection. Points that the backup does not contain stay missing. Return
        the ids of the written points.
        """
        if self.from_ is None or not missing:
            return set()
        store, folder = store_of(ctx, self.from_), stored_backup.split(self.from_)
        made = Manifest.read(store, folder)
        if wrong := compare.config(made.config, session.config(), session.collection):
            raise StepFailed(f"{self.service} has other vector settings than the backup", findings=wrong)
        written: set[Id] = set()
        for points in export.parts(ctx, store, folder, made):
            chosen = [point for point in points if point.id in missing]
            session.put(chosen)
            written |= {point.id for point in chosen}
        return written

    def _from_source(self, ctx: Context, session: Session, missing: set[Id]) -> set[Id]:
        """Run the query ``source`` in the database for missing points, and write the returned points to the collection.
        Return the ids of the written points.
        """
        written: set[Id] = set()
        if self.source is not None and missing:
            for points in pieces(source_rows.points(ctx, self.database, self.source, missing), PAGE):
                session.put(points)
                written |= {point.id for point in points}
        return written

    def _sweep(self, ctx: Context, session: Session, strays: set[Id]) -> Facts:
        """Store the points with the ids ``strays`` as evidence, and then delete those that still have no source row. Return
        facts about the deletion.
        """
        if not strays:
            return {"deleted": 0}
        there = session.fetch(list(strays))
        points = [there[stray] for stray in ordered(set(there))]
        data = fault_record.encoded(points)
        kept = ctx.evidence("strays.jsonl", data, sync=True)
        if kept["sha256"] != sha256(data):
            raise StepFailed(
                f"the {len(points)} points without a row were not deleted: a payload contains a secret of the inventory, and "
                "secrets are never written to a run's folder, so the deletion could not be undone"
            )
        gone = {point.id for point in points} - source_rows.ids(ctx, self.database, self.query)
        session.delete(gone)
        return {"deleted": len(gone), "deleted_ids": sample(gone), "evidence": kept}

    def ready(self, ctx: Context) -> None:
        """Check that the server and the database answer, that the collection exists, and that the API key has the right to
        write. If the step names a backup, also check that the store of the backup answers.
        """
        need_collection(ctx, ctx.service(self.service, Qdrant), writable=True)
        source_rows.need_database(ctx, self.database)
        if self.known("from_") and self.from_ is not None:
            store_of(ctx, self.from_).check()

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the repair stays. Copies of the deleted points are in the run's folder."""
        return Undo.nothing("the indexed points stay; copies of the deleted points are in the run's folder")

"""Making a collection agree with the rows that it was made from."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.sdk.store import Uri
from drillbook.sdk.stored_backup import sha256
from drillbook.systems.qdrant import compare, export, manifest, record
from drillbook.systems.qdrant.actions import truth
from drillbook.systems.qdrant.actions.fields import Database, Query, ServiceName, store_of
from drillbook.systems.qdrant.collection import PAGE, Session, connected, need_collection, pieces
from drillbook.systems.qdrant.points import Id, ordered, sample
from drillbook.systems.qdrant.service import Qdrant


class Reconcile(Write):
    """Make a collection agree with the rows that it was made from: index what is missing, delete what has no row.

    A vector comes from a backup, or else from `source`; one that is there is never written over. Strays are deleted only
    when the database still has no row for them at that moment, and the run's folder keeps them.
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
                "The `location` that `qdrant.snapshot` gave. It knows a row as it was then: where rows change, use `source`."
            ),
        ),
    ] = None
    source: Annotated[
        str | None,
        Field(
            min_length=1,
            description=(
                "SQL that gives id, vector (an array of numbers, or pgvector's) and payload (JSON) of what can be indexed; it is "
                "asked for what the backup does not hold. It runs as `query` does."
            ),
        ),
    ] = None
    max_strays: Annotated[
        int,
        Field(
            ge=0,
            description=(
                "Refuse, and change nothing, when there are more strays: the query is wrong then, or rows were lost."
            ),
        ),
    ] = 1000

    def run(self, ctx: Context) -> Facts:
        """Facts: ``missing strays`` (found), ``from_backup from_source deleted``, ``left``, ``points seconds evidence``."""
        service, begun = ctx.service(self.service, Qdrant), time.monotonic()
        try:
            with connected(ctx, service) as session:
                found = truth.difference(ctx, session, self.database, self.query)
                self._refuse(found, session.collection)
                backup = self._from_backup(ctx, session, found.missing)
                source = self._from_source(ctx, session, found.missing - backup)
                facts = self._sweep(ctx, session, found.strays)
                after = truth.difference(ctx, session, self.database, self.query)
        except CouldNotVerify as error:
            raise StepFailed(f"{self.service} could not be reconciled: {error.message}") from error
        facts |= {
            "missing": len(found.missing),
            "strays": len(found.strays),
            "from_backup": len(backup),
            "from_source": len(source),
            "left": len(after.missing) + len(after.strays),
            "points": len(after.present),
            "seconds": round(time.monotonic() - begun, 3),
        }
        if after.missing or after.strays:
            raise StepFailed(
                f"{self.service} and {self.database} still differ: {len(after.missing)} rows have no vector"
                f"{'' if self.from_ or self.source else ' and nothing gives them (`from`, `source`)'}, "
                f"{len(after.strays)} vectors have no row",
                facts=facts,
                findings=compare.sets(after.missing, after.strays, service.collection),
            )
        return facts

    def _refuse(self, found: truth.Difference, place: str) -> None:
        """Raise StepFailed when so much has no row that the fault is rather in the query or in the database."""
        if len(found.strays) > self.max_strays or (found.strays and found.strays == found.present):
            raise StepFailed(
                f"{len(found.strays)} of {len(found.present)} points have no row, more than are deleted unasked "
                f"(`max_strays: {self.max_strays}`); nothing was changed. First make sure that `query` gives all rows",
                findings=compare.sets((), found.strays, place),
            )

    def _from_backup(self, ctx: Context, session: Session, missing: set[Id]) -> set[Id]:
        """Index those of ``missing`` that the backup holds."""
        if self.from_ is None or not missing:
            return set()
        store, folder = store_of(ctx, self.from_), stored_backup.split(self.from_)
        made = manifest.read(store, folder)
        if wrong := compare.config(made.config, session.config(), session.collection):
            raise StepFailed(f"{self.service} is made for other vectors than those of the backup", findings=wrong)
        written: set[Id] = set()
        for points in export.parts(ctx, store, folder, made):
            chosen = [one for one in points if one.id in missing]
            session.put(chosen)
            written |= {one.id for one in chosen}
        return written

    def _from_source(self, ctx: Context, session: Session, missing: set[Id]) -> set[Id]:
        """Index those of ``missing`` that the database itself gives."""
        written: set[Id] = set()
        if self.source is not None and missing:
            for points in pieces(truth.points(ctx, self.database, self.source, missing), PAGE):
                session.put(points)
                written |= {one.id for one in points}
        return written

    def _sweep(self, ctx: Context, session: Session, strays: set[Id]) -> Facts:
        """Keep the strays as evidence and delete those that have no row at this moment either."""
        if not strays:
            return {"deleted": 0}
        there = session.fetch(list(strays))
        points = [there[one] for one in ordered(set(there))]
        data = record.encoded(points)
        kept = ctx.evidence("strays.jsonl", data, sync=True)
        if kept["sha256"] != sha256(data):
            raise StepFailed(
                "a payload holds a secret of the inventory, which is never written to a run's folder: the "
                f"{len(points)} points without a row could not be brought back, so they were not deleted"
            )
        gone = {one.id for one in points} - truth.ids(ctx, self.database, self.query)
        session.delete(gone)
        return {"deleted": len(gone), "deleted_ids": sample(gone), "evidence": kept}

    def ready(self, ctx: Context) -> None:
        """Server, collection and database must answer, and the store of the backup."""
        need_collection(ctx, ctx.service(self.service, Qdrant))
        truth.need_database(ctx, self.database)
        if self.known("from_") and self.from_ is not None:
            store_of(ctx, self.from_).check()

    def undo(self, ctx: Context) -> Undo:
        """It mends, and keeps what it deletes."""
        return Undo.nothing("what was indexed stays; what was deleted is in the run's folder")

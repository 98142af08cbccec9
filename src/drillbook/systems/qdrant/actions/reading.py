"""Actions that only read a collection: counting its points, comparing their ids with source rows, and comparing the
collection with a backup.
"""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.findings import Finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.object_reference import Uri
from drillbook.systems.qdrant import compare, export
from drillbook.systems.qdrant.actions import source_rows
from drillbook.systems.qdrant.actions.fields import Database, Query, ServiceName, store_of
from drillbook.systems.qdrant.client import Session, connected, need_collection
from drillbook.systems.qdrant.manifest import Manifest
from drillbook.systems.qdrant.points import Tally, sample
from drillbook.systems.qdrant.service import Qdrant


class Count(Read):
    """Count the points of a collection exactly, and read the state that the server reports."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points`` (number of points), ``status`` (`green` when all points are indexed), ``version`` (version of
        the server).
        """
        with connected(ctx, ctx.service(self.service, Qdrant)) as session:
            return {"points": session.count(), "status": session.status(), "version": session.version()}

    def ready(self, ctx: Context) -> None:
        """Check that the server answers and has the collection."""
        need_collection(ctx, ctx.service(self.service, Qdrant))


class Ids(Read):
    """Compare the ids in a collection with the ids of its source rows.

    Differences are source rows without a point, and points without a source row.
    """

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 600.0
    CODE = "query"

    service: ServiceName
    database: Database
    query: Query
    equal: Annotated[bool, Field(description="`true`: the step fails when the ids differ.")] = False

    def run(self, ctx: Context) -> Facts:
        """Facts: ``rows`` and ``points`` (how many were compared), ``missing`` (number of source rows without a point),
        ``strays`` (number of points without a source row), ``missing_ids`` and ``stray_ids`` (the first ids of each kind),
        ``seconds`` (duration).
        """
        service, begun = ctx.service(self.service, Qdrant), time.monotonic()
        with connected(ctx, service) as session:
            difference = source_rows.difference(ctx, session, self.database, self.query)
        facts: Facts = {
            "rows": len(difference.wanted),
            "points": len(difference.present),
            "missing": len(difference.missing),
            "strays": len(difference.strays),
            "missing_ids": sample(difference.missing),
            "stray_ids": sample(difference.strays),
            "seconds": round(time.monotonic() - begun, 3),
        }
        if self.equal and (difference.missing or difference.strays):
            raise StepFailed(
                f"{self.service} and {self.database} differ: rows without a vector: {len(difference.missing)}, "
                f"vectors without a row: {len(difference.strays)}",
                facts=facts,
                findings=compare.sets(difference.missing, difference.strays, service.collection),
            )
        return facts

    def ready(self, ctx: Context) -> None:
        """Check that the server and the database answer, and that the collection exists."""
        need_collection(ctx, ctx.service(self.service, Qdrant))
        source_rows.need_database(ctx, self.database)


class Matches(Read):
    """Compare a collection with a backup: the vector settings, and the id, vector and payload of every point."""

    SERVICE = Qdrant
    PLACE = Place.CONTROLLER
    TIMEOUT = 1800.0
    COMPARES = True

    service: ServiceName
    manifest: Annotated[Uri, Field(description="Fact `manifest` of the step `qdrant.snapshot`.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``points`` (number of points), ``digest`` (digest of the collection), ``algorithm`` (how the digest is
        computed), ``seconds`` (duration).

        The action reads the points in the backup only when the collection and the backup have different digests.
        """
        service, begun = ctx.service(self.service, Qdrant), time.monotonic()
        wanted = Manifest.read(store_of(ctx, self.manifest), stored_backup.split(self.manifest))
        with connected(ctx, service) as session:
            wrong = compare.config(wanted.config, session.config(), service.collection)
            tally = Tally()
            for points in session.points():
                for point in points:
                    tally.add(point.digest())
            same = (tally.points, tally.digest) == (wanted.points, wanted.digest)
            if not same:
                wrong += self._details(ctx, session, wanted)
        facts: Facts = {
            "points": tally.points,
            "digest": tally.digest,
            "algorithm": wanted.algorithm,
            "seconds": round(time.monotonic() - begun, 3),
        }
        if wrong or not same:
            raise StepFailed(
                f"{self.service} differs from the backup: it has {tally.points} points, and the backup has "
                f"{wanted.points}; {stored_backup.summary(wrong) or 'the collection changed during the comparison'}",
                findings=wrong,
                facts=facts,
            )
        return facts

    def _details(self, ctx: Context, session: Session, wanted: Manifest) -> list[Finding]:
        store, folder = store_of(ctx, self.manifest), stored_backup.split(self.manifest)
        there = session.digests()
        known = {point.id: point.digest() for points in export.parts(ctx, store, folder, wanted) for point in points}
        return compare.content(known, there, session.collection)

    def ready(self, ctx: Context) -> None:
        """Check that the server answers and has the collection, and that the store is reachable."""
        need_collection(ctx, ctx.service(self.service, Qdrant))
        if self.known("manifest"):
            store_of(ctx, self.manifest).check()

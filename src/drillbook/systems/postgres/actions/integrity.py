"""Check the integrity of a PostgreSQL database: indexes, tables, collation versions."""

from __future__ import annotations

from typing import Annotated

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.systems.postgres import amcheck
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import connected, one, reason
from drillbook.systems.postgres.service import Postgres

_CHECKSUMS = """
SELECT pg_catalog.current_setting('data_checksums') = 'on',
       (SELECT s.checksum_failures FROM pg_catalog.pg_stat_database s WHERE s.datname = pg_catalog.current_database())
"""


class Intact(Read):
    """Check every B-tree index and table of a database with amcheck, and the versions of its collations.

    The check finds damaged indexes and indexes that lack rows, which a comparison of rows does not read. Not checked: indexes
    of other methods than B-tree (and GIN from PostgreSQL 18 on), other databases, and the order of index pages between levels.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0

    service: ServiceName
    heap: Annotated[
        bool, Field(description="Look up every row of each table in its indexes as well, which takes most of the time.")
    ] = True
    borrow: Annotated[
        bool,
        Field(
            description="If the extension amcheck is not installed, create it in a transaction that is rolled back after the check."
        ),
    ] = False

    def run(self, ctx: Context) -> Facts:
        """Facts: ``indexes``, ``tables`` (numbers checked), ``heap`` (as in the step), ``amcheck``, ``seconds``.

        ``amcheck`` is ``installed``, or ``borrowed`` (created for the check only). Also ``not_covered`` (number of indexes
        or tables by reason), ``data_checksums``, and ``checksum_failures``, the number that the server counted since its
        statistics were reset; absent without checksums.
        """
        service = ctx.service(self.service, Postgres)
        begun = ctx.deadline.remaining()
        try:
            with connected(ctx, service) as session:
                checksums, failures = one(session, _CHECKSUMS)
                wrong = amcheck.collations(session)
                with amcheck.opened(session, borrow=self.borrow) as extension:
                    checked = extension.check(heap=self.heap)
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(f"{self.service} could not be checked: {reason(error)}") from error
        wrong += checked.findings
        facts: Facts = {
            "indexes": checked.indexes,
            "tables": checked.tables,
            "heap": self.heap,
            "amcheck": "borrowed" if extension.borrowed else "installed",
            "not_covered": checked.not_covered,
            "data_checksums": bool(checksums),
            "seconds": round(begun - ctx.deadline.remaining(), 3),
        }
        if failures is not None:
            facts["checksum_failures"] = int(failures)
        if wrong:
            said = f"{self.service} is not intact: {stored_backup.summary(wrong)}"
            raise StepFailed(said, findings=wrong, facts=facts)
        return facts

"""Action that checks the indexes, tables and collation versions of a PostgreSQL database for damage."""

from __future__ import annotations

from typing import Annotated

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.systems.postgres import amcheck, preflight
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.service import Postgres

_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
_CHECKSUMS = """
SELECT pg_catalog.current_setting('data_checksums') = 'on',
       (SELECT s.checksum_failures FROM pg_catalog.pg_stat_database s WHERE s.datname = pg_catalog.current_database())
"""


class Intact(Read):
    """Check every B-tree index and every table of a database with amcheck. Also check the versions of its collations.

    The check finds damaged indexes and indexes that lack rows. A comparison of rows cannot find these, because it reads
    no index. On PostgreSQL 18 and newer versions, GIN indexes are checked too. The action does not check indexes of other
    types, the order of pages between the levels of an index, or other databases.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0

    service: ServiceName
    heap: Annotated[
        bool, Field(description="Also look up every row of each table in its indexes. This takes most of the step's time.")
    ] = True
    borrow: Annotated[
        bool,
        Field(
            description="If the extension amcheck is not installed, create it in a transaction that is rolled back after the check."
        ),
    ] = False

    def ready(self, ctx: Context) -> None:
        """Check that the extension amcheck is installed, or can be created for the check."""

        def question(session: Connection) -> None:
            installed = amcheck.need(session, borrow=self.if_known("borrow", True))
            if installed is None and not first_row(session, _SUPERUSER)[0]:
                ctx.unsure(f"that the role {session.info.user}, which is no superuser, may create the extension amcheck")

        preflight.ask(ctx, ctx.service(self.service, Postgres), question)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``indexes`` and ``tables``: numbers of checked indexes and tables; ``seconds``: duration of the check.

        ``heap``: value of `heap` in the step; ``amcheck``: ``installed``, or ``borrowed`` when the extension was created only
        for the check; ``not_covered``: numbers of indexes and tables that were not checked, with the reason as the key;
        ``data_checksums``: true when the server uses checksums; ``checksum_failures``: number of wrong checksums that the
        server counted since its statistics were reset; absent when the server uses no checksums.
        """
        service = ctx.service(self.service, Postgres)
        begun = ctx.deadline.remaining()
        try:
            with connected(ctx, service) as session:
                checksums, failures = first_row(session, _CHECKSUMS)
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

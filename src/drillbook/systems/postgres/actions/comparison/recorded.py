"""Comparison of a PostgreSQL database with a backup: rows, sequences, structure, and the state of its cluster."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

import psycopg
from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.expected_differences import Reasons
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Uri
from drillbook.sdk.store import Store
from drillbook.systems.postgres import compare, content, identity
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import reason
from drillbook.systems.postgres.definition_compare import Judged, Rungs
from drillbook.systems.postgres.manifest import Manifest, Sequence_, Table
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import chosen

Named = TypeVar("Named", Table, content.Relation)


class Matches(Read):
    """Compare a database with a backup: every row of every table, the sequences, the structure, and the cluster's state.

    The structure consists of the properties of all objects in the catalogs. The cluster's state consists of roles,
    memberships, passwords, settings, the list of databases and pg_hba.conf. On a copy, the state of the cluster is
    compared only if the step sets `cluster: true`.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 1800.0
    COMPARES = True

    service: ServiceName
    manifest: Annotated[Uri, Field(description="Fact `manifest` of the step `postgres.dump`.")]
    tables: Annotated[tuple[str, ...], Field(description="Tables whose rows are compared; empty: all tables.")] = ()
    ignore: Annotated[Reasons, Field(description="Tables whose rows are not compared, each with the reason.")] = Field(
        default_factory=dict
    )
    cluster: Annotated[
        bool | None,
        Field(
            description="Compare the state of the cluster as well. By default, it is compared on the server that was backed up, "
            "but not on a copy."
        ),
    ] = None
    accept: Annotated[
        Reasons,
        Field(
            description="Expected differences of structure or cluster, each with the reason. A difference is named by the "
            "title of its finding, such as `role clerk` or `extension *, version`; `*` stands for any text."
        ),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _either(self) -> Matches:
        if both := sorted(set(self.tables) & self.ignore.keys()):
            raise ValueError(f"{both[0]} must not be both in `tables` and in `ignore`")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``tables``, ``rows`` and ``sequences``: numbers of compared tables, rows and sequences.

        ``seconds``: duration of the comparison; ``algorithm``: algorithm of the digests; ``not_compared``: parts that were
        not compared, each with the reason; ``only``: names of the compared tables, if the step sets `tables`; ``accepted``:
        differences that the step's `accept` allows.

        ``structure``: number of compared objects of each kind in the structure of the database; ``cluster``: number of
        compared objects of each kind in the state of the cluster. A backup may lack the record of the structure or of the
        cluster. The fact is then absent. ``cluster`` is also absent if the step does not compare the cluster.

        ``recomputed``: materialized views and extensions that are newer than in the backup. A restore installs the present
        version of an extension, and computes the views again.
        """
        service = ctx.service(self.service, Postgres)
        store, folder = Store(ctx.bucket(self.manifest)), stored_backup.split(self.manifest)
        rungs = Rungs.of(ctx, service, store, folder, cluster=self.cluster)
        backup, begun = rungs.backup, ctx.deadline.remaining()
        try:
            with ThreadPoolExecutor(1) as pool, content.snapshot(ctx, service) as snap:
                text = pool.submit(rungs.text)
                relations = content.relations(snap)
                scope = self._scope(relations, backup)
                tables = content.tables(snap, content.as_recorded(scope, backup.tables))
                sequences = content.sequences(snap)
                measured = rungs.measured(snap, relations, {relation.name for relation in scope})
                dumped = text.result()
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(f"{self.service} could not be compared with the backup: {reason(error)}") from error
        judged = rungs.judged(measured, dumped, self.accept, limited=bool(self.tables))
        return self._answer(backup, tables, sequences, judged, begun - ctx.deadline.remaining())

    def _answer(
        self, backup: Manifest, present: Sequence[Table], sequences: Sequence[Sequence_], judged: Judged, seconds: float
    ) -> Facts:
        """Return the facts of the comparison. Raises StepFailed with all findings when there are differences."""
        wanted = self._wanted(backup)
        named = {table.name for table in wanted}
        tables = present if not self.tables else [table for table in present if table.name in named]
        facts: Facts = {
            "tables": len(tables),
            "rows": sum(table.rows for table in tables),
            "sequences": len(sequences),
            "algorithm": backup.algorithm,
            "seconds": round(seconds, 3),
            **judged.facts,
            "not_compared": {
                **{table.name: table.note for table in wanted if table.digest is None and table.name not in judged.views},
                **judged.not_compared,
                **self.ignore,
            },
        }
        if self.tables:
            facts["only"] = sorted(named)
        wrong = [
            *compare.tables(wanted, tables),
            *compare.sequences(backup.sequences, sequences),
            *judged.findings,
        ]
        if wrong:
            said = f"{self.service} differs from the backup: {stored_backup.summary(wrong)}"
            raise StepFailed(said, findings=wrong, facts=facts)
        return facts

    def subject(self, ctx: Context) -> Identity | None:
        """Query the server for the identity of the database that is compared."""
        return identity.measured(ctx, self.service)

    def _wanted(self, backup: Manifest) -> list[Table]:
        """Return the tables of the backup whose rows are compared.

        Raises CouldNotVerify when there is no table with rows to compare.
        """
        wanted: list[Table] = self._scope(backup.tables, backup)
        if not any(table.digest is not None and (table.rows or table.name != content.LARGE_OBJECTS) for table in wanted):
            raise CouldNotVerify(
                "there are no rows to compare",
                hint="the backup contains no tables with rows, or `tables` and `ignore` exclude all of them",
            )
        return wanted

    def _scope(self, present: Sequence[Named], backup: Manifest) -> list[Named]:
        """Return the tables in ``present`` whose rows are compared.

        Raises StepFailed when `tables` or `ignore` contains a table that the backup lacks.
        """
        only, without = self._known(backup, self.tables), self._known(backup, tuple(self.ignore))
        return [table for table in present if table.name not in without and (not self.tables or table.name in only)]

    @staticmethod
    def _known(backup: Manifest, names: tuple[str, ...]) -> set[str]:
        known, unknown = chosen(backup.tables, names)
        if unknown:
            raise StepFailed(
                f"the backup does not contain the table {', '.join(unknown)}",
                findings=[
                    finding("backup-missing", title=f"table {name}", wanted=name, measured="not in the backup's manifest")
                    for name in unknown
                ],
            )
        return {table.name for table in known}

    def ready(self, ctx: Context) -> None:
        """Check that pg_dump exists and the store is reachable."""
        service = ctx.service(self.service, Postgres)
        Tools.of(ctx, service).need(("pg_dump",), 0)
        if self.known("manifest"):
            Store(ctx.bucket(self.manifest)).check()

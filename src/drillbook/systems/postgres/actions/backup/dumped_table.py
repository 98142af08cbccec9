"""Action that restores one table from a dump of a backup source."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field

from drillbook.errors import NotReady
from drillbook.sdk.action import Context, Facts, Undo
from drillbook.sdk.backup_source import Backup, parsed_moment, source_of
from drillbook.sdk.identity import Identity
from drillbook.sdk.in_place import InPlace, RestoresSource
from drillbook.sdk.service import kind_of
from drillbook.systems.postgres import dumped_table, identity
from drillbook.systems.postgres.actions.fields import ServiceName, TableName
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.source import PgDumpSource
from drillbook.systems.postgres.tables import Name


def _at(text: str) -> str:
    parsed_moment(text)
    return text


class RestoreTableFromDump(RestoresSource):
    """Restore one table, and everything that was dropped with it, from a dump that the team took itself.

    The dump comes from a backup source of the kind `pg_dump`, in the format custom, directory or tar. The restore is one
    transaction. If the restored table has another number of rows than the dump, the restore fails and changes nothing. The
    content of the rows is not compared, because a dump contains no digests. Rows written to the table after the dump are lost.
    If the table exists, the step fails and does not overwrite it. If rows of the present database violate a foreign key, the
    key is restored as NOT VALID, and the drill fails.
    """

    SERVICE = Postgres
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    from_: Annotated[str, Field(alias="from", description="Name of the backup source, from `backups` of the inventory.")]
    table: TableName
    at: Annotated[
        str,
        AfterValidator(_at),
        Field(description="Dump to use: `latest`, its id, or a point in time in ISO 8601 with the offset from UTC."),
    ] = "latest"
    backup: Annotated[
        str,
        Field(
            description=(
                "Id of the dump to restore. Default: the dump that this run verified, or else the newest dump that "
                "`at` permits."
            )
        ),
    ] = ""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``backup``: the dump; ``table``: name of the table; ``rows``: number of its restored rows.

        ``restored_data``: mapping of a text with the table and the service to the number of restored rows, absent when this
        number is unknown or a dependent table was not restored; ``relations``: restored relations; ``entries``: number of
        archive entries that were restored; ``kept``: dependent tables that were not restored because they still existed;
        ``compared``: text about the check of the restored rows, with the transaction in which the check ran;
        ``broken_references``: foreign keys that rows of the present database violate, absent when there are none; ``in_place``:
        true; ``seconds``: duration of each stage.
        """
        source = self._source(ctx)
        backup, _ = source.select(source.backups(replace(ctx, host=ctx.host_named(source.host))))
        service = ctx.service(self.service, Postgres)
        with source.explaining(ctx, backup):
            facts = dumped_table.DumpedTableRestore(ctx, service, Name.parse(self.table), False, False, source, backup).run()
        left_out = ("digests", "closed", "replaced")
        return {
            "backup": self.facts_of(ctx, backup),
            "in_place": True,
            **{key: value for key, value in facts.items() if key not in left_out},
        }

    def _source(self, ctx: Context) -> PgDumpSource:
        source = source_of(ctx, self.from_)
        if not isinstance(source, PgDumpSource):
            raise NotReady(
                f"{self.from_} is a backup source of the kind {kind_of(source)}, which cannot restore one table",
                hint=f"use a source of the kind pg_dump, with dumps taken by {dumped_table.HOW_TO_DUMP}",
            )
        return source.selecting(self.if_known("at"), self.if_known("backup"))

    def ready(self, ctx: Context) -> None:
        """Check that the host has the tools, and that the dumps can be listed and copied to the host. Check also that the
        dumps are archives of pg_dump.
        """
        if self.known("from_"):
            source = self._source(ctx)
            source.ready_to_list(replace(ctx, host=ctx.host_named(source.host)))
            source.ready_table(ctx, ctx.service(self.service, Postgres))

    def unlike(self, place: InPlace, backup: Backup, checked: Facts) -> str:
        """Return the reason why the table cannot be restored from the dump ``backup``, or an empty text when it can. Only this
        table is compared with the dump.

        Raises CouldNotVerify when the server cannot be queried.
        """
        service = place.ctx.service(self.service, Postgres)
        return dumped_table.unfit_here(place.ctx, service, Name.parse(self.table), checked)

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the database that the table is in."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the restored rows are kept."""
        return Undo.nothing("restored data is kept")

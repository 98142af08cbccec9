"""Restores of one table of a PostgreSQL database. During the restore, the other tables stay in use."""

from __future__ import annotations

from typing import Annotated

import psycopg
from pydantic import AfterValidator, Field

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.sdk.host_encryption import need_transfer
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Store
from drillbook.systems.postgres import foreign_keys, identity, tables
from drillbook.systems.postgres.actions.fields import Location, ServiceName, TableName, condition
from drillbook.systems.postgres.connection import connected, reason
from drillbook.systems.postgres.reader_version import need_reader
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.single_rows import RowsRestore
from drillbook.systems.postgres.single_table import SingleRestore
from drillbook.systems.postgres.tables import Name


class _OfOneTable(Write):
    """Base class of actions that restore one table from a backup."""

    SERVICE = Postgres
    TIMEOUT = 3600.0

    service: ServiceName
    from_: Location
    table: TableName

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the database that the table is in."""
        return identity.measured(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """Check that the tools and a transfer program exist on the host, and that the store is reachable."""
        service = ctx.service(self.service, Postgres)
        need_reader(ctx, service, ("pg_restore", "psql"), self.if_known("from_"))
        need_transfer(ctx, self.from_ if self.known("from_") else "")
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()


class RestoreTable(_OfOneTable):
    """Restore one table and everything that was dropped with it, from a dump of `postgres.dump` in a bucket (kind `s3`).

    The restore is one transaction, which compares the rows with the backup's digest before any client can see them. Rows
    written to this table after the backup are lost, even if a canary in another table reports no loss. If rows of the present
    database violate a foreign key, this key is restored as NOT VALID, and the drill then fails.
    """

    OPENED_BY = "postgres.admit_table"
    UNDO = ("action", "nothing")
    UNDO_ACTIONS = ("postgres.admit_table",)
    UNDO_BY = "closed"

    closed: Annotated[
        bool,
        Field(description="Let clients read the restored table, but not write to it, until `postgres.admit_table` runs."),
    ] = False
    replace: Annotated[bool, Field(description="Drop the existing table in the transaction that restores the table.")] = (
        False
    )

    def ready(self, ctx: Context) -> None:
        """Check the tools and the store. Also check that a restore of the table could restore every foreign key that
        references the table.
        """
        super().ready(ctx)
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service) as session:
                why = foreign_keys.unrestorable(session, Name.parse(self.table))
        except (psycopg.Error, HostError) as error:
            refusal = NotReady(
                f"{self.service} cannot be queried for the foreign keys that reference {self.table}: {reason(error)}",
                hint="check address, port and `admin` of the service in the inventory",
            )
            ctx.lacking(refusal)
            return
        if why:
            raise NotReady(
                f"{self.service}: {why}",
                hint="restore the whole database, or let the drill drop another table; a server of PostgreSQL 18 can restore such "
                "a foreign key",
            )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``table``: name of the table; ``rows``: number of restored rows; ``relations``: restored relations.

        ``digests``: digest of each restored relation; ``entries``: number of restored archive entries; ``kept``: dependent
        tables that were not restored because they still existed; ``compared``: text about the comparison with the backup: in
        which transaction the rows were checked, or that the table already existed and equals the backup; ``closed``: true when
        writers are refused; ``replaced``: value of the parameter `replace`; ``seconds``: duration of each stage.

        Three facts can be absent. ``restored_data`` is the number of restored rows. It is absent if this number is unknown or a
        dependent table was not restored. ``replaced_data`` is the number of rows in the table that the step dropped. It is
        absent if the step dropped no table or its rows could not be counted. Each of these two facts is a mapping from the text
        `rows of TABLE in SERVICE` to the number. ``broken_references`` lists the foreign keys that rows of the present database
        violate. It is absent if there are none.
        """
        service, table = ctx.service(self.service, Postgres), Name.parse(self.table)
        store, origin = Store(ctx.bucket(self.from_)), stored_backup.split(self.from_)
        return SingleRestore(ctx, service, table, self.closed, self.replace, store, origin).run()

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that lets clients write to the restored table again. The restored rows are kept."""
        if self.closed:
            return Undo.by_action("postgres.admit_table", service=self.service)
        return Undo.nothing("restored data is kept")

    def active(self, ctx: Context) -> bool | None:
        """Return True while writers of the restored table are refused, and None when this is unknown."""
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                return tables.closed(session, Name.parse(self.table))
        except (psycopg.Error, HostError):
            return None


def _plain_condition(text: str) -> str:
    if "\\" in text or ";" in text:
        raise ValueError("a condition must not contain a backslash or a semicolon")
    return condition(text)


class RestoreRows(_OfOneTable):
    """Restore rows of the backup into the table, and keep all rows of the table.

    A row is restored if it matches a condition, and the table has no row with its key.

    The restore is one transaction. It compares the rows of the backup with the backup's digest before it writes any row. A
    row that a client deleted since the backup is restored too if it matches the condition.
    """

    UNDO = ("nothing",)

    where: Annotated[
        str, AfterValidator(_plain_condition), Field(description="SQL condition (as after WHERE) of the rows to restore.")
    ]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``table``: name of the table; ``restored``: number of rows that this step has written.

        ``restored_data``: number of rows in the table after the restore that match ``where``. A row counts if its present
        content matches, or if its content in the backup matches. Rows that clients wrote are included. The fact is a
        mapping with one entry: the key is a text with the table, the service and the condition, and the value is the
        number. This fact is absent when other tables inherit from the table. ``in_backup``: number of the table's rows in
        the backup; ``differing``: number of these rows whose content in the table is different now; ``seconds``: duration
        of each stage.
        """
        service = ctx.service(self.service, Postgres)
        return RowsRestore(
            ctx, service, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_), Name.parse(self.table), self.where
        ).run()

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the restored rows are kept."""
        return Undo.nothing("restored data is kept")


class AdmitTable(Write):
    """Admit writers to every table that was restored with `closed: true`. Do nothing when no table refuses writers."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``tables``: names of the tables that refused writers before this step and admit them now."""
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                return {"tables": [str(name) for name in tables.open_up(session)]}
        except (psycopg.Error, HostError) as error:
            raise StepFailed(
                f"{self.service}: writers could not be admitted: {reason(error)}; when the server answers again, execute "
                f"this statement as a superuser, with the name of the table: DROP TRIGGER {tables.TRIGGER} ON ..."
            ) from error

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the tables stay open to writers."""
        return Undo.nothing("writers may stay admitted")

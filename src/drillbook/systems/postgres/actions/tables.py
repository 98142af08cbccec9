"""Actions on one table of a PostgreSQL database: drop the table, delete its rows, or restore it.

During a restore of one table, the other tables stay in use.
"""

from __future__ import annotations

import json
from typing import Annotated

import psycopg
from psycopg import sql
from pydantic import AfterValidator, Field

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import REMOVED, Context, Facts, Fault, Place, Undo, Write
from drillbook.sdk.host_encryption import need_transfer
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Store
from drillbook.systems.postgres import identity, tables
from drillbook.systems.postgres.actions.fields import Location, ServiceName
from drillbook.systems.postgres.connection import Connection, after_deadlocks, connected, one, reason
from drillbook.systems.postgres.reader_version import need_reader
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.single import SingleRestore
from drillbook.systems.postgres.single_rows import RowsRestore
from drillbook.systems.postgres.tables import Name

LOCK_TIMEOUT = "10s"


def _table(text: str) -> str:
    Name.parse(text)
    return text


def _condition(text: str) -> str:
    if not text.strip():
        raise ValueError("`where` is empty, and without a condition every row would be deleted")
    return text


TableName = Annotated[
    str, AfterValidator(_table), Field(description="Name of the table in SQL syntax; the default schema is `public`.")
]
Condition = Annotated[
    str,
    AfterValidator(_condition),
    Field(
        description=(
            "SQL condition (as after WHERE) of the rows to delete. Choose rows that no client writes, because otherwise "
            "the fault cannot be verified."
        )
    ),
]


class DropTable(Fault):
    """Drop a table and everything that depends on it, as a wrong migration does."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    RESTORE_ONLY = True
    PROVEN_BY = ("postgres.backup_intact", "postgres.base_intact", "backup.check")
    RESTORED_BY = {PROVEN_BY[0]: "postgres.restore_table", "backup.check": "postgres.restore_table_from_dump"}
    UNDO = ("restore",)

    service: ServiceName
    table: TableName

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``table``: name of the table; ``rows`` and ``removed_data``: number of its rows; ``bytes``: its size.

        ``cascaded``: other objects that the server dropped together with the table; ``deadlocks``: number of attempts
        that the server rolled back because of a deadlock. This fact is absent when there was no deadlock.
        """
        try:
            facts, deadlocks = after_deadlocks(lambda: self._drop(ctx, Name.parse(self.table)))
        except (psycopg.Error, HostError) as error:
            raise StepFailed(f"{self.service}: {Name.parse(self.table)} was not dropped: {reason(error)}") from error
        return facts | ({"deadlocks": deadlocks} if deadlocks else {})

    def _drop(self, ctx: Context, name: Name) -> Facts:
        cascaded: list[str] = []
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            session.add_notice_handler(lambda notice: cascaded.extend(_dropped(notice)))
            session.execute(_begin().encode())
            session.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name.sql))
            rows = one(session, sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(name.sql))[0]
            size = one(session, "SELECT pg_catalog.pg_total_relation_size(%s::pg_catalog.regclass)", name.quoted)[0]
            session.execute(sql.SQL("DROP TABLE {} CASCADE").format(name.sql))
            _note(ctx, session, _DROPPED, rows)
            session.execute("COMMIT")
        return tables.counted(REMOVED, self.service, name, rows) | {"rows": rows, "bytes": size, "cascaded": cascaded}

    def ready(self, ctx: Context) -> None:
        """Check that the table exists."""
        _need_table(ctx, self.service, Name.parse(self.table))

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the database that the table is in."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because only a restore can recover the table."""
        return Undo.by_restore("the table is dropped; only a restore can recover it")

    def active(self, ctx: Context) -> bool:
        """Return True while the table is missing."""
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return not tables.exists(session, Name.parse(self.table))

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when no transaction of this step was committed. If the step recorded a transaction, the server is
        asked for its outcome: the existence of the table would not prove it, because a client may have created the
        table again after the drop. If it recorded none, return True while the table exists."""
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            if found := _noted(ctx, _DROPPED):
                return _aborted(session, found)
            return tables.exists(session, Name.parse(self.table))


_DROPPED, _DELETED = "dropped.json", "deleted.json"
"""Names of the evidence files about the lost rows. These files are written before the transaction is committed."""


def _note(ctx: Context, session: Connection, name: str, rows: int) -> None:
    number = one(session, "SELECT pg_catalog.txid_current()")[0]
    ctx.evidence(name, json.dumps({"rows": rows, "transaction": number}), sync=True)


def _noted(ctx: Context, name: str) -> list[Facts]:
    """Return the content of all evidence files with the name ``name``.

    Each attempt of the step writes such a file right before it commits its transaction.
    """
    return [json.loads(path.read_text(encoding="utf-8")) for path in ctx.kept_evidence(name)]


def _aborted(session: Connection, notes: list[Facts]) -> bool:
    """Return True when the server confirms that all transactions recorded in the evidence ``notes`` were aborted.

    Source: the function txid_status in section 9.27 of PostgreSQL's manual.
    """
    return all(one(session, "SELECT pg_catalog.txid_status(%s)", note["transaction"])[0] == "aborted" for note in notes)


def _begin() -> str:
    return f"BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL client_min_messages = notice"


def _dropped(notice: psycopg.errors.Diagnostic) -> list[str]:
    """Return the objects that the server reports as dropped by CASCADE."""
    lines = (notice.message_detail or notice.message_primary or "").splitlines()
    return [line.removeprefix("drop cascades to ") for line in lines if line.startswith("drop cascades to ")]


def _need_table(ctx: Context, service: str, name: Name) -> None:
    try:
        with connected(ctx, ctx.service(service, Postgres)) as session:
            if not tables.exists(session, name):
                raise NotReady(f"{service}: there is no table {name}", hint="write the name in SQL syntax, with its schema")
    except (psycopg.Error, HostError) as error:
        raise NotReady(
            f"{service} cannot be queried for {name}: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error


class DeleteRows(Fault):
    """Delete the rows of a table that match a condition, as a wrong statement does."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    RESTORE_ONLY = True
    PROVEN_BY = ("postgres.backup_intact", "postgres.base_intact")
    RESTORED_BY = {"postgres.backup_intact": "postgres.restore_rows"}
    READY_CODE = "where"
    UNDO = ("restore",)

    service: ServiceName
    table: TableName
    where: Condition

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``table``: name of the table; ``rows`` and ``removed_data``: number of deleted rows.

        ``left``: number of rows that the table still has; ``deadlocks``: number of attempts that the server rolled back
        because of a deadlock. This last fact is absent when there was no deadlock.
        """
        try:
            facts, deadlocks = after_deadlocks(lambda: self._delete(ctx, Name.parse(self.table)))
        except (psycopg.Error, HostError) as error:
            raise StepFailed(
                f"{self.service}: nothing was deleted from {Name.parse(self.table)}: {reason(error)}"
            ) from error
        return facts | ({"deadlocks": deadlocks} if deadlocks else {})

    def _delete(self, ctx: Context, name: Name) -> Facts:
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            session.execute(_begin().encode())
            rows = session.execute(self._statement("DELETE FROM {table} WHERE ({where}\n)"), prepare=True).rowcount
            if not rows:
                raise StepFailed(f"{self.service}: no row of {name} matches the condition; nothing was deleted")
            left = one(session, sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(name.sql))[0]
            _note(ctx, session, _DELETED, rows)
            session.execute("COMMIT")
        return tables.counted(REMOVED, self.service, name, rows, self.where) | {"rows": rows, "left": left}

    def _statement(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(table=Name.parse(self.table).sql, where=sql.SQL(self.where))

    def _matching(self, session: Connection) -> int:
        session.execute("BEGIN READ ONLY")
        found = session.execute(
            self._statement("SELECT pg_catalog.count(*) FROM {table} WHERE ({where}\n)"), prepare=True
        ).fetchone()
        session.execute("COMMIT")
        return int(found[0]) if found else 0

    def ready(self, ctx: Context) -> None:
        """Check that at least one row matches the condition."""
        name = Name.parse(self.table)
        _need_table(ctx, self.service, name)
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                if not self._matching(session):
                    raise NotReady(
                        f"{self.service}: no row of {name} matches `where`", hint="choose a condition that matches rows"
                    )
        except psycopg.Error as error:
            raise NotReady(
                f"{self.service}: the condition `where` cannot be evaluated on {name}: {reason(error)}",
                hint="write an SQL condition as after WHERE",
            ) from error

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the database that the table is in."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because only a restore can recover the rows."""
        return Undo.by_restore("the rows are deleted; only a restore can recover them")

    def active(self, ctx: Context) -> bool:
        """Return True while no row matches the condition, and evidence shows that this step deleted such rows."""
        if not any(note["rows"] for note in _noted(ctx, _DELETED)):
            return False
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return self._matching(session) == 0

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when no transaction of this step was committed.

        The existence of matching rows does not prove this, because clients may have inserted such rows after the deletion.
        """
        if not (found := _noted(ctx, _DELETED)):
            return True
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return _aborted(session, found)


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
    written to this table after the backup are lost, even if a canary in another table reports no loss. A foreign key that
    present rows violate is restored as NOT VALID, and the drill then fails.
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

    def run(self, ctx: Context) -> Facts:
        """Facts: ``table``: name of the table; ``rows``: number of restored rows; ``relations``: restored relations.

        ``digests``: digest of each restored relation; ``restored_data``: number of restored rows, absent when it is unknown
        or a dependent table was not restored; ``entries``: number of restored archive entries; ``kept``: dependent tables
        that were not restored because they still existed; ``compared``: time of the comparison; ``closed``: true when
        writers are refused; ``replaced``: value of the parameter `replace`; ``replaced_data``: number of rows in the table
        that was dropped, absent when there was none or its rows could not be counted; ``broken_references``: foreign keys
        that present rows violate, absent when there are none; ``seconds``: duration of each stage.
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
    return _condition(text)


class RestoreRows(_OfOneTable):
    """Restore the rows that match a condition in the backup and whose keys are missing in the table. Keep all other rows.

    The restore is one transaction. It compares the rows of the backup with the backup's digest before it writes any row. A
    row that a client deleted since the backup is restored too if it matches the condition.
    """

    UNDO = ("nothing",)

    where: Annotated[
        str, AfterValidator(_plain_condition), Field(description="SQL condition (as after WHERE) of the rows to restore.")
    ]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``table``: name of the table; ``restored``: number of rows that this step has written.

        ``restored_data``: number of rows in the table after the restore that match ``where`` now or matched it in the
        backup. Rows that clients wrote also count. This fact is absent when other tables inherit from the table.
        ``in_backup``: number of the table's rows in the backup; ``differing``: number of these rows whose content in the
        table is different now; ``seconds``: duration of each stage.
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
                f"{self.service}: writers could not be admitted: {reason(error)}; when the server is up, run as "
                f"superuser for the table: DROP TRIGGER {tables.TRIGGER} ON ..."
            ) from error

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the tables stay open to writers."""
        return Undo.nothing("writers may stay admitted")

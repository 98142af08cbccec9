"""Faults of one table of a PostgreSQL database: drop the table, or delete its rows."""

from __future__ import annotations

import json

import psycopg
from psycopg import sql

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.sdk.action import REMOVED, Context, Facts, Fault, Place, Undo
from drillbook.sdk.identity import Identity
from drillbook.systems.postgres import identity, tables
from drillbook.systems.postgres.actions.fields import Condition, ServiceName, TableName
from drillbook.systems.postgres.connection import Connection, after_deadlocks, connected, first_row, reason
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import Name

LOCK_TIMEOUT = "10s"


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
        """Facts: ``table``: name of the table; ``rows``: number of its rows; ``removed_data``: mapping with one entry (the
        key is a text with the table and the service, the value is the number of rows); ``bytes``: size of the table.

        ``cascaded``: other objects that the server dropped together with the table; ``deadlocks``: number of attempts that
        the server rolled back because of a deadlock. This fact is absent when there was no deadlock.
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
            rows = first_row(session, sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(name.sql))[0]
            size = first_row(session, "SELECT pg_catalog.pg_total_relation_size(%s::pg_catalog.regclass)", name.quoted)[0]
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
        """Return True when no transaction of this step was committed.

        If the step recorded its transactions, the server is asked for their outcome. The existence of the table would not
        prove anything, because a client may have created the table again after the drop. If the step recorded no
        transaction, return True while the table exists.
        """
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            if noted := _noted(ctx, _DROPPED):
                return _aborted(session, noted)
            return tables.exists(session, Name.parse(self.table))


_DROPPED, _DELETED = "dropped.json", "deleted.json"
"""Names of the evidence files about the lost rows. These files are written before the transaction is committed."""


def _note(ctx: Context, session: Connection, name: str, rows: int) -> None:
    number = first_row(session, "SELECT pg_catalog.txid_current()")[0]
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
    return all(
        first_row(session, "SELECT pg_catalog.txid_status(%s)", note["transaction"])[0] == "aborted" for note in notes
    )


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
        """Facts: ``table``: name of the table; ``rows``: number of deleted rows; ``removed_data``: mapping with one entry
        (the key is a text with the table, the service and the condition, the value is the number of deleted rows).

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
            left = first_row(session, sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(name.sql))[0]
            _note(ctx, session, _DELETED, rows)
            session.execute("COMMIT")
        return tables.counted(REMOVED, self.service, name, rows, self.where) | {"rows": rows, "left": left}

    def _statement(self, text: str) -> sql.Composed:
        return sql.SQL(text).format(table=Name.parse(self.table).sql, where=sql.SQL(self.where))

    def _matching(self, session: Connection) -> int:
        session.execute("BEGIN READ ONLY")
        row = session.execute(
            self._statement("SELECT pg_catalog.count(*) FROM {table} WHERE ({where}\n)"), prepare=True
        ).fetchone()
        session.execute("COMMIT")
        return int(row[0]) if row else 0

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
        """Return True while the deleted rows are missing: no row matches the condition, although the evidence of this step
        records deleted rows.
        """
        if not any(note["rows"] for note in _noted(ctx, _DELETED)):
            return False
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return self._matching(session) == 0

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when this step committed no transaction.

        Matching rows in the table do not prove this. Clients may have inserted them after the deletion.
        """
        if not (noted := _noted(ctx, _DELETED)):
            return True
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return _aborted(session, noted)

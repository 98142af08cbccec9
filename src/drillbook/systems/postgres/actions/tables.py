"""One table of a PostgreSQL database: drop it, delete from it, bring it back while the rest goes on."""

from __future__ import annotations

import json
from typing import Annotated

import psycopg
from psycopg import sql
from pydantic import AfterValidator, Field

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo, Write
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Store, Uri
from drillbook.sdk.transfer import Carrier
from drillbook.systems.postgres import identity, tables
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import Connection, connected, one, reason
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.single import SingleRestore
from drillbook.systems.postgres.single_rows import RowsRestore
from drillbook.systems.postgres.tables import Name
from drillbook.systems.postgres.tools import Tools

LOCK_TIMEOUT = "10s"


def _table(text: str) -> str:
    Name.parse(text)
    return text


def _condition(text: str) -> str:
    if not text.strip():
        raise ValueError("a condition is needed: without one every row would be deleted")
    return text


TableName = Annotated[
    str, AfterValidator(_table), Field(description="The table, as SQL writes it; without a schema it is `public`.")
]
Condition = Annotated[
    str,
    AfterValidator(_condition),
    Field(description="The rows, as behind SQL's WHERE. Choose rows that no client writes, or the fault cannot be proven."),
]
Location = Annotated[Uri, Field(alias="from", description="The `location` that a dump gave.")]


class DropTable(Fault):
    """Drop a table with everything that depends on it, as a wrong migration does."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    RESTORE_ONLY = True
    PROVEN_BY = ("postgres.backup_intact", "postgres.base_intact")
    RESTORED_BY = {"postgres.backup_intact": "postgres.restore_table"}
    UNDO = ("restore",)

    service: ServiceName
    table: TableName

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``table``, ``rows``, ``bytes``, ``cascaded`` (what went with it, in the server's words)."""
        name, said = Name.parse(self.table), list[str]()
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                session.add_notice_handler(lambda notice: said.extend(_dropped(notice)))
                session.execute(_begin().encode())
                session.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name.sql))
                rows = one(session, sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(name.sql))[0]
                size = one(session, "SELECT pg_catalog.pg_total_relation_size(%s::pg_catalog.regclass)", name.quoted)[0]
                session.execute(sql.SQL("DROP TABLE {} CASCADE").format(name.sql))
                _note(ctx, session, _DROPPED, rows)
                session.execute("COMMIT")
        except (psycopg.Error, HostError) as error:
            raise StepFailed(f"{self.service}: {name} was not dropped: {reason(error)}") from error
        return {"table": str(name), "rows": rows, "bytes": size, "cascaded": said}

    def ready(self, ctx: Context) -> None:
        """The table must be there."""
        _need_table(ctx, self.service, Name.parse(self.table))

    def subject(self, ctx: Context) -> Identity | None:
        """The database that the table is in."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Only a restore brings it back."""
        return Undo.by_restore("the table is dropped; only a restore brings it back")

    def active(self, ctx: Context) -> bool:
        """True while there is no such table."""
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return not tables.exists(session, Name.parse(self.table))

    def untouched(self, ctx: Context) -> bool | None:
        """No transaction of this step was committed; a table that is there may be one that somebody made since."""
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            if found := _noted(ctx, _DROPPED):
                return _aborted(session, found)
            return tables.exists(session, Name.parse(self.table))


_DROPPED, _DELETED = "dropped.json", "deleted.json"
"""Evidence of what is lost when the transaction is committed, on disk before it is."""


def _note(ctx: Context, session: Connection, name: str, rows: int) -> None:
    number = one(session, "SELECT pg_catalog.txid_current()")[0]
    ctx.evidence(name, json.dumps({"rows": rows, "transaction": number}), sync=True)


def _noted(ctx: Context, name: str) -> list[Facts]:
    """What the attempts of this step that came as far as their commit noted."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in ctx.kept_evidence(name)]


def _aborted(session: Connection, notes: list[Facts]) -> bool:
    """Does the server know of every transaction that it was not committed? See txid_status in PostgreSQL's manual, 9.27."""
    return all(one(session, "SELECT pg_catalog.txid_status(%s)", note["transaction"])[0] == "aborted" for note in notes)


def _begin() -> str:
    return f"BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL client_min_messages = notice"


def _dropped(notice: psycopg.errors.Diagnostic) -> list[str]:
    """What the server says that it dropped as well."""
    lines = (notice.message_detail or notice.message_primary or "").splitlines()
    return [line.removeprefix("drop cascades to ") for line in lines if line.startswith("drop cascades to ")]


def _need_table(ctx: Context, service: str, name: Name) -> None:
    try:
        with connected(ctx, ctx.service(service, Postgres)) as session:
            if not tables.exists(session, name):
                raise NotReady(f"{service}: there is no table {name}", hint="write it as SQL does, with its schema")
    except (psycopg.Error, HostError) as error:
        raise NotReady(
            f"{service} cannot be asked for {name}: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error


class DeleteRows(Fault):
    """Delete the rows of a table that a condition names, as a wrong statement does."""

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
        """Facts: ``table``, ``rows`` deleted from it, ``left``."""
        name = Name.parse(self.table)
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                session.execute(_begin().encode())
                rows = session.execute(self._statement("DELETE FROM {table} WHERE ({where}\n)"), prepare=True).rowcount
                if not rows:
                    raise StepFailed(f"{self.service}: no row of {name} meets the condition; nothing was deleted")
                left = one(session, sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(name.sql))[0]
                _note(ctx, session, _DELETED, rows)
                session.execute("COMMIT")
        except (psycopg.Error, HostError) as error:
            raise StepFailed(f"{self.service}: nothing was deleted from {name}: {reason(error)}") from error
        return {"table": str(name), "rows": rows, "left": left}

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
        """Some row must meet the condition."""
        name = Name.parse(self.table)
        _need_table(ctx, self.service, name)
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                if not self._matching(session):
                    raise NotReady(f"{self.service}: no row of {name} meets `where`", hint="there is nothing to delete")
        except psycopg.Error as error:
            raise NotReady(
                f"{self.service}: `where` does not work on {name}: {reason(error)}", hint="write it as behind SQL's WHERE"
            ) from error

    def subject(self, ctx: Context) -> Identity | None:
        """The database that the table is in."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Only a restore brings them back."""
        return Undo.by_restore("the rows are deleted; only a restore brings them back")

    def active(self, ctx: Context) -> bool:
        """True while no row meets the condition, and this step is known to have deleted some."""
        if not any(note["rows"] for note in _noted(ctx, _DELETED)):
            return False
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return self._matching(session) == 0

    def untouched(self, ctx: Context) -> bool | None:
        """No transaction of this step was committed: a row that meets the condition may have been written since."""
        if not (found := _noted(ctx, _DELETED)):
            return True
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            return _aborted(session, found)


class _OfOneTable(Write):
    """An action that brings back what one table of a backup held."""

    SERVICE = Postgres
    TIMEOUT = 3600.0

    service: ServiceName
    from_: Location
    table: TableName

    def subject(self, ctx: Context) -> Identity | None:
        """The database that the table is in."""
        return identity.measured(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """Tools on the host, a way to carry the files, and the store."""
        service = ctx.service(self.service, Postgres)
        Tools.of(ctx, service, ctx.host).need(("pg_restore", "psql"), 0)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()


class RestoreTable(_OfOneTable):
    """Bring one table back, with all that a drop took along; the rest of the database is not touched.

    One transaction: what it brought is compared with the backup's digest before anybody can see it. Rows of this table
    that were written after the backup are lost, whatever a canary in another table says.
    """

    OPENED_BY = "postgres.admit_table"
    UNDO = (
        "action",
        "nothing",
    )

    closed: Annotated[bool, Field(description="Readers see it, writers are refused until `postgres.admit_table`.")] = False
    replace: Annotated[bool, Field(description="Drop the table that is there, in the same transaction.")] = False

    def run(self, ctx: Context) -> Facts:
        """Facts: ``table rows digests relations entries kept closed replaced``; ``seconds`` of each stage."""
        service = ctx.service(self.service, Postgres)
        return SingleRestore(
            ctx,
            service,
            Store(ctx.bucket(self.from_)),
            stored_backup.split(self.from_),
            Name.parse(self.table),
            self.closed,
            self.replace,
        ).run()

    def undo(self, ctx: Context) -> Undo:
        """What was restored stays; a closed table is opened."""
        if self.closed:
            return Undo.by_action("postgres.admit_table", service=self.service)
        return Undo.nothing("what was restored is kept")

    def active(self, ctx: Context) -> bool | None:
        """True while its writers are kept out."""
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                return tables.closed(session, Name.parse(self.table))
        except (psycopg.Error, HostError):
            return None


def _plain_condition(text: str) -> str:
    if "\\" in text or ";" in text:
        raise ValueError("a condition holds no backslash and no semicolon")
    return _condition(text)


class RestoreRows(_OfOneTable):
    """Bring back the rows of a table that a condition names and whose key is not there now; all others stay as they are.

    One transaction: what it read is compared with the backup's digest before a row of it is written. A row that clients
    deleted since the backup comes back too when it meets the condition.
    """

    UNDO = ("nothing",)

    where: Annotated[str, AfterValidator(_plain_condition), Field(description="The rows, as behind SQL's WHERE.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``table``, ``restored``, ``differing`` (rows that changed since), ``in_backup``, ``seconds``."""
        service = ctx.service(self.service, Postgres)
        return RowsRestore(
            ctx, service, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_), Name.parse(self.table), self.where
        ).run()

    def undo(self, ctx: Context) -> Undo:
        """What was restored is kept."""
        return Undo.nothing("what was restored is kept")


class AdmitTable(Write):
    """Let writers into every table that was restored `closed`. Does no harm when they are in already."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``tables`` that were closed."""
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                return {"tables": [str(name) for name in tables.open_up(session)]}
        except (psycopg.Error, HostError) as error:
            raise StepFailed(
                f"{self.service}: writers could not be let in: {reason(error)}; when the server is up, run as "
                f"superuser for the table: DROP TRIGGER {tables.TRIGGER} ON ..."
            ) from error

    def undo(self, ctx: Context) -> Undo:
        """Writers are meant to be in."""
        return Undo.nothing("writers are meant to be in")

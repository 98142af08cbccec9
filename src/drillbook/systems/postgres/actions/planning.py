"""Actions that drop or create an index, update planner statistics, or show whether the plan of a statement uses an index."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
from psycopg import sql
from pydantic import AfterValidator, Field

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Fault, Place, Read, Undo, Write
from drillbook.systems.postgres import preflight
from drillbook.systems.postgres.actions.fields import ServiceName, TableName
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.explain_output import explain, indexes_of, scanned_by
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import Name

_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'
_DEFINITION = re.compile(
    rf"\s*CREATE\s+(?P<unique>UNIQUE\s+)?INDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?P<index>{_IDENTIFIER})"
    rf"\s+ON\s+(?:ONLY\s+)?(?P<table>(?:{_IDENTIFIER}\.)?{_IDENTIFIER})(?P<rest>[\s(].*)",
    re.IGNORECASE | re.DOTALL,
)
_STATE = """
SELECT i.indisvalid, pg_catalog.pg_get_indexdef(i.indexrelid), t.relkind::text, n.nspname, t.relname,
       EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid) OR i.indisreplident,
       pg_catalog.pg_relation_size(i.indexrelid),
       CASE WHEN i.indisunique THEN 'is unique, and without it, duplicate rows could be written'
            WHEN i.indisclustered THEN 'is what its table is clustered by'
            WHEN c.reltablespace <> 0 THEN 'is in a tablespace of its own' ELSE '' END
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""


ATTEMPTS, AGAIN_S = 10, 0.5
"""Maximum number of attempts to create an index, and pause in seconds between two attempts.

An attempt fails when another session creates or drops the same index at the same time.
"""


@dataclass(frozen=True, slots=True)
class Definition:
    """Parts of a CREATE INDEX statement: the names of the index and its table, and the text after the table's name."""

    name: Name
    unique: bool
    table: Name
    rest: str

    @classmethod
    def parse(cls, text: str) -> Definition:
        """Parse a CREATE INDEX statement. Raises ValueError when ``text`` is not exactly one such statement."""
        match = _DEFINITION.fullmatch(text)
        if match is None or ";" in text:
            raise ValueError("expected one statement such as `CREATE INDEX name ON table (column)`")
        table = Name.parse(match["table"])
        return cls(Name(table.schema, Name.parse(match["index"]).table), bool(match["unique"]), table, match["rest"])

    def statement(self) -> str:
        """Return the statement that creates the index without blocking writers."""
        name = sql.Identifier(self.name.table).as_string(None)
        return f"CREATE {'UNIQUE ' if self.unique else ''}INDEX CONCURRENTLY {name} ON {self.table.quoted}{self.rest}"


def _index(text: str) -> str:
    Name.parse(text)
    return text


def _definition(text: str) -> str:
    Definition.parse(text)
    return text


def _unmakable(made: str) -> str:
    """Return the reason why ``postgres.create_index`` cannot create an index with the definition ``made``.

    Return an empty text when the action can create the index.
    """
    try:
        Definition.parse(made)
    except ValueError:
        return "has a definition that `postgres.create_index` does not support, so that this action could not create the index again"
    return ""


IndexName = Annotated[
    str, AfterValidator(_index), Field(description="Name of the index in SQL syntax; the default schema is `public`.")
]


def _state(session: Connection, name: Name) -> tuple[Any, ...] | None:
    return session.execute(_STATE, (name.schema, name.table)).fetchone()


class DropIndex(Fault):
    """Drop an index, as a careless migration does. Queries then still return correct results, but too slowly."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("action",)
    UNDO_ACTIONS = ("postgres.create_index",)

    service: ServiceName
    index: IndexName

    def ready(self, ctx: Context) -> None:
        """Check that the index is valid and can be created again. Raises NotReady also for an index of a partitioned table,
        and for an index that a constraint or a replica identity needs.
        """
        if self.known("index"):
            self._definition(ctx)

    def _definition(self, ctx: Context) -> str:
        """Return the definition of the index to drop.

        Raises NotReady when the index does not exist, cannot be created again, or cannot be examined.
        """
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                state = _state(session, Name.parse(self.index))
        except (psycopg.Error, HostError) as error:
            raise NotReady(
                f"{self.service} cannot be queried for {self.index}: {reason(error)}",
                hint="check address, port and accounts of the service in the inventory",
            ) from error
        if state is None:
            raise NotReady(
                f"{self.service}: there is no index {self.index}", hint="write the name in SQL syntax, with its schema"
            )
        valid, made, kind, _, _, bound, _, special = state
        why = (
            "is not valid"
            if not valid
            else "belongs to a partitioned table"
            if kind != "r"
            else ("is needed by a constraint or a replica identity" if bound else str(special) or _unmakable(str(made)))
        )
        if why:
            raise NotReady(f"{self.service}: the index {self.index} {why}", hint="choose an ordinary index")
        return str(made)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``index``: name of the index; ``table``: name of its table; ``bytes``: size of the index; ``definition``:
        SQL statement that creates the index.
        """
        name = Name.parse(self.index)
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                state = _state(session, name)
                if state is None:
                    raise StepFailed(f"{self.service}: there is no index {name}")
                session.execute("SET lock_timeout = '10s'")
                session.execute(sql.SQL("DROP INDEX {}").format(name.sql))
        except (psycopg.Error, HostError) as error:
            raise StepFailed(f"{self.service}: {name} was not dropped: {reason(error)}") from error
        return {"index": str(name), "table": f"{state[3]}.{state[4]}", "bytes": state[6], "definition": state[1]}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that creates the index again from its recorded definition. Clients can write to the table while
        the index is created.
        """
        return Undo.by_action("postgres.create_index", service=self.service, definition=self._definition(ctx))

    def active(self, ctx: Context) -> bool:
        """Return True while the index is missing or invalid."""
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            state = _state(session, Name.parse(self.index))
        return state is None or not state[0]


class CreateIndex(Write):
    """Create an index without blocking writers.

    If a valid index of that name exists already, it is kept. If an invalid index of that name exists, it is replaced.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 3600.0
    UNDO = ("nothing",)

    service: ServiceName
    definition: Annotated[
        str,
        AfterValidator(_definition),
        Field(description="Statement such as `CREATE INDEX name ON table (column)`; CONCURRENTLY is added when it is run."),
    ]

    def ready(self, ctx: Context) -> None:
        """Check that the table exists, and that the role has the right to create an index on it. Nothing is checked if a
        valid index of this name exists already.
        """
        if self.known("definition"):
            preflight.ask(ctx, ctx.service(self.service, Postgres), self._creatable)

    def _creatable(self, session: Connection) -> None:
        wanted = Definition.parse(self.definition)
        if not (state := _state(session, wanted.name)) or not state[0]:
            preflight.indexable(wanted.table)(session)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``index``: name of the index; ``already``: true when a valid index of this name existed before the step.

        ``seconds``: duration of the step.
        """
        wanted, begun = Definition.parse(self.definition), ctx.deadline.remaining()
        for attempt in range(ATTEMPTS):
            try:
                already = self._made(ctx, wanted)
                break
            except (psycopg.Error, HostError) as error:
                if attempt + 1 == ATTEMPTS or not _raced(error):
                    raise StepFailed(
                        f"{self.service}: the index {wanted.name} could not be created: {reason(error)}"
                    ) from error
            ctx.deadline.wait(AGAIN_S)
        return {"index": str(wanted.name), "already": already, "seconds": round(begun - ctx.deadline.remaining(), 3)}

    def _made(self, ctx: Context, wanted: Definition) -> bool:
        """Create the index, and return False. If a valid index of that name exists already, create nothing, and return
        True.
        """
        with connected(ctx, ctx.service(self.service, Postgres)) as session:
            state = _state(session, wanted.name)
            if state is not None and not state[0]:
                session.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(wanted.name.sql))
            if state is None or not state[0]:
                session.execute(wanted.statement().encode())
            return state is not None and bool(state[0])

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the new index is kept."""
        return Undo.nothing("the new index is kept on purpose")


def _raced(error: Exception) -> bool:
    """Return True when ``error`` shows that another session creates or drops the same index at the same time.

    That session may still run although its client has died.
    """
    if isinstance(error, psycopg.errors.UniqueViolation):  # an error in a system catalogue, not in the rows of the index
        return error.diag.schema_name == "pg_catalog"
    return isinstance(
        error, psycopg.errors.DeadlockDetected | psycopg.errors.DuplicateTable | psycopg.errors.UndefinedObject
    ) or "tuple concurrently" in str(error)


class Analyze(Write):
    """Update the planner statistics of a table."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 600.0
    UNDO = ("nothing",)

    service: ServiceName
    table: TableName

    def ready(self, ctx: Context) -> None:
        """Check that the table exists, and that the role has the right to analyze it."""
        if self.known("table"):
            preflight.ask(ctx, ctx.service(self.service, Postgres), preflight.analyzable(Name.parse(self.table)))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``table``: name of the table; ``rows``: number of its rows as estimated by the server."""
        name = Name.parse(self.table)
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                session.execute(sql.SQL("ANALYZE {}").format(name.sql))
                rows = first_row(
                    session,
                    "SELECT reltuples::bigint FROM pg_catalog.pg_class WHERE oid = %s::pg_catalog.regclass",
                    name.quoted,
                )[0]
        except (psycopg.Error, HostError) as error:
            raise StepFailed(f"{self.service}: {name} was not analyzed: {reason(error)}") from error
        return {"table": str(name), "rows": rows}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the new statistics are kept."""
        return Undo.nothing("newer statistics are kept")


class Explain(Read):
    """Get the plan of a statement without running the statement, and list the indexes and sequential scans in the plan."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER

    service: ServiceName
    query: Annotated[str, Field(min_length=1, description="SQL statement whose plan is examined.")]
    index: Annotated[IndexName | None, Field(description="Index that the plan must use.")] = None

    def ready(self, ctx: Context) -> None:
        """Check that the server can plan the statement: its tables exist, and the role has the right to use them."""
        if self.known("query"):
            preflight.ask(ctx, ctx.service(self.service, Postgres), preflight.plannable(self.query))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``indexes``: indexes that the plan uses; ``scanned``: tables that it reads by a sequential scan.

        ``cost``: estimated cost of the plan; ``plan``: evidence file with the whole plan.
        """
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                plan = explain(session, self.query)
        except (psycopg.Error, HostError) as error:
            raise StepFailed(f"{self.service}: {reason(error)}") from error
        facts: Facts = {
            "indexes": indexes_of(plan),
            "scanned": scanned_by(plan),
            "cost": plan.get("Total Cost"),
            "plan": ctx.evidence("plan.json", json.dumps(plan, indent=1)),
        }
        if self.index is not None and Name.parse(self.index).table not in facts["indexes"]:
            measured = f"indexes: {', '.join(facts['indexes']) or 'none'}; sequential scans: {', '.join(facts['scanned'])}"
            raise StepFailed(
                f"{self.service}: the plan does not use {self.index}",
                facts=facts,
                findings=[finding("expectation", title="plan", wanted=f"uses {self.index}", measured=measured)],
            )
        return facts

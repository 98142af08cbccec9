"""Checks, before a drill, that a later step can query its tables on the server. The checks change nothing, and run no
statement of the step.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack

import psycopg

from drillbook.errors import CouldNotVerify, DrillbookError, NotReady
from drillbook.sdk import login_check
from drillbook.sdk.context import Context
from drillbook.sdk.service import is_sandbox
from drillbook.systems.postgres import explain_output
from drillbook.systems.postgres.connection import Connection, connected, reason
from drillbook.systems.postgres.login_check import refusal
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import Name

_LIMITS = "SET default_transaction_read_only = on; SET lock_timeout = '2s'; SET statement_timeout = '5s'"
_PLANNED = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/|\()*(?:SELECT|WITH|VALUES|TABLE|INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE
)
"""Beginning of a statement that EXPLAIN accepts."""
_TABLE = """
SELECT c.relkind IN ('r', 'm'), pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       pg_catalog.has_schema_privilege(c.relnamespace, 'CREATE'),
       pg_catalog.pg_has_role((SELECT d.datdba FROM pg_catalog.pg_database d WHERE d.datname = current_database()), 'USAGE')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'm', 'p', 'f')
"""
_MAINTAIN = "SELECT pg_catalog.has_table_privilege(%s::pg_catalog.regclass, 'MAINTAIN')"
_RIGHT = "log in with another role in the inventory, or grant the right"


def ask(
    ctx: Context,
    service: Postgres,
    question: Callable[[Connection], None],
    *,
    database: str | None = None,
    as_user: bool = False,
) -> None:
    """Open a read-only session at the server of ``service``, and call the check ``question`` with it. ``question`` raises
    NotReady when its check fails.

    A sandbox does not exist before the drill, so ``question`` is not called for it. The drill itself may start the server,
    so ``question`` is not called when no server answers. A login that the server refuses is recorded as not verified.
    """
    if is_sandbox(service) or (login := (service.name, database or "", as_user)) in ctx.unanswered:
        return
    with ExitStack() as stack:
        try:
            session = stack.enter_context(connected(ctx, service, database=database, as_user=as_user))
            session.execute(_LIMITS)
        except (psycopg.Error, DrillbookError, OSError) as error:
            ctx.unanswered.add(login)
            if said := login_check.told(ctx, service.name, refusal(error)):
                ctx.unsure(said)
            return
        try:
            question(session)
        except NotReady as lacking:
            ctx.lacking(lacking)
        except CouldNotVerify as error:
            ctx.lacking(NotReady(f"{service.name}: {error.message.removeprefix(f'{service.name} ')}", hint=error.hint))
        except psycopg.ProgrammingError as error:
            ctx.lacking(
                NotReady(
                    f"{service.name}: the step could not query its tables: {reason(error)}",
                    hint=f"correct the names in the step, or {_RIGHT}",
                )
            )
        except psycopg.Error as error:
            ctx.unsure(f"that {service.name} has everything that the step needs: {reason(error)}")


def plannable(query: str) -> Callable[[Connection], None]:
    """Return a function that gets the plan of ``query`` from the server. The function raises psycopg.Error when a table in
    ``query`` does not exist, or when the role has no right to read or write this table.

    For a statement that has no plan, such as SHOW, the function does nothing.
    """

    def question(session: Connection) -> None:
        if _PLANNED.match(query):
            explain_output.explain(session, query)

    return question


def indexable(name: Name) -> Callable[[Connection], None]:
    """Return a function that checks a right: the role of its session must have the right to create an index on the table
    ``name``. The function raises NotReady when the right is missing.
    """

    def question(session: Connection) -> None:
        ordinary, owned, creates, _ = _found(session, name)
        if not ordinary:
            raise NotReady(
                f"the table {name} is partitioned or foreign, so that no index can be created without blocking writers",
                hint="choose an ordinary table",
            )
        if not (owned and creates):
            raise NotReady(
                f"the role {session.info.user} may not create an index on {name}: it must own the table, and have the right "
                "CREATE on its schema",
                hint=_RIGHT,
            )

    return question


def analyzable(name: Name) -> Callable[[Connection], None]:
    """Return a function that checks a right: the role of its session must have the right to analyze the table ``name``. The
    function raises NotReady when the right is missing.

    Without this right, ANALYZE only warns, and updates no statistics.
    """

    def question(session: Connection) -> None:
        _, owned, _, of_database = _found(session, name)
        may = owned or of_database
        if not may and session.info.server_version >= 170000:
            row = session.execute(_MAINTAIN, (name.quoted,)).fetchone()
            may = bool(row and row[0])
        if not may:
            raise NotReady(
                f"the role {session.info.user} may not analyze {name}, because it owns neither the table nor the database",
                hint=_RIGHT,
            )

    return question


def _found(session: Connection, name: Name) -> tuple[bool, ...]:
    row = session.execute(_TABLE, (name.schema, name.table)).fetchone()
    if row is None:
        raise NotReady(f"there is no table {name}", hint="write the name in SQL syntax, with its schema")
    return row

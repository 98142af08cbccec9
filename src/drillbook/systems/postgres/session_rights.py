"""Finds out if a role has the rights to see and to end the sessions of other roles.

A role with the privileges of another role has the right to end the sessions of that role. With the privileges of
`pg_signal_backend`, it also has the right to end the sessions of every role that is not a superuser. The view pg_stat_activity
hides the type and the state of other roles' sessions from a role without the privileges of `pg_read_all_stats`. Source:
PostgreSQL's documentation, "Predefined Roles" and "The Cumulative Statistics System".
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg import sql

from drillbook.errors import NotReady
from drillbook.sdk.context import Context
from drillbook.systems.postgres.connection import Connection, first_row
from drillbook.systems.postgres.service import Postgres

_OWN = """
SELECT rolname, rolsuper, pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
       pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
# The names of applications are visible to every role.
_OTHERS = """
SELECT r.rolname, r.rolsuper, pg_catalog.pg_has_role(r.oid, 'USAGE'), pg_catalog.count(*)
FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = %(database)s AND a.pid <> pg_catalog.pg_backend_pid()
  AND (a.backend_type IS NULL OR a.backend_type = 'client backend')
  AND (%(application)s::text IS NULL OR a.application_name = %(application)s)
  AND (%(seconds)s::float IS NULL OR a.backend_type IS NULL OR (a.state LIKE 'idle in transaction%%'
       AND pg_catalog.clock_timestamp() - a.state_change > pg_catalog.make_interval(secs => %(seconds)s)))
GROUP BY 1, 2, 3 ORDER BY 1
"""


class Own(NamedTuple):
    """Rights of the role with which a session has logged in. ``sees``: true if the role sees the sessions of all roles.
    ``ends``: true if it has the right to end the sessions of all roles that are not superusers.
    """

    name: str
    superuser: bool
    sees: bool
    ends: bool

    def grant(self, *, see: bool, end: bool) -> str:
        """Return the SQL statement that gives this role the right to see sessions (``see``), to end sessions (``end``), or
        both. Return an empty text when the role has these rights already.
        """
        rights = ["pg_read_all_stats"] * (see and not self.sees) + ["pg_signal_backend"] * (end and not self.ends)
        return f"GRANT {', '.join(rights)} TO {sql.Identifier(self.name).as_string(None)}" if rights else ""


class Role(NamedTuple):
    """Role that has open sessions. ``usable``: true if the role of the step has the privileges of this role. ``sessions``:
    number of the open sessions.
    """

    name: str
    superuser: bool
    usable: bool
    sessions: int

    def seen_by(self, mine: Own) -> bool:
        """Return True when the role ``mine`` has the right to see the state of the sessions of the role ``self``."""
        return mine.sees or self.usable


def own(session: Connection) -> Own:
    """Return the rights of the role of ``session``. Raises psycopg.Error."""
    return Own(*first_row(session, _OWN))


def others(session: Connection, database: str, application: str | None, seconds: float | None) -> list[Role]:
    """Return the roles that have sessions in ``database``, with the number of their sessions. The session ``session``
    itself is not counted. Raises psycopg.Error.

    ``application``: count only the sessions with this name. ``seconds``: count only the sessions that have been idle in a
    transaction for more than this number of seconds. A session with a hidden state is also counted, because it may be idle.
    """
    values = {"database": database, "application": application, "seconds": seconds}
    return [Role(*row) for row in session.execute(_OTHERS, values).fetchall()]


def need_view(ctx: Context, session: Connection, service: Postgres) -> None:
    """Check if the role of ``session`` has the right to see the sessions of other roles. If the right is missing, `drill.check`
    tells that these sessions were not verified. A run tells nothing.
    """
    mine = own(session)
    if not mine.sees:
        ctx.unsure(
            f"{service.name}: the sessions of other roles, which the role {mine.name} may not see. To see them, it needs: "
            f"{mine.grant(see=True, end=False)}"
        )


def need_end(mine: Own, service: Postgres, roles: list[Role]) -> None:
    """Raise NotReady when the role ``mine`` has no right to see or to end the sessions of a role in ``roles``."""
    for role in roles:
        end = mine.superuser or (not role.superuser and (mine.ends or role.usable))
        if end and role.seen_by(mine):
            continue
        hint = f"as a superuser, run: {mine.grant(see=not role.usable, end=not role.usable)}"
        if role.superuser and not mine.superuser:
            hint = "log in as a superuser (`admin` of the service): nobody else may end the sessions of a superuser"
        raise NotReady(
            f"{service.name}: the role {mine.name} may not {'see' if end else 'end'} the sessions of the role {role.name} "
            f"({role.sessions})",
            hint=hint,
        )

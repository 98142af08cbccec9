"""Action `postgres.terminate`: end chosen sessions of a PostgreSQL server."""

from __future__ import annotations

from typing import Annotated, Self

import psycopg
from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.systems.postgres import preflight, session_rights
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import Connection, connected, reason
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Duration

_MATCHING = """
SELECT pid, coalesce(state, ''), application_name FROM pg_catalog.pg_stat_activity
WHERE datname = %(database)s AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
  AND (%(application)s::text IS NULL OR application_name = %(application)s)
  AND (%(seconds)s::float IS NULL OR (state LIKE 'idle in transaction%%'
       AND pg_catalog.clock_timestamp() - state_change > pg_catalog.make_interval(secs => %(seconds)s)))
ORDER BY pid
"""


class Terminate(Write):
    """Terminate the sessions of one application, or the sessions that have been idle in a transaction for too long."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName
    application: Annotated[
        str | None, Field(min_length=1, description="Exact `application_name` of the sessions to terminate.")
    ] = None
    idle_longer_than: Annotated[
        Duration | None,
        Field(gt=0, description="Terminate only sessions that have been idle in an open transaction for longer than this."),
    ] = None

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if self.application is None and self.idle_longer_than is None:
            raise ValueError("choose the sessions by `application`, `idle_longer_than`, or both")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``terminated``: number of terminated sessions; ``pids``: process IDs of at most 100 of these sessions;
        ``applications``: names of at most 20 applications that had opened them. The step succeeds even when no session
        matches."""
        service = ctx.service(self.service, Postgres)
        try:
            with connected(ctx, service) as session:
                self._need_view(session, service)
                matching = self._matching(session, service)
                for pid, _, _ in matching:
                    session.execute("SELECT pg_catalog.pg_terminate_backend(%s)", (pid,))
                while left := {row[0] for row in self._matching(session, service)} & {row[0] for row in matching}:
                    if ctx.deadline.remaining() < 0.3:
                        raise StepFailed(
                            f"{self.service}: {len(left)} sessions were not terminated",
                            findings=[
                                finding(
                                    "expectation",
                                    title="sessions",
                                    wanted="no session remaining",
                                    measured=f"{len(left)} sessions remaining",
                                )
                            ],
                        )
                    ctx.deadline.wait(0.1)
        except (psycopg.Error, HostError) as error:
            raise StepFailed(f"{self.service}: the sessions could not be terminated: {reason(error)}") from error
        return {
            "terminated": len(matching),
            "pids": [row[0] for row in matching][:100],
            "applications": sorted({row[2] for row in matching})[:20],
        }

    def ready(self, ctx: Context) -> None:
        """Check that the step's role has the right to see and to end the sessions of other roles. The check covers the
        sessions that the step would end at this moment.
        """
        service = ctx.service(self.service, Postgres)
        preflight.ask(ctx, service, lambda session: self._need_rights(ctx, session, service))

    def _need_rights(self, ctx: Context, session: Connection, service: Postgres) -> None:
        mine, roles = session_rights.own(session), []
        if self.known("application") and self.known("idle_longer_than"):
            roles = self._roles(session, service)
        if self.if_known("application") is None:
            roles = [role for role in roles if role.seen_by(mine)]
        session_rights.need_end(mine, service, roles)
        grant = mine.grant(see=True, end=True)
        if grant and not (roles and self.if_known("application")):
            ctx.unsure(
                f"{service.name}: that the role {mine.name} may end the sessions which the step will find. To end "
                f"sessions of other roles, it needs: {grant}"
            )

    def _need_view(self, session: Connection, service: Postgres) -> None:
        """Raise CouldNotVerify when the step's role lacks the right to see one of the application's sessions."""
        if self.application is None:
            return
        mine = session_rights.own(session)
        for role in self._roles(session, service):
            if not role.seen_by(mine):
                raise CouldNotVerify(
                    f"{service.name}: the role {mine.name} may not see the {role.sessions} sessions of the role {role.name} that "
                    f"{self.application} opened",
                    hint=f"as a superuser, run: {mine.grant(see=True, end=True)}",
                )

    def _roles(self, session: Connection, service: Postgres) -> list[session_rights.Role]:
        return session_rights.others(session, service.database, self.application, self._seconds())

    def _seconds(self) -> float | None:
        return None if self.idle_longer_than is None else float(self.idle_longer_than)

    def _matching(self, session: Connection, service: Postgres) -> list[tuple[int, str, str]]:
        values = {
            "database": service.database,
            "application": self.application,
            "seconds": self._seconds(),
        }
        return [(int(pid), str(state), str(name)) for pid, state, name in session.execute(_MATCHING, values).fetchall()]

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the clients reconnect by themselves."""
        return Undo.nothing("a terminated session cannot be restored; its client must reconnect")

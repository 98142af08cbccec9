"""Statements of the actions `postgres.*`, as a person sends them with psql. psql asks for the password, unless the
superuser logs in by peer authentication."""

from __future__ import annotations

import shlex

from drillbook.sdk.by_hand import Commands, ManualStep
from drillbook.systems.postgres.service import Postgres


def _psql(step: ManualStep, statement: str, *, admin: bool, database: str = "") -> tuple[str, ...]:
    service = step.service
    if not isinstance(service, Postgres):
        return ()
    user = service.admin.user if admin else service.user
    peer = service.admin.socket if admin and not step.copied else ""
    words = [
        *(["sudo", "-u", service.run_as] if peer and service.run_as else []),
        "psql",
        f"--host={peer or step.address}",
        f"--port={5432 if step.copied else service.port}",
        f"--username={user}",
        f"--dbname={database or service.database}",
        f"--command={statement}",
    ]
    return (shlex.join(words),)


def _sql(step: ManualStep) -> tuple[str, ...]:
    query = str(step.params.get("query", "")).strip()
    database = str(step.params.get("database") or "")
    return _psql(step, query, admin=step.params.get("as") == "admin", database=database)


def _healthy(step: ManualStep) -> tuple[str, ...]:
    return _psql(step, "SELECT pg_is_in_recovery(), version()", admin=True)


BY_HAND: dict[str, Commands] = {"postgres.sql": _sql, "postgres.healthy": _healthy}

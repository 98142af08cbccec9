"""Tries a login before a drill, as a later step will use it. Nothing is changed."""

from __future__ import annotations

import re
from contextlib import suppress

import psycopg

from drillbook.errors import DrillbookError
from drillbook.sdk.context import Context
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.service import Postgres

_REFUSED = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|not permitted to log in|permission denied for database|"
    r"(role|database) \S+ does not exist"
)


def refused(ctx: Context, service: Postgres, *, database: str | None = None, as_user: bool = False) -> str:
    """Return the message of a server that refuses the login. Empty if the login works, for any other error, and also if
    the server does not answer, because the drill may start it."""
    with suppress(DrillbookError, OSError):
        try:
            with connected(ctx, service, database=database, as_user=as_user):
                return ""
        except psycopg.Error as error:
            return refusal(error)
    return ""


def refusal(error: Exception) -> str:
    """Return the message of a server that refuses a login, and an empty text for any other error."""
    said = " ".join(str(error).split())
    return said if isinstance(error, psycopg.Error) and _REFUSED.search(said) else ""

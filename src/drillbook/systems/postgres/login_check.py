"""Tests the logins of a drill before the drill begins. The server must accept each login that a step will use. The test
changes nothing on the server.
"""

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
    """Try the login. Return the message of the server if it refuses the login. Return an empty text if the login works, if
    another error occurs, or if no server answers: the drill itself may start the server later.
    """
    with suppress(DrillbookError, OSError):
        try:
            with connected(ctx, service, database=database, as_user=as_user):
                return ""
        except psycopg.Error as error:
            return refusal(error)
    return ""


def refusal(error: Exception) -> str:
    """Return the message of ``error`` if it says that the server refused a login. Return an empty text for any other error."""
    said = " ".join(str(error).split())
    return said if isinstance(error, psycopg.Error) and _REFUSED.search(said) else ""

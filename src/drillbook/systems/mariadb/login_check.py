"""Tries a login before a drill, as a later step will use it. Nothing is changed."""

from __future__ import annotations

import re
from contextlib import suppress

from drillbook.errors import DrillbookError
from drillbook.sdk.context import Context
from drillbook.systems.mariadb.client import SqlError, connected
from drillbook.systems.mariadb.service import Mariadb

_REFUSED = re.compile(r"ERROR (1044|1045|1049|1130|1698|4151) ")
"""Errors of a server that denies the access of an account, from a host, or to a database, or that lacks the database."""


def refused(ctx: Context, service: Mariadb, *, database: str | None = None, as_user: bool = False) -> str:
    """Return the message of a server that refuses the login. Empty if the login works, for any other error, and also if
    the server does not answer, because the drill may start it."""
    del as_user
    with suppress(DrillbookError, OSError):
        try:
            with connected(ctx, service) as client:
                client.rows("SELECT 1 AS one", service.database if database is None else database)
        except SqlError as error:
            said = " ".join(str(error).split())
            return said if _REFUSED.search(said) else ""
    return ""

"""Tests before a drill if the server accepts the login that a later step will use. The test changes nothing on the server."""

from __future__ import annotations

import re
from contextlib import suppress

from drillbook.errors import DrillbookError
from drillbook.sdk.context import Context
from drillbook.systems.mariadb.client import SqlError, connected
from drillbook.systems.mariadb.service import Mariadb

_REFUSED = re.compile(r"ERROR (1044|1045|1049|1130|1698|4151) ")
"""Pattern of the error messages for a refused login. The server sends them when it refuses an account, the host of the
account or the access to a database, and when a database does not exist.
"""


def refused(ctx: Context, service: Mariadb, *, database: str | None = None, as_user: bool = False) -> str:
    """Try the login. Return the message of the server if it refuses the login. Return an empty text if the login works, if
    another error occurs, or if no server answers: the drill itself may start the server later.
    """
    del as_user
    with suppress(DrillbookError, OSError):
        try:
            with connected(ctx, service) as client:
                client.rows("SELECT 1 AS one", service.database if database is None else database)
        except SqlError as error:
            said = " ".join(str(error).split())
            return said if _REFUSED.search(said) else ""
    return ""

"""Tries a login before a drill, as a later step will use it. Nothing is changed."""

from __future__ import annotations

import re
from contextlib import suppress

from drillbook.errors import CouldNotVerify, DrillbookError
from drillbook.sdk.context import Context
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.service import Redis

_REFUSED = re.compile(
    r"WRONGPASS|NOAUTH|NOPERM|invalid username|invalid password|[Aa]uthentication required|without any password"
)


def refused(ctx: Context, service: Redis, *, database: str | None = None, as_user: bool = False) -> str:
    """Return the message of a server that refuses the login. Empty if the login works, for any other error, and also if
    the server does not answer, because the drill may start it."""
    del database, as_user
    with suppress(DrillbookError, OSError):
        try:
            with connected(ctx, service) as session:
                session.ask("PING")
        except CouldNotVerify as error:
            return refusal(error)
    return ""


def refusal(error: Exception) -> str:
    """Return the message of a server that refuses a login, and an empty text for any other error."""
    return error.message if isinstance(error, CouldNotVerify) and _REFUSED.search(error.message) else ""

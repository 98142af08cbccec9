"""Tests, before a drill, whether the server accepts the login that a later step will use. The test changes nothing."""

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
    """Try the login. Return the message of the server if it refuses the login. Return an empty text if the login works, if
    another error occurs, or if no server answers: the drill itself may start the server later.
    """
    del database, as_user
    with suppress(DrillbookError, OSError):
        try:
            with connected(ctx, service) as session:
                session.ask("PING")
        except CouldNotVerify as error:
            return refusal(error)
    return ""


def refusal(error: Exception) -> str:
    """Return the message of ``error`` if it is the server's answer to a login that it refused. Return an empty text for any
    other error.
    """
    return error.message if isinstance(error, CouldNotVerify) and _REFUSED.search(error.message) else ""

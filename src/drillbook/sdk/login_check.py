"""Tries, before a drill, the logins that its steps will use. Nothing is changed.

The field ``logins`` of a system names, for each kind of service with a login, the module that tries this login.
"""

from __future__ import annotations

from typing import Protocol

from drillbook.sdk import discovery
from drillbook.sdk.context import Context
from drillbook.sdk.service import Service

ABSENT = ("does not exist", "Unknown database")
"""Parts of the message of a server that refuses a login because a role or a database is absent."""


class LoginCheck(Protocol):
    """Type of the functions with the name ``refused``. Each of them tries the login to one kind of service."""

    def __call__(self, ctx: Context, service: Service, *, database: str | None = None, as_user: bool = False) -> str:
        """Log in to a service of one kind. Return the server's message if it refuses the login. The arguments and the result
        are those of the function ``refused`` in the present module.
        """


def refused(ctx: Context, service: Service, *, database: str | None = None, as_user: bool = False) -> str:
    """Log in as a step would, and return the server's message if it refuses the login. Nothing is changed.

    The result is empty if the login works, or if the server does not answer. It is also empty for a kind of service without
    logins. ``database``: another database than that of the service. ``as_user``: True for the role of the application if the
    service also has an administrator.
    """
    for system in discovery.systems():
        if module := system.modules("logins").get(discovery.kind_default(type(service))):
            check: LoginCheck = discovery.imported(module).refused
            return check(ctx, service, database=database, as_user=as_user)
    return ""


def told(ctx: Context, service: str, said: str) -> str:
    """Return the text that reports a refused login at ``service``. ``said``: message with which the server refused the login,
    or an empty text if the server refused nothing.

    The text is empty if nothing was refused. It is also empty if the server refused the login because a role or database is
    absent, and an earlier step of the drill may create this role or database.
    """
    late = ctx.changed and any(word in said for word in ABSENT)
    return f"the login at {service}: {said}" if said and not late else ""

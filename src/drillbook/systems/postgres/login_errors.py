"""Explains why a login at a PostgreSQL server failed. The explanation names the server's own address, and the field of the
inventory to correct.

The messages of libpq name the address to which it connected. For a service with `reach: ssh`, this is a port of the tunnel
on the controller, and not the server's address.
"""

from __future__ import annotations

import re
from pathlib import PurePath

import psycopg

from drillbook.sdk.host import printable
from drillbook.systems.postgres.service import Postgres

_CONNECTION = re.compile(
    r"^(connection failed: )?(connection to server (at|on) .*? failed: |connection is bad: )?(FATAL: +)?"
)
_NAMES = ("resolve", "name or service")
_ELSEWHERE = (
    "timeout",
    "timed out",
    "no route",
    "unreachable",
    "server closed the connection",
    "connection refused",
    "no such file",
    "received invalid response",
    "nothing answered",
)


def explained(error: psycopg.OperationalError, service: Postgres, *, as_user: bool) -> psycopg.OperationalError:
    """Return an error of one line. The line consists of the server's address, the message of ``error``, and the field of
    ``service`` that may be wrong.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = _CONNECTION.sub("", printable(lines[0], limit=400)).strip()
    if "server closed the connection" in said and service.reach == "ssh":
        said = "nothing answered at this address, or the server closed the connection"
    where = place(service, as_user=as_user)
    field = _field(said.lower(), service, as_user=as_user)
    return psycopg.OperationalError(f"{where}: {said}" + (f"; check {field}" if field else ""))


def place(service: Postgres, *, as_user: bool) -> str:
    """Return a text with the address or socket at which the login was tried, as it is written in the inventory."""
    if service.admin.socket and not as_user:
        return f"the server on {service.host} with its socket in the folder {service.admin.socket}"
    if service.socket:
        return f"the server at {service.socket} of {service.host}"
    name = f"the server at {service.address}:{service.port}"
    return f"{name}, as seen from {service.host}" if service.reach == "ssh" else name


def _field(said: str, service: Postgres, *, as_user: bool) -> str:
    """Return the fields of the inventory that may have caused the message ``said``, each with its file and line. Return an
    empty text when the cause is unknown.
    """
    user = service.setting("user" if as_user else "admin")
    fields = (
        (("authentication failed", "no password"), f"{user} and {_password(service, as_user=as_user)}"),
        (("database .* does not exist",), service.setting("database")),
        (("role .* does not exist",), user),
        (_NAMES, service.setting("address")),
        (_ELSEWHERE, f"{service.setting('address')} and {service.setting('port')}"),
    )
    return next((field for words, field in fields if any(re.search(word, said) for word in words)), "")


def _password(service: Postgres, *, as_user: bool) -> str:
    """Return the place of the password in the inventory."""
    secret = service.password if as_user else service.admin.password
    name = f"`services.{service.name}.{'password' if as_user else 'admin.password'}`"
    file, _, line = (secret.where if secret else "").rpartition(":")
    return f"{name} ({'/'.join(PurePath(file).parts[-2:])}:{line})" if file else name

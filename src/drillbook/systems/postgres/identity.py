"""Identity of a database: host and port of its server, its cluster's system identifier, and its name in the cluster.

``initdb`` creates the system identifier: a restored dump has a new one, a recovered base backup keeps the old one.
"""

from __future__ import annotations

import psycopg

from drillbook.errors import CouldNotVerify, HostError
from drillbook.sdk.action import Context
from drillbook.sdk.identity import ANY, Identity, place_of
from drillbook.systems.postgres.connection import connected, one, reason
from drillbook.systems.postgres.service import Postgres

_SYSTEM = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


def measured(ctx: Context, name: str, *, whole: bool = False) -> Identity:
    """Query the server for the identity of the database of the service ``name``, or of the ``whole`` cluster.

    Raises CouldNotVerify.
    """
    service = ctx.service(name, Postgres)
    try:
        with connected(ctx, service, database="postgres") as session:
            system = str(one(session, _SYSTEM)[0])
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(
            f"{name} cannot be queried for the identity of its cluster: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error
    return of(ctx, name, system, ANY if whole else service.database)


def of(ctx: Context, service: str, system: str, database: str = ANY) -> Identity:
    """Return the identity of ``database`` in the cluster with system identifier ``system`` of the service ``service``."""
    at = place_of(ctx.services, ctx.hosts, service)
    return Identity(kind="postgres", of={"at": at, "system": system, "database": database})

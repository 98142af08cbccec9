"""Identity of a database: host and port of its server, system identifier of its cluster, and its name in the cluster.

``initdb`` creates the system identifier of a cluster. A restored dump is therefore in a cluster with a new identifier, but
a recovered base backup keeps the old identifier.
"""

from __future__ import annotations

import psycopg

from drillbook.errors import CouldNotVerify, HostError
from drillbook.sdk.action import Context
from drillbook.sdk.identity import ANY, Identity, place_of
from drillbook.systems.postgres.connection import connected, first_row, reason
from drillbook.systems.postgres.service import Postgres

_SYSTEM = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


def measured(ctx: Context, name: str, *, whole: bool = False) -> Identity:
    """Query the server of the service ``name`` for the identity of its database.

    When ``whole`` is true, return the identity of the whole cluster instead. Raises CouldNotVerify when the server
    cannot be queried.
    """
    service = ctx.service(name, Postgres)
    try:
        with connected(ctx, service, database="postgres") as session:
            system = str(first_row(session, _SYSTEM)[0])
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(
            f"{name} cannot be queried for the identity of its cluster: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error
    return of(ctx, name, system, ANY if whole else service.database)


def of(ctx: Context, service: str, system: str, database: str = ANY) -> Identity:
    """Return the identity of ``database`` in the cluster of ``service``. ``system`` is the cluster's system identifier."""
    at = place_of(ctx.services, ctx.hosts, service)
    return Identity(kind="postgres", of={"at": at, "system": system, "database": database})

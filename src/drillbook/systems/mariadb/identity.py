"""Identity of the data of a service: the host and the address of its server, the server's data directory, and the name of
the database.
"""

from __future__ import annotations

from drillbook.sdk.action import Context
from drillbook.sdk.identity import ANY, Identity, place_of
from drillbook.systems.mariadb.client import connected, verifying
from drillbook.systems.mariadb.service import Mariadb


def measured(ctx: Context, name: str) -> Identity:
    """Measure the identity of the data of the service ``name``. Raises CouldNotVerify when the server cannot be read."""
    service = ctx.service(name, Mariadb)
    with connected(ctx, service) as client, verifying(service):
        (row,) = client.rows("SELECT @@datadir AS directory, @@hostname AS machine")
    at = place_of(ctx.services, ctx.hosts, name)
    of = {"at": at, "server": f"{row['machine']}:{row['directory']}", "database": service.database or ANY}
    return Identity(kind="mariadb", of=of)

"""Rights and settings of a server that physical backups and WAL receivers need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from drillbook.errors import HostError, NotReady
from drillbook.sdk.action import Context
from drillbook.systems.postgres import basebackup
from drillbook.systems.postgres.connection import Connection, connected, first_row, reason
from drillbook.systems.postgres.service import Postgres


@contextmanager
def reached(ctx: Context, service: Postgres) -> Iterator[Connection]:
    """Yield a session of the superuser, for checks before a run. Raises NotReady when the server cannot be reached, or when a
    query fails.
    """
    try:
        with connected(ctx, service) as session:
            yield session
    except (psycopg.Error, HostError) as error:
        raise NotReady(
            f"{service.name} cannot be reached as {service.admin.user}: {reason(error)}",
            hint="check address, port and `admin` of the service in the inventory",
        ) from error


def need_rights(ctx: Context, service: Postgres) -> tuple[int, int]:
    """Return the server's major version and the size of all its databases in bytes.

    Raises NotReady in four cases: the server cannot be reached, some data is outside the data directory, the superuser has no
    right to replicate, or wal_level or max_wal_senders does not permit a base backup.
    """
    with reached(ctx, service) as session:
        elsewhere = basebackup.other_tablespaces(session)
        allowed, level, senders, version, size = first_row(session, _REPLICATION)
    if elsewhere:
        raise NotReady(
            f"{service.name} has tablespaces outside its data directory: {', '.join(elsewhere)}",
            hint="use postgres.dump, because Drillbook's base backup covers only the data directory",
        )
    if not allowed or level == "minimal" or senders < 3:
        raise NotReady(
            f"{service.name} cannot be backed up physically: {service.admin.user} "
            f"{'has the' if allowed else 'has no'} right to replicate, wal_level is {level}, max_wal_senders is {senders}",
            hint="give the role the attribute REPLICATION, set wal_level to replica or logical, and max_wal_senders to 3 or more",
        )
    return int(version) // 10000, int(size)


_REPLICATION = """
SELECT r.rolreplication OR r.rolsuper, pg_catalog.current_setting('wal_level'),
       pg_catalog.current_setting('max_wal_senders')::int, pg_catalog.current_setting('server_version_num')::int,
       (SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid)) FROM pg_catalog.pg_database)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


def need_slot(session: Connection) -> None:
    """Raise NotReady when the server of ``session`` has no free replication slot."""
    most, used = first_row(session, _SLOTS)
    if used >= most:
        raise NotReady(
            f"the server has no free replication slot to keep WAL until it is received: max_replication_slots is {most}, and "
            f"{used} are used",
            hint="increase max_replication_slots, or drop a replication slot that nothing uses",
        )


_SLOTS = """
SELECT pg_catalog.current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_catalog.pg_replication_slots)
"""

"""Action `capacity.collect`, which measures the present size of a service and its free disk space."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
from psycopg import sql
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.service import S3, Service
from drillbook.sdk.store import Store
from drillbook.systems.linux.process_selection import as_root
from drillbook.systems.postgres.connection import connected, first_row, reason
from drillbook.systems.postgres.service import Postgres

MOST_TABLES = 50
_TABLES = """
SELECT n.nspname, c.relname, pg_catalog.pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 3 DESC, 1, 2
"""


class Collect(Read):
    """Measure the size of a PostgreSQL database or of an S3 bucket, so that the reports of later runs can show its growth.

    From the third run on, the report shows three estimates, each with its 95 % interval: the growth per day, the day on
    which the disk will be full, and the day from which a restore will take longer than the RTO.
    """

    TIMEOUT = 300.0

    service: Annotated[str, Field(description="Service to measure, of kind postgres or s3.")]
    count: Annotated[
        bool,
        Field(
            description="`true`: count the rows of the 50 largest tables; `false`: use the server's estimates of these numbers."
        ),
    ] = True

    def ready(self, ctx: Context) -> None:
        """Check that the kind of service can be measured."""
        if not isinstance(ctx.services.get(self.service), Postgres | S3):
            raise NotReady(
                f"{self.service!r} is not a service of kind postgres or s3", hint="choose a service of one of these kinds"
            )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``service``, ``bytes``, ``items``, ``unit`` (``rows`` or ``objects``), ``average_bytes``, ``exact``.

        ``items`` is the number of rows or objects; ``unit`` tells which. ``exact`` is true when this number was counted, and
        false when it was estimated. Also ``free_bytes`` and ``filesystem_bytes`` (free and total size of the data
        directory's file system, null when unknown), and ``tables``.
        """
        service = ctx.service(self.service, Service)
        if isinstance(service, S3):
            return {"service": self.service, **_bucket(service), "free_bytes": None, "filesystem_bytes": None}
        if not isinstance(service, Postgres):
            raise CouldNotVerify(f"the size of {self.service!r} cannot be measured: it is not of kind postgres or s3")
        return {"service": self.service, **_database(ctx, service, exact=self.count), **_room(ctx, service.data_directory)}


def _bucket(service: S3) -> Facts:
    sizes = Store(service).sizes("")
    return {**_sizes(sum(sizes.values()), len(sizes), "objects"), "exact": True, "tables": []}


def _database(ctx: Context, service: Postgres, *, exact: bool) -> Facts:
    try:
        with connected(ctx, service) as session:
            total = int(first_row(session, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")[0])
            sizes = session.execute(_TABLES).fetchall()
            tables: list[dict[str, Any]] = []
            for number, (schema, table, size, estimate) in enumerate(sizes):
                counted = exact and number < MOST_TABLES
                query = sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {}").format(sql.Identifier(schema, table))
                rows = int(first_row(session, query)[0]) if counted else int(estimate)
                tables.append(
                    {
                        "table": f"{schema}.{table}",
                        "rows": rows,
                        "bytes": int(size),
                        "exact": counted,
                        "average_bytes": round(size / rows, 1) if rows else None,
                    }
                )
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(f"the size of {service.name} could not be queried: {reason(error)}") from error
    return {
        **_sizes(total, sum(row["rows"] for row in tables), "rows"),
        "exact": all(row["exact"] for row in tables),
        "tables": tables[:MOST_TABLES],
    }


def _sizes(size: int, items: int, unit: str) -> Facts:
    return {"bytes": size, "items": items, "unit": unit, "average_bytes": round(size / items, 1) if items else None}


def _room(ctx: Context, folder: str) -> Facts:
    """Return the free and the total bytes of the file system of ``folder``, as POSIX `df` reports them. Return None for both
    when `df` does not report them.
    """
    output = ctx.run(*as_root(ctx), "df", "-Pk", "--", folder)
    words = output.text.splitlines()[-1].split() if output.ok and output.text else []
    if len(words) < 6 or not (words[1].isdigit() and words[3].isdigit()):
        return {"free_bytes": None, "filesystem_bytes": None}
    return {"free_bytes": int(words[3]) * 1024, "filesystem_bytes": int(words[1]) * 1024}

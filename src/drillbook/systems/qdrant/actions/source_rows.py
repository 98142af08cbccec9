"""Source rows of a collection in a database. This module reads the ids, vectors and payloads of the rows, and compares the
ids with those in the collection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from drillbook.errors import CouldNotVerify, HostError, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt
from drillbook.systems.postgres.connection import connected, reason
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.qdrant.client import Session
from drillbook.systems.qdrant.points import Id, Point, id_of


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between a database and a collection. ``missing`` holds the ids that the collection lacks, and ``strays``
    the ids of points without a database row.

    ``wanted`` holds all ids in the database, and ``present`` all ids in the collection.
    """

    wanted: set[Id]
    present: set[Id]
    missing: set[Id]
    strays: set[Id]


def difference(ctx: Context, session: Session, database: str, query: str) -> Difference:
    """Compare the ids in the database with those in the collection. Raises CouldNotVerify when the database or the
    collection cannot be read.

    The collection is read first, and missing points are looked up a second time. So a row that is written and indexed during
    the comparison does not count as a difference.
    """
    present = session.ids()
    wanted = ids(ctx, database, query)
    missing = wanted - present
    missing -= session.present(missing)
    return Difference(wanted, present, missing, present - wanted)


def ids(ctx: Context, database: str, query: str) -> set[Id]:
    """Return the ids that ``query`` selects. Raises CouldNotVerify when the query fails, or selects no id."""
    selected: set[Id] = set()
    for row in _rows(ctx, database, query, columns=1):
        try:
            selected.add(id_of(row[0]))
        except ValueError as error:
            raise CouldNotVerify(f"the query on {database} returned values that are not ids: {error}") from error
    if not selected:
        raise CouldNotVerify(
            f"the query on {database} returned no id, so there is nothing to compare",
            hint="run the query by hand as the application's role to see its result",
        )
    return selected


def points(ctx: Context, database: str, query: str, wanted: set[Id]) -> Iterator[Point]:
    """Yield those points that ``query`` selects and whose ids are in ``wanted``.

    The columns of the query must be id, vector (an array, or the text of pgvector's type) and payload (json). Raises
    CouldNotVerify when the query fails, or returns a row that is not a point.
    """
    for number, vector, payload in _rows(ctx, database, query, columns=3):
        try:
            point_id = id_of(number)
            if point_id in wanted:
                yield Point(point_id, _vector(vector), _payload(payload))
        except (ValueError, TypeError) as error:
            raise CouldNotVerify(
                f"`source` on {database} returned a row that is not a point: {error}",
                hint=("the columns must be id, vector (an array of numbers) and payload (json)"),
            ) from error


def _vector(value: Any) -> list[float]:
    numbers = json.loads(value) if isinstance(value, str) else value
    if not isinstance(numbers, list) or not numbers:
        raise ValueError(f"{excerpt(str(value), limit=60)!r} is not a vector")
    return [float(number) for number in numbers]


def _payload(value: Any) -> dict[str, Any]:
    payload = {} if value is None else value
    if not isinstance(payload, dict):
        raise ValueError(f"{excerpt(str(value), limit=60)!r} is not a payload; a payload is a JSON object")
    return payload


def _rows(ctx: Context, database: str, query: str, *, columns: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one read-only SQL statement, one by one."""
    service = ctx.service(database, Postgres)
    with _reading(database), connected(ctx, service, as_user=True) as session:
        session.execute("BEGIN READ ONLY")
        with session.cursor() as cursor:
            for row in cursor.stream(query.encode()):
                if len(row) != columns:
                    raise CouldNotVerify(f"the query on {database} returned {len(row)} columns instead of {columns}")
                yield row
        session.execute("ROLLBACK")


@contextmanager
def _reading(database: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(
            f"the query on {database} failed: {reason(error)}",
            hint=("check the query, and the address, user and password of the service in the inventory"),
        ) from error


def need_database(ctx: Context, database: str) -> None:
    """Raise NotReady unless the database accepts the application's role and answers."""
    try:
        with _reading(database), connected(ctx, ctx.service(database, Postgres), as_user=True) as session:
            session.execute("SELECT 1")
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error

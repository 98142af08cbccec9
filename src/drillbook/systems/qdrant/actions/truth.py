"""The rows that a collection must agree with: their ids, and what can be indexed from them."""

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
from drillbook.systems.qdrant.collection import Session
from drillbook.systems.qdrant.points import Id, Point, id_of


@dataclass(frozen=True, slots=True)
class Difference:
    """What database and collection do not share; ``wanted`` and ``present`` are all ids of each."""

    wanted: set[Id]
    present: set[Id]
    missing: set[Id]
    strays: set[Id]


def difference(ctx: Context, session: Session, database: str, query: str) -> Difference:
    """Compare the ids of both. Raises CouldNotVerify.

    The collection is read first, and what seems to be missing is looked for once more, so that a row which was written and
    indexed meanwhile is on neither side.
    """
    present = session.ids()
    wanted = ids(ctx, database, query)
    missing = wanted - present
    missing -= session.present(missing)
    return Difference(wanted, present, missing, present - wanted)


def ids(ctx: Context, database: str, query: str) -> set[Id]:
    """The ids that ``query`` gives. Raises CouldNotVerify, also when there are none."""
    found: set[Id] = set()
    for row in _rows(ctx, database, query, columns=1):
        try:
            found.add(id_of(row[0]))
        except ValueError as error:
            raise CouldNotVerify(f"the query on {database} gave something else than ids: {error}") from error
    if not found:
        raise CouldNotVerify(
            f"the query on {database} gave no id, and nothing can be compared with nothing",
            hint="try it by hand as the application's role",
        )
    return found


def points(ctx: Context, database: str, query: str, wanted: set[Id]) -> Iterator[Point]:
    """The points among ``wanted`` that ``query`` gives as id, vector (array, or pgvector's text) and payload (json).

    Raises CouldNotVerify.
    """
    for number, vector, payload in _rows(ctx, database, query, columns=3):
        try:
            one = id_of(number)
            if one in wanted:
                yield Point(one, _vector(vector), _payload(payload))
        except (ValueError, TypeError) as error:
            raise CouldNotVerify(
                f"`source` on {database} gave something else than a point: {error}",
                hint=("its columns are id, vector (an array of numbers), payload (json)"),
            ) from error


def _vector(value: Any) -> list[float]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, list) or not found:
        raise ValueError(f"{excerpt(str(value), limit=60)!r} is no vector")
    return [float(number) for number in found]


def _payload(value: Any) -> dict[str, Any]:
    found = {} if value is None else value
    if not isinstance(found, dict):
        raise ValueError(f"{excerpt(str(value), limit=60)!r} is no payload: that is a JSON object")
    return found


def _rows(ctx: Context, database: str, query: str, *, columns: int) -> Iterator[tuple[Any, ...]]:
    """The rows of one statement that cannot write, one by one."""
    service = ctx.service(database, Postgres)
    with _reading(database), connected(ctx, service, as_user=True) as session:
        session.execute("BEGIN READ ONLY")
        with session.cursor() as cursor:
            for row in cursor.stream(query.encode()):
                if len(row) != columns:
                    raise CouldNotVerify(f"the query on {database} gave {len(row)} columns where {columns} are expected")
                yield row
        session.execute("ROLLBACK")


@contextmanager
def _reading(database: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, HostError) as error:
        raise CouldNotVerify(
            f"{database} could not be asked: {reason(error)}",
            hint=("check the query, and address, user and password of the service in the inventory"),
        ) from error


def need_database(ctx: Context, database: str) -> None:
    """Raise NotReady unless the database answers the application's role."""
    try:
        with _reading(database), connected(ctx, ctx.service(database, Postgres), as_user=True) as session:
            session.execute("SELECT 1")
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error

"""Queries of the API for documents in PostgreSQL."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from drillbook.lab.app import time_limit

Row = dict[str, Any]
Pool = AsyncConnectionPool[psycopg.AsyncConnection[Row]]

_LIST = """SELECT id, title, status, mime, size, language, created_at, archived_at, metadata FROM documents
           ORDER BY created_at DESC, id DESC LIMIT %s OFFSET %s"""
_COPIES = """SELECT id, (SELECT count(*) FROM documents other WHERE other.sha256 = one.sha256) AS copies
             FROM documents one ORDER BY id LIMIT %s"""


def pool(url: str, size: int) -> Pool:
    """Create a connection pool that survives the loss of the database, even if another cluster replaces the database.

    Each connection is checked before it is used. After a failed attempt to connect, the next request tries again at once,
    without growing pauses.
    """
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=1.0,
        reconnect_timeout=0.1,
        max_idle=60,
        check=AsyncConnectionPool.check_connection,
        kwargs={"connect_timeout": 2, "row_factory": dict_row},
        name="documents",
        connection_class=psycopg.AsyncConnection[Row],
    )


async def check(url: str, within: float) -> str | None:
    """Query the database on a connection outside the pool. Return None when the database answers, and otherwise the reason."""

    async def ask() -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("SELECT id FROM documents ORDER BY id LIMIT 1")

    try:
        await time_limit.within(within, ask())
        return None
    except TimeoutError:
        return f"no answer within {within:g} s"
    except psycopg.Error as error:
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


async def page(source: Pool, limit: int, offset: int) -> list[Row]:
    """Return a page of at most ``limit`` documents, newest first. ``offset``: number of documents to skip."""
    async with source.connection() as connection:
        return await (await connection.execute(_LIST, (limit, offset))).fetchall()


async def find(source: Pool, number: int) -> Row | None:
    """Return the document ``number`` with its chunks, or None when it does not exist."""
    async with source.connection() as connection:
        document = await (await connection.execute("SELECT * FROM documents WHERE id = %s", (number,))).fetchone()
        if document is not None:
            chunks = await connection.execute(
                "SELECT ordinal, content, token_count FROM chunks WHERE document_id = %s ORDER BY ordinal", (number,)
            )
            document["chunks"] = await chunks.fetchall()
        return document


async def duplicates(source: Pool, limit: int) -> list[int]:
    """Return the ids of documents that have the same content as another document. Only the first ``limit`` documents
    are examined.

    The server aborts the query after 3 s.
    """
    async with source.connection() as connection:
        await connection.execute("SET LOCAL statement_timeout = '3s'")
        rows = await (await connection.execute(_COPIES, (limit,))).fetchall()
    return [int(row["id"]) for row in rows if row["copies"] > 1]


async def count(source: Pool) -> int:
    """Return the number of documents in the database."""
    async with source.connection() as connection:
        row = await (await connection.execute("SELECT count(*) AS total FROM documents")).fetchone()
    return int(row["total"]) if row else 0


async def create(source: Pool, title: str, content: str, metadata: dict[str, Any]) -> int:
    """Store a document and its chunks in one transaction. The status of the document is ``received``. Return its number."""
    body = content.encode()
    async with source.connection() as connection:
        row = await (
            await connection.execute(
                "INSERT INTO documents (title, mime, size, sha256, language, metadata) "
                "VALUES (%s, 'text/plain', %s, %s, 'en', %s) RETURNING id",
                (title, len(body), hashlib.sha256(body).hexdigest(), Jsonb(metadata)),
            )
        ).fetchone()
        if row is None:
            raise psycopg.DataError("INSERT returned nothing")
        pieces = [content[at : at + 500] for at in range(0, len(content), 500)]
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO chunks (document_id, ordinal, content, token_count) VALUES (%s, %s, %s, %s)",
                [(row["id"], ordinal, piece, len(piece.split())) for ordinal, piece in enumerate(pieces, start=1)],
            )
    return int(row["id"])


async def complete(source: Pool, number: int) -> None:
    """Set the status of a document to ``completed``, after its original has been stored."""
    async with source.connection() as connection:
        await connection.execute("UPDATE documents SET status = 'completed' WHERE id = %s", (number,))

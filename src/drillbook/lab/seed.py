"""Fills a lab with documents and their chunks, original files, vectors and cache entries.

The content is deterministic, because it depends on no clock and no random numbers. ``python -m drillbook.lab.seed FOLDER``
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import redis
from psycopg import sql
from psycopg.conninfo import make_conninfo

from drillbook.errors import LabError
from drillbook.lab import schema
from drillbook.lab.app import objects
from drillbook.lab.app.objects import STORE_ERRORS
from drillbook.lab.layout import ADDRESS, BUCKETS, COLLECTION, DATABASE, REGION, Lab
from drillbook.sdk.web import ask

ORIGINALS = 200
CACHED = 400
EMBEDDED = 400
"""Number of documents for which vectors are stored. Each chunk of such a document has a vector."""
DIMENSIONS = 32
START_WITHIN = 40.0

T = TypeVar("T")


def main() -> int:
    """Fill all servers in parallel, because most of the time is spent waiting for a server. Return the exit status."""
    lab = Lab.read(Path(sys.argv[1]))
    if lab is None:
        raise LabError(f"there is no lab in {sys.argv[1]}")
    with ThreadPoolExecutor() as pool:
        for task in [pool.submit(part, lab) for part in (fill_database, fill_store, fill_cache)]:
            task.result()
    return 0


def fill_database(lab: Lab) -> None:
    """Create the application's role and database. Fill the database with documents, and with vectors of some documents."""
    with _connect(lab, "postgres", "pg_admin", "postgres") as connection:
        create_database(connection, DATABASE, lab.secret("pg_app"))
    with _connect(lab, DATABASE, "pg_app", DATABASE) as connection:
        fill_documents(connection)
        fill_vectors(lab, connection)


def _connect(lab: Lab, user: str, secret: str, database: str) -> psycopg.Connection[Any]:
    port, password = lab.port("postgres.db-1"), lab.secret(secret)
    where = make_conninfo(host=ADDRESS, port=port, user=user, password=password, dbname=database)
    return _patiently(lambda: psycopg.connect(where, autocommit=True), psycopg.OperationalError)


def create_database(connection: psycopg.Connection[Any], name: str, password: str) -> None:
    """Create a role, and a database of the same name that belongs to the role."""
    role = sql.Identifier(name)
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(role, role))


def fill_documents(connection: psycopg.Connection[Any]) -> None:
    """Create and fill the tables in one transaction, so that the API never sees tables without content."""
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = off")
        connection.execute("SET LOCAL maintenance_work_mem = '128MB'")
        for statement in schema.STATEMENTS:
            connection.execute(statement)
    connection.execute("ANALYZE")


def fill_vectors(lab: Lab, connection: psycopg.Connection[Any]) -> None:
    """Create the collection, and store a vector for each chunk of the first documents."""
    where, key = f"{lab.vectors}/collections/{COLLECTION}", lab.secret("vectors")
    _patiently(lambda: _put(where, key, {"vectors": {"size": DIMENSIONS, "distance": "Cosine"}}), OSError)
    _put(f"{where}/index", key, {"field_name": "document_id", "field_schema": "integer"})
    rows = connection.execute(
        "SELECT id, document_id, ordinal, content FROM chunks WHERE document_id <= %s ORDER BY id", [EMBEDDED]
    ).fetchall()
    points = [
        {"id": number, "vector": embedding(content), "payload": {"document_id": document, "ordinal": ordinal}}
        for number, document, ordinal, content in rows
    ]
    for at in range(0, len(points), 1000):
        _put(f"{where}/points?wait=true", key, {"points": points[at : at + 1000]})


def embedding(content: str) -> list[float]:
    """Return a vector that is computed from the text alone. It stands for the embedding that a model would compute."""
    return [(byte - 127.5) / 128 for byte in hashlib.sha256(content.encode()).digest()[:DIMENSIONS]]


def _put(url: str, key: str, body: Any) -> None:
    answer = ask(
        url,
        timeout=30,
        method="PUT",
        headers={"api-key": key, "Content-Type": "application/json"},
        body=json.dumps(body).encode(),
    )
    if answer.status != 200:
        raise LabError(f"{url} answered {answer.status}: {answer.body.decode('utf-8', 'replace')[:300]}")


def fill_store(lab: Lab) -> None:
    """Create the buckets, and store the original files of the first documents. The bucket of these files keeps old versions."""
    store = objects.connect(lab.s3, REGION, lab.secret("s3_key"), lab.secret("s3_secret"))
    _patiently(lambda: store.create_bucket(Bucket=BUCKETS[0]), *STORE_ERRORS)
    _patiently(lambda: store.create_bucket(Bucket=BUCKETS[1]), *STORE_ERRORS)
    _patiently(
        lambda: store.put_bucket_versioning(Bucket=BUCKETS[1], VersioningConfiguration={"Status": "Enabled"}), *STORE_ERRORS
    )
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: _put_original(store, number), range(1, ORIGINALS + 1)))
    store.close()


def _put_original(store: Any, number: int) -> None:
    wanted = {"Bucket": BUCKETS[1], "Key": objects.key(number), "Body": original(number), "ContentType": "text/plain"}
    _patiently(lambda: store.put_object(**wanted), *STORE_ERRORS)


def original(number: int) -> bytes:
    """Return the content of the file of document ``number``, as a client would have uploaded it: a few kilobytes of text."""
    lines = [
        f"document {number}, line {line}: {hashlib.sha256(f'{number}/{line}'.encode()).hexdigest()}"
        for line in range(20 + number % 30)
    ]
    return ("\n".join(lines) + "\n").encode("ascii")


def fill_cache(lab: Lab) -> None:
    """Fill the cache with sessions and counters, as a real application would."""
    client = redis.Redis(host=ADDRESS, port=lab.port("redis"), password=lab.secret("redis"), socket_timeout=2)
    _patiently(client.ping, redis.RedisError)
    with client.pipeline(transaction=False) as pipe:
        for number in range(1, CACHED + 1):
            token = hashlib.sha256(f"session {number}".encode()).hexdigest()
            pipe.hset(f"session:{number}", mapping={"user": f"user-{number % 50}", "token": token})
            pipe.set(f"views:document:{number}", number * 7 % 1000)
        pipe.execute()
    client.close()


def _patiently(attempt: Callable[[], T], *expected: type[Exception]) -> T:
    """Call ``attempt`` until it succeeds, and return its result.

    For up to 40 s, exceptions of the types in ``expected`` are ignored, because the server may still be starting. After
    that, the next exception is raised.
    """
    until = time.monotonic() + START_WITHIN
    while True:
        try:
            return attempt()
        except expected:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(main())

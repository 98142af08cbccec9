"""Ways to look into the shared lab from outside: its databases, its supervisors and its API."""

import urllib.error
import urllib.request

import psycopg

from drillbook.lab.layout import ADDRESS, Lab
from tests import waiting

from .conftest import get, run

REFUSED = 2
"""Requests that may fail after the database is back: each waits a second for a connection of the pool."""


DIGEST = (
    "SELECT md5(string_agg(md5(t::text), '' ORDER BY id)) FROM (SELECT * FROM {} WHERE id <= 24000 AND {} <= 24000) AS t"
)


def admin(lab: Lab, database: str = "dpa", host: str = "db-1") -> psycopg.Connection:
    return psycopg.connect(
        host=ADDRESS,
        port=lab.port(f"postgres.{host}"),
        user="postgres",
        dbname=database,
        password=lab.secret("pg_admin"),
        autocommit=True,
    )


def supervisor(lab: Lab, host: str, *words: str) -> None:
    done = run(lab, host, f"supervisorctl -c supervisord.conf {' '.join(words)}")
    assert done.status == 0, done


def until(wanted: int, lab: Lab, path: str) -> int:
    """Wait until the API answers with that status. Return the number of other answers before it."""
    others: list[int | None] = []

    def held() -> bool:
        others.append(answered(lab, path))
        return others[-1] == wanted

    waiting.until(held, f"the status {wanted} from {path}")
    return len(others) - 1


def answered(lab: Lab, path: str) -> int | None:
    """Status of the answer, or None while nothing listens, as right after the start of a program."""
    try:
        return get(lab, path)[0]
    except urllib.error.URLError:
        return None


def digests(connection: psycopg.Connection) -> list[str]:
    connection.execute("SET timezone = 'UTC'")
    return [
        connection.execute(DIGEST.format(table, column)).fetchone()[0]
        for table, column in (("documents", "id"), ("chunks", "document_id"))
    ]

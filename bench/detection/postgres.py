"""Dumps of PostgreSQL: pg_restore -l, the status of pg_restore or psql, rows of all tables afterwards, firedrill."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.detection import firedrill
from bench.detection.tools import COMPRESSION, COUNTS, LIST, RESTORE, Case, Tool, fails, tester
from tests.systems.postgres.dumps import Shelf
from tests.systems.postgres.site import ADMIN_PASSWORD, Cluster

TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""
ENV = {**os.environ, "PGPASSWORD": ADMIN_PASSWORD, "PGUSER": "postgres", "PGHOST": "127.0.0.1"}


class Server:
    """A second server, to which an administrator would restore by hand."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf, self.source = shelf, shelf.source.cluster
        self.cluster: Cluster = shelf.place.place(f"by-hand-{self.source.service.name}", bin=self.source.service.bin)
        self.cluster.create()
        self.cluster.start()
        self.wanted = counted(self.source)
        self.env = {**ENV, "PGPORT": str(self.cluster.service.port)}
        self.psql(self.shelf.take("globals").read_bytes())

    def psql(self, text: bytes, database: str = "postgres") -> bool:
        argv = [self.program("psql"), "-Xq", "-d", database]
        return subprocess.run(argv, input=text, capture_output=True, check=False, env=self.env).returncode != 0

    def program(self, name: str) -> str:
        return f"{self.source.service.bin}/{name}"

    def emptied(self) -> None:
        for (name,) in self.cluster.sql(
            "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')",
            database="postgres",
        ):
            self.cluster.sql(f'DROP DATABASE "{name}" WITH (FORCE)', database="postgres")

    def restored(self, case: Case) -> bool:
        """Restore as the manual describes. Return True when this exits with a status other than 0."""
        self.emptied()
        path = artefact(case)
        unpack = " ".join((tester(path)[0], "-dc")) if tester(path) else "cat"
        head = beginning(path)
        if path.is_dir() or head.startswith(b"PGDMP") or head[257:262] == b"ustar":
            self.cluster.sql("CREATE DATABASE shop TEMPLATE template0", database="postgres")
            program = f"{self.program('pg_restore')} -d shop"
            return fails(
                "sh",
                "-c",
                f'{program} "$1"' if unpack == "cat" else f'{unpack} < "$1" | {program}',
                "sh",
                path,
                env=self.env,
            )
        own = b"\nCREATE DATABASE shop" in whole(path)
        if not own:
            self.cluster.sql("CREATE DATABASE shop TEMPLATE template0", database="postgres")
        program = f"{self.program('psql')} -Xq -d {'postgres' if own else 'shop'}"
        return fails("sh", "-c", f'{unpack} < "$1" | {program}', "sh", path, env=self.env)

    def differs(self) -> bool:
        """Return True when the tables or their rows are not those of the source."""
        try:
            return counted(self.cluster) != self.wanted
        except Exception:  # noqa: BLE001  no database, no table: different
            return True


def counted(cluster: Cluster) -> list[tuple[str, int]]:
    """Number of rows of each table."""
    return [(name, cluster.sql(f"SELECT count(*) FROM {name}")[0][0]) for (name,) in cluster.sql(TABLES)]


def artefact(case: Case) -> Path:
    return next(path for path in (case.root / "backups").iterdir() if path.name != "globals.sql")


def whole(path: Path) -> bytes:
    """Decompressed content, as far as it can be decompressed."""
    argv = tester(path)
    if not argv:
        return path.read_bytes()
    with path.open("rb") as file:
        return subprocess.run([argv[0], "-dc"], stdin=file, capture_output=True, check=False).stdout


def beginning(path: Path) -> bytes:
    return b"" if path.is_dir() else whole(path)[:512]


@contextmanager
def tools(shelf: Shelf) -> Iterator[list[Tool]]:
    server = Server(shelf)

    def listed(case: Case) -> bool | None:
        path = artefact(case)
        archive = path.is_dir() or beginning(path).startswith(b"PGDMP") or beginning(path)[257:262] == b"ustar"
        return fails(server.program("pg_restore"), "-l", path) if archive and not tester(path) else None

    yield [
        Tool("pg_restore -l", LIST, listed),
        COMPRESSION,
        Tool("pg_restore, psql -f", RESTORE, server.restored),
        Tool("rows of all tables", COUNTS, lambda case: server.differs()),
        *firedrill.tools(),
    ]
    server.cluster.destroy()

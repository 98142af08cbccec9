"""Backups to the object store of a lab: their data, the plain pipeline of each, and the matching step of a drill."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from bench.overhead.methods import MB, files, filler, sh

from drillbook.lab import database
from drillbook.lab.layout import ADDRESS, BUCKETS, REGION, Lab
from drillbook.systems.postgres import content

SHARES = {"a": 0.5, "b": 0.25, "c": 0.125, "d": 0.125}
"""Tables of the database, and their shares of its size."""
JOBS = 2
"""Number of jobs of pg_dump, and of sessions that read digests: the same as in the step."""
PART, PARALLEL = 32 * MB, 4
"""Size of the parts of an upload in bytes, and the number of parallel parts: the same as in the step."""


@dataclass(frozen=True)
class Site:
    """A running lab, and the folder with the data."""

    lab: Lab
    root: Path

    def session(self, name: str = "shop") -> psycopg.Connection[Any]:
        """Connect to a database of the lab as its superuser."""
        return psycopg.connect(self.address(name), password=self.lab.secret("pg_admin"), autocommit=True)

    def address(self, name: str = "shop") -> str:
        """The server and the database for libpq, without a password."""
        return f"host={ADDRESS} port={self.lab.port('postgres.db-1')} user=postgres dbname={name}"

    def client(self) -> Any:
        """A client of the lab's object store."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.lab.s3,
            region_name=REGION,
            config=Config(proxies={}, s3={"addressing_style": "path"}, max_pool_connections=16),
            aws_access_key_id=self.lab.secret("s3_key"),
            aws_secret_access_key=self.lab.secret("s3_secret"),
        )


@dataclass(frozen=True)
class Method:
    """One kind of backup."""

    name: str
    """The action of the step."""
    tool: str
    """Description of the plain pipeline for the table."""
    make: Callable[[Site, int], None]
    """Create data of so many MB."""
    bare: Callable[[Site, Path], None]
    """Back the data up to the store, using the empty folder for temporary files."""
    host: str
    """Host of the lab that has the data."""
    service: str
    """Entry of the service in an inventory; PORT, DATA, ROOT and SECRETS stand for those of the lab."""
    step: str
    """Arguments of the step."""


def upload(site: Site, folder: Path) -> None:
    """Upload all files of the folder with checksums, with as many parallel parts as the step."""
    from boto3.s3.transfer import TransferConfig, create_transfer_manager

    limits = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=PARALLEL)
    with create_transfer_manager(site.client(), limits) as manager:
        sent = [
            manager.upload(
                str(path),
                BUCKETS[0],
                f"bare/{path.relative_to(folder)}",
                extra_args={"ChecksumAlgorithm": "SHA256"},
            )
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        for one in sent:
            one.result()


# PostgreSQL
def make_database(site: Site, megabytes: int) -> None:
    with site.session("postgres") as session:
        session.execute("CREATE DATABASE shop TEMPLATE template0")
    with site.session() as session:
        for table, share in SHARES.items():
            # UNLOGGED: creating the data must not cause WAL for the archive
            for statement in filler(megabytes * share, table, "UNLOGGED").split(";")[:-1]:
                session.execute(statement.encode())
        session.execute("VACUUM (FREEZE, ANALYZE)")
        session.execute("CHECKPOINT")


def bare_database(site: Site, target: Path) -> None:
    environment = {**os.environ, "PGPASSWORD": site.lab.secret("pg_admin")}
    tools, made = database.binaries(), target / "files"
    made.mkdir()
    with site.session() as owner, ThreadPoolExecutor(JOBS + 2) as pool:
        owner.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ((snapshot,),) = owner.execute("SELECT pg_catalog.pg_export_snapshot()").fetchall()

        def digest(table: str) -> str:
            with site.session() as session:
                session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                session.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'".encode())
                ((rows, total),) = session.execute(content.DIGEST.format(table=table, where="").encode()).fetchall()
            return f"{table} {rows} {total}\n"

        dump = (
            '"$1/pg_dump" -d "$2" --snapshot="$3" --format=directory --jobs="$4" --compress=1 --no-sync --file="$5/database"'
        )
        roles = '"$1/pg_dumpall" -d "$2" --globals-only --no-sync --file="$3/globals.sql"'
        tasks = [
            pool.submit(sh, dump, tools, site.address(), snapshot, JOBS, made, env=environment),
            pool.submit(sh, roles, tools, site.address("postgres"), made, env=environment),
        ]
        with ThreadPoolExecutor(JOBS) as readers:
            digests = list(readers.map(digest, SHARES))
        for task in tasks:
            task.result()
    (made / "digests").write_text("".join(digests))
    _summed(made)
    upload(site, made)
    sh('rm -r -- "$1"', made)


def _summed(folder: Path) -> None:
    """Write the SHA-256 of every file in the folder to one more file."""
    sums = 'cd "$1"; find . -type f -print0 | xargs -0 -n 1 -P "$2" sha256sum > ../sums; mv ../sums sums'
    sh(sums, folder, JOBS)


# Files
def make_files(site: Site, megabytes: int) -> None:
    files(site.root, megabytes)


def bare_files(site: Site, target: Path) -> None:
    made, source = target / "files", site.root / "files"
    made.mkdir()
    script = """
    sums() { (cd "$1"; find . -type f -print0 | xargs -0 -n 64 -P "$2" sha256sum | sort); }
    sums "$1" "$3" > "$2/entries"
    tar -cf - --format=posix --sparse --xattrs --acls --numeric-owner -C "$1" . | zstd -q -1 -T0 > "$2/files.tar.zst"
    """
    sh(script, source, made, JOBS)
    _summed(made)
    upload(site, made)
    sh('rm -r -- "$1"', made)


METHODS = (
    Method(
        "postgres.dump",
        "exported snapshot, pg_dump beside digests of all rows, pg_dumpall, sha256sum, upload",
        make_database,
        bare_database,
        "db-1",
        "kind: postgres, address: 127.0.0.1, port: PORT, database: shop, user: postgres, password: !file SECRETS/pg_admin,"
        " data_directory: DATA, admin: {user: postgres, password: !file SECRETS/pg_admin}",
        f"jobs: {JOBS}",
    ),
    Method(
        "files.archive",
        "sha256sum of every file, tar to zstd -1 -T0, sha256sum, upload",
        make_files,
        bare_files,
        "app-1",
        "kind: folder, path: ROOT/files",
        "path: ROOT/files",
    ),
)

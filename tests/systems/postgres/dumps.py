"""Dumps of real servers in every format, and functions that damage them."""

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.needs import need
from tests.systems.postgres import rich
from tests.systems.postgres.site import AS_NOBODY, Cluster, Site

PLAIN = ("gzip", "zstd", "lz4", "bzip2", "xz")
DEBIAN_17 = Path("/usr/lib/postgresql/17/bin")
"""Programs whose archives may be compressed by zstd and lz4."""
EXCLUDED = (
    "--exclude-table-data=orders",
    "--exclude-table-data=parts",
    "--exclude-table-data=parts_1",
    '--exclude-table-data="Odd Schema".*',
    "--no-unlogged-table-data",
)
"""Options for a dump without the rows of some tables."""
EXTENSIONS = ("CREATE EXTENSION pg_trgm", "CREATE EXTENSION hstore", "CREATE TABLE tagged (id int, tags hstore)")
MORE = (
    "INSERT INTO tagged VALUES (1, 'a=>1')",
    'CREATE ROLE "Odd Role"; ALTER TABLE tagged OWNER TO "Odd Role"',
    "CREATE POLICY seen ON secured TO clerk, auditor USING (a > 1)",
    "CREATE TABLE wide AS SELECT g AS id, md5(g::text) AS a, md5((g * 7)::text) AS b FROM generate_series(1, 20000) AS g",
    "CREATE TABLE words AS SELECT md5(g::text) AS word FROM generate_series(1, 20000) AS g",
    "ALTER DEFAULT PRIVILEGES FOR ROLE clerk GRANT SELECT ON TABLES TO auditor",
)


@dataclass
class Source:
    """Server, and dumps of it."""

    cluster: Cluster
    folder: Path

    def program(self, name: str) -> str:
        return f"{self.cluster.service.bin}/{name}"

    def dump(self, *options: str, program: str = "pg_dump", database: str = "shop", user: str | None = None) -> bytes:
        dsn = self.cluster.dsn(database, user)
        environ = {**os.environ, "PGPASSWORD": dsn.pop("password")}  # pg_dumpall passes no password of its DSN on
        argv = [self.program(program), *options, "--dbname", psycopg.conninfo.make_conninfo(**dsn)]
        done = subprocess.run(argv, check=False, capture_output=True, env=environ)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def folder_dump(self, name: str, *options: str) -> Path:
        path = self.folder / name
        self.dump("--format=directory", f"--file={path}", *options)
        return path


def filled(place: Site, name: str, folder: Path, **options: object) -> Source:
    """Source whose database contains everything that a dump can contain."""
    cluster = place.place(name, **options)
    cluster.create()
    cluster.start()
    rich.fill(cluster)
    cluster.sql(*EXTENSIONS, *MORE)
    folder.mkdir()
    return Source(cluster, folder)


def programs_17(folder: Path) -> str:
    """Programs of Debian's PostgreSQL 17, with wrappers for those that refuse root."""
    folder.mkdir()
    for tool in DEBIAN_17.iterdir():
        wrapped = AS_NOBODY if tool.name in ("initdb", "pg_ctl") else []
        (folder / tool.name).write_text(f'#!/bin/sh\nexec {" ".join(wrapped)} "{tool}" "$@"\n')
        (folder / tool.name).chmod(0o755)
    return str(folder)


def packed(data: bytes, how: str) -> bytes:
    """The data, compressed as by an administrator's job."""
    if how in ("zstd", "lz4"):
        return subprocess.run([need(how), "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}[how](data)


def cut(share: float) -> Callable[[Path], None]:
    """Keep only the first part of a file."""

    def damage(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * share))

    return damage


def flip(share: float) -> Callable[[Path], None]:
    """Change one bit of a file."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(len(data) * share), len(data) - 1)] ^= 0x10
        path.write_bytes(bytes(data))

    return damage


def largest(then: Callable[[Path], None], suffix: str = "") -> Callable[[Path], None]:
    """Change the largest data file of a dump in the directory format by ``change``."""

    def damage(path: Path) -> None:
        files = [file for file in path.iterdir() if file.name != "toc.dat" and file.name.endswith(suffix)]
        then(max(files, key=lambda file: file.stat().st_size))

    return damage


def inside(name: str, then: Callable[[Path], None]) -> Callable[[Path], None]:
    """Change one file of a dump in the directory format by ``change``."""
    return lambda path: then(path / name)


def copied(path: Path, to: Path) -> Path:
    """Copy of a dump, which a test may damage."""
    target = to / path.name
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy2(path, target)
    return target


@dataclass
class Shelf:
    """Intact dumps of the rich database, by name."""

    place: Site
    source: Source

    def take(self, name: str) -> Path:
        """The dump ``name``, created when it is first used."""
        path = self.source.folder / name
        if path.exists():
            return path
        kind, _, rest = name.partition(".")
        if kind == "directory":
            return self.source.folder_dump(name, f"--compress={rest}")
        if name == "excluded.directory":
            return self.source.folder_dump(name, *EXCLUDED)
        if kind == "custom" and rest not in ("gzip", "none", "zstd", "lz4"):
            path.write_bytes(packed(self.take("custom.none").read_bytes(), rest.removeprefix("none.")))
        elif rest in PLAIN and kind in ("plain", "cluster", "tar"):
            path.write_bytes(packed(self.take(kind).read_bytes(), rest))
        else:
            path.write_bytes(self._dump(kind, rest))
        return path

    def _dump(self, kind: str, rest: str) -> bytes:
        options = {
            "custom": ("--format=custom", f"--compress={rest}"),
            "tar": ("--format=tar",),
            "plain": (),
            "named": ("--create",),
            "inserts": ("--inserts",),
            "schema": ("--schema-only", f"--format={rest or 'plain'}"),
            "rows": ("--data-only", f"--format={rest or 'plain'}"),
            "excluded": (*EXCLUDED, f"--format={rest}"),
        }
        if kind in options:
            return self.source.dump(*options[kind])
        return {
            "cluster": lambda: self.source.dump(program="pg_dumpall"),
            "globals": lambda: self.source.dump("--globals-only", program="pg_dumpall"),
            "another": lambda: self.source.dump("--format=custom", database="postgres"),
            "void": lambda: self.source.dump("--create", database="void"),
            "filtered": lambda: self.source.dump("--enable-row-security", "--table=secured", user="clerk"),
        }[kind]()

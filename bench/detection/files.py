"""Archives of tar, repositories of restic, copies of SQLite, files of Redis: their lists, checks, restores, and counts."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from bench.detection.tools import COMPRESSION, COUNTS, LIST, RESTORE, VERIFY, Case, Tool, fails
from tests.systems.redis.alone import Alone
from tests.systems.redis.unit import program
from tests.systems.restic.artefacts import Job

from drillbook.values import Secret


def number(folder: Path) -> int:
    """Number of entries below a folder."""
    return len(list(folder.rglob("*")))


@contextmanager
def tar_tools(source: Path) -> Iterator[list[Tool]]:
    wanted = number(source)

    def tar(case: Case, *words: object) -> bool:
        path = case.one()
        unpack = ("-I", "lz4") if path.suffix == ".lz4" else ()  # GNU tar knows the others by themselves
        return fails("tar", *unpack, *words, "-f", path)

    yield [
        Tool("tar -t", LIST, lambda case: tar(case, "-t")),
        COMPRESSION,
        Tool("tar -x", RESTORE, lambda case: tar(case, "-x", "-C", case.folder("by-hand"))),
        Tool("number of files", COUNTS, lambda case: number(case.root / "by-hand") != wanted),
    ]


@contextmanager
def restic_tools(job: Job) -> Iterator[list[Tool]]:
    wanted = number(job.www)

    def ask(case: Case, *words: str) -> bool:
        source: Any = case.estate.inventory.services[case.estate.source]
        password = source.password.reveal() if isinstance(source.password, Secret) else source.password
        env = {**os.environ, "RESTIC_REPOSITORY": str(source.repository), "RESTIC_PASSWORD": password}
        return fails("restic", *words, "--no-cache", "--no-lock", env=env)

    def differs(case: Case) -> bool:
        found = case.root / "by-hand"
        inside = next((path for path in found.rglob("www") if path.is_dir()), found)
        return number(inside) != wanted

    yield [
        Tool("restic snapshots", LIST, lambda case: ask(case, "snapshots")),
        Tool("restic check", VERIFY, lambda case: ask(case, "check")),
        Tool("restic check --read-data", VERIFY, lambda case: ask(case, "check", "--read-data")),
        Tool("restic restore", RESTORE, lambda case: ask(case, "restore", "latest", "--target", str(case.root / "by-hand"))),
        Tool("number of files", COUNTS, differs),
    ]


@contextmanager
def sqlite_tools(_: Path) -> Iterator[list[Tool]]:
    def copy(case: Case, name: str) -> Path:
        newest = max((path for path in (case.root / "copies").glob("*.db")), key=lambda path: path.stat().st_mtime)
        return Path(shutil.copytree(case.root / "copies", case.root / name)) / newest.name

    def asked(path: Path, query: str) -> list[tuple[Any, ...]]:
        session = sqlite3.connect(path)
        try:
            return session.execute(query).fetchall()
        except sqlite3.Error:
            return []
        finally:
            session.close()

    def wrong(case: Case) -> bool:
        return asked(copy(case, "checked"), "PRAGMA integrity_check") != [("ok",)]

    def unopened(case: Case) -> bool:
        return not asked(copy(case, "by-hand"), "SELECT name FROM sqlite_master")

    def differs(case: Case) -> bool:
        query = "SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM purchase)"
        path = max((path for path in (case.root / "by-hand").glob("*.db")), key=lambda path: path.stat().st_mtime)
        return asked(path, query) != asked(case.root / "shop" / "shop.db", query)

    yield [
        Tool("PRAGMA integrity_check", VERIFY, wrong),
        Tool("opening the copy", RESTORE, unopened),
        Tool("rows of all tables", COUNTS, differs),
    ]


class Started(Alone):
    """Server on copied files; ``keys`` is None when it does not start."""

    def keys(self) -> int | None:
        self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 30
            while self.child.poll() is None and time.monotonic() < until:
                with suppress(redis.RedisError):
                    if self.client().info("persistence")["loading"] == 0:
                        spaces = self.client().info("keyspace")
                        return sum(space["keys"] for space in spaces.values())
                time.sleep(0.02)
            return None
        finally:
            self.child.kill()
            self.child.wait()


def checker(case: Case, name: str) -> Path:
    """Checker, which is the server under another name."""
    link = case.root / name
    if not link.is_symlink():
        link.symlink_to(program())
    return link


@contextmanager
def rdb_tools(rdb: bytes) -> Iterator[list[Tool]]:
    kept: dict[Path, int | None] = {}

    def refused(case: Case) -> bool:
        server = Started(case.folder("by-hand"))
        path = case.one()
        if path.suffix == ".gz":
            fails("sh", "-c", 'gzip -dc "$1" > "$2"', "sh", path, server.data / "dump.rdb")
        else:
            shutil.copy(path, server.data / "dump.rdb")
        kept[case.root] = server.keys()
        return kept[case.root] is None

    def checked(case: Case) -> bool | None:
        return None if case.one().suffix == ".gz" else fails(checker(case, "valkey-check-rdb"), case.one())

    yield [
        Tool("valkey-check-rdb", VERIFY, checked),
        Tool("server starts", RESTORE, refused),
        Tool("number of keys", COUNTS, lambda case: kept[case.root] != 306),
    ]


@contextmanager
def aof_tools(folder: Path) -> Iterator[list[Tool]]:
    kept: dict[Path, int | None] = {}

    def place(case: Case) -> Path:
        return case.root / "backups" / "2026-11-27" / "appendonlydir"

    def checked(case: Case) -> bool:
        copy = shutil.copytree(place(case), case.root / "checked")
        manifests = list(Path(copy).glob("*.manifest"))
        return not manifests or fails(checker(case, "valkey-check-aof"), manifests[0])

    def refused(case: Case) -> bool:
        server = Started(case.folder("by-hand"), appendonly="yes")
        shutil.copytree(place(case), server.data / "appendonlydir")
        kept[case.root] = server.keys()
        return kept[case.root] is None

    yield [
        Tool("valkey-check-aof", VERIFY, checked),
        Tool("server starts", RESTORE, refused),
        Tool("number of keys", COUNTS, lambda case: kept[case.root] != 152),
    ]

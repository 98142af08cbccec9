"""Dumps of real PostgreSQL servers as a corpus: intact ones in every format and compression, and ones with a single
damage.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.artefacts import CHANGED, CUT, EMPTY, LESS, LOST, OLD, OTHER, WHOLE, Artefact, Corpus
from tests.needs import missing
from tests.systems.estate import Estate
from tests.systems.postgres import dumps
from tests.systems.postgres.dumps import Shelf, cut, flip, inside, largest
from tests.systems.postgres.site import site

Damage = Callable[[Path], None] | None


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def swapped(path: Path) -> None:
    """Exchange the two largest data files."""
    one, two = sorted(path.glob("[0-9]*.dat*"), key=lambda file: file.stat().st_size)[-2:]
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


def without_end(path: Path) -> None:
    """Keep all rows, and remove the last lines."""
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"-- PostgreSQL database dump complete")])


@contextmanager
def opened(folder: Path) -> Iterator[Shelf]:
    """Server of the newest PostgreSQL with everything that a dump can contain, and two more databases."""
    (folder / "site").mkdir()
    with site(folder / "site") as place:
        source = dumps.filled(place, "production", folder / "whole")
        source.cluster.sql("CREATE DATABASE void", "CREATE DATABASE orders")
        source.cluster.sql("CREATE TABLE t (a int)", database="void")
        yield Shelf(place, source)


@contextmanager
def opened_17(folder: Path) -> Iterator[Shelf]:
    """The same for Debian's PostgreSQL 17, whose archives may be compressed by zstd and lz4."""
    if not (dumps.DEBIAN_17 / "pg_dump").exists():
        missing("PostgreSQL 17 is not installed (Debian: postgresql-17)")
    (folder / "site").mkdir()
    with site(folder / "site") as place:
        yield Shelf(place, dumps.filled(place, "production-17", folder / "whole", bin=dumps.programs_17(folder / "bin")))


def estate(shelf: Shelf, root: Path, **source: Any) -> Estate:
    """The dumps in ``root/backups``, and a sandbox for them."""
    binaries = shelf.source.cluster.service.bin
    copy = {
        "kind": "postgres",
        "database": "shop",
        "user": "postgres",
        "admin": {"user": "postgres"},
        "bin": binaries,
        "data_directory": "/set/by/drillbook",
        "sandbox": {},
    }
    given = {"kind": "pg_dump", "at": str(root / "backups"), "database": "shop", "bin": binaries, **source}
    return Estate(root, services={"copy": copy}, backups={"nightly": given})


def lay(name: str, damage: Damage = None, **source: Any) -> Callable[[Shelf, Path], Estate]:
    """Damaged copy of the dump ``name`` of the shelf."""

    def laid(shelf: Shelf, root: Path) -> Estate:
        (root / "backups").mkdir()
        path = dumps.copied(shelf.take(name), root / "backups")
        if damage:
            damage(path)
        return estate(shelf, root, **source)

    return laid


def text(content: str) -> Callable[[Shelf, Path], Estate]:
    """File that is not a dump."""

    def laid(shelf: Shelf, root: Path) -> Estate:
        (root / "backups").mkdir()
        (root / "backups" / "shop.dump").write_text(content)
        return estate(shelf, root)

    return laid


def killed(shelf: Shelf, root: Path) -> Estate:
    """Dump to a pipe that is closed, so that pg_dump fails."""
    (root / "backups").mkdir()
    argv = [shelf.source.program("pg_dump"), "-d", psycopg.conninfo.make_conninfo(**shelf.source.cluster.dsn())]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as dumping:
        assert dumping.stdout is not None
        (root / "backups" / "shop.sql").write_bytes(dumping.stdout.read(300_000))
        dumping.kill()
    return estate(shelf, root)


def roles(edit: Callable[[str], str]) -> Callable[[Shelf, Path], Estate]:
    """Dump and an edited file of the cluster's roles."""

    def laid(shelf: Shelf, root: Path) -> Estate:
        (root / "backups").mkdir()
        dumps.copied(shelf.take("custom.gzip"), root / "backups")
        (root / "backups" / "globals.sql").write_text(edit(shelf.take("globals").read_text()))
        return estate(shelf, root, globals="globals*")

    return laid


def stale(path: Path) -> None:
    os.utime(path, (1_700_000_000,) * 2)


HEALTHY = (
    "custom.gzip",
    "custom.none",
    "custom.none.zstd",
    "custom.none.gzip",
    "directory.gzip",
    "directory.none",
    "tar",
    "tar.gzip",
    "plain",
    *(f"plain.{how}" for how in dumps.PLAIN),
    "named",
    "inserts",
    "cluster",
    "cluster.zstd",
)
HEALTHY_17 = ("custom.zstd", "custom.lz4", "directory.zstd", "directory.lz4", "directory.gzip")
_DAMAGED, _EMPTY, _NO_BYTES = ("backup-damaged",), ("backup-empty",), ("backup-empty", "backup-shrunken")
_DAMAGE: dict[str, tuple[str, str, Damage, tuple[str, ...]]] = {
    "custom: cut in its table of contents": (CUT, "custom.gzip", cut(0.01), _DAMAGED),
    "custom: cut in the middle": (CUT, "custom.gzip", cut(0.5), _DAMAGED),
    "custom: its last bytes are missing": (CUT, "custom.gzip", cut(0.999), _DAMAGED),
    "custom: one bit at a third": (CHANGED, "custom.gzip", flip(1 / 3), _DAMAGED),
    "custom: one bit in the middle": (CHANGED, "custom.gzip", flip(0.5), _DAMAGED),
    "custom: one bit at two thirds": (CHANGED, "custom.gzip", flip(2 / 3), _DAMAGED),
    "custom: one bit in its first bytes": (CHANGED, "custom.gzip", flip(0), _DAMAGED),
    "custom: nothing of it": (EMPTY, "custom.gzip", emptied, _NO_BYTES),
    "custom without compression: cut in the middle": (CUT, "custom.none", cut(0.5), _DAMAGED),
    "custom without compression: cut near its end": (CUT, "custom.none", cut(0.95), _DAMAGED),
    "custom in gzip: cut": (CUT, "custom.none.gzip", cut(0.7), _DAMAGED),
    "custom in zstd: one bit": (CHANGED, "custom.none.zstd", flip(0.6), _DAMAGED),
    "directory: a file of rows is cut": (CUT, "directory.gzip", largest(cut(0.6)), _DAMAGED),
    "directory: one bit in a file of rows": (CHANGED, "directory.gzip", largest(flip(0.5)), _DAMAGED),
    "directory: a file of rows is gone": (LOST, "directory.gzip", largest(Path.unlink), ("backup-missing",)),
    "directory: a file of rows is empty": (EMPTY, "directory.gzip", largest(emptied), _DAMAGED),
    "directory: its table of contents is cut": (CUT, "directory.gzip", inside("toc.dat", cut(0.7)), _DAMAGED),
    "directory: its table of contents is empty": (EMPTY, "directory.gzip", inside("toc.dat", emptied), _DAMAGED),
    "directory: killed before its table of contents": (LOST, "directory.gzip", inside("toc.dat", Path.unlink), _DAMAGED),
    "directory: two files of rows are exchanged": (OTHER, "directory.gzip", swapped, _DAMAGED),
    "directory without compression: cut early": (CUT, "directory.none", largest(cut(0.1)), _DAMAGED),
    "directory without compression: cut in the middle": (CUT, "directory.none", largest(cut(0.5)), _DAMAGED),
    "directory without compression: the last row is cut": (CUT, "directory.none", largest(cut(0.99999)), _DAMAGED),
    "directory without compression: nothing of a file": (EMPTY, "directory.none", largest(emptied), _DAMAGED),
    "tar: cut in the middle": (CUT, "tar", cut(0.5), _DAMAGED),
    "tar: cut near its end": (CUT, "tar", cut(0.9), _DAMAGED),
    "tar in gzip: cut": (CUT, "tar.gzip", cut(0.5), _DAMAGED),
    "plain: cut in the rows": (CUT, "plain", cut(0.5), _DAMAGED),
    "plain: only the last lines are missing": (CUT, "plain", without_end, _DAMAGED),
    "plain: nothing of it": (EMPTY, "plain", emptied, _NO_BYTES),
    "plain: all rows as commands, cut": (CUT, "inserts", cut(0.8), _DAMAGED),
    **{f"plain in {how}: cut": (CUT, f"plain.{how}", cut(0.6), _DAMAGED) for how in dumps.PLAIN},
    **{f"plain in {how}: one bit": (CHANGED, f"plain.{how}", flip(0.5), _DAMAGED) for how in dumps.PLAIN},
    "cluster: cut in the last database": (CUT, "cluster", cut(0.97), _DAMAGED),
    "cluster: only the last lines are missing": (CUT, "cluster", cut(0.99999), _DAMAGED),
    "cluster in zstd: cut": (CUT, "cluster.zstd", cut(0.5), _DAMAGED),
    "definitions alone, custom": (LESS, "schema.custom", None, _EMPTY),
    "definitions alone, plain": (LESS, "schema", None, _EMPTY),
    "rows alone, custom": (LESS, "rows.custom", None, ("backup-incomplete",)),
    "rows alone, plain": (LESS, "rows", None, ("backup-incomplete",)),
    "roles alone": (LESS, "globals", None, _EMPTY),
    "another database without a table": (OTHER, "another", None, _EMPTY),
    "tables without a row": (EMPTY, "void", None, _EMPTY),
    "rows that row security let through": (LESS, "filtered", None, ("backup-incomplete",)),
}
_DAMAGE_17: dict[str, tuple[str, str, Damage, tuple[str, ...]]] = {
    "directory in zstd: a file of rows is cut": (CUT, "directory.zstd", largest(cut(0.6), ".zst"), _DAMAGED),
    "directory in lz4: a file of rows is cut": (CUT, "directory.lz4", largest(cut(0.6), ".lz4"), _DAMAGED),
    "directory in lz4: a file of rows is gone": (LOST, "directory.lz4", largest(Path.unlink, ".lz4"), ("backup-missing",)),
    "custom in zstd: cut": (CUT, "custom.zstd", cut(0.6), _DAMAGED),
    "custom in lz4: cut": (CUT, "custom.lz4", cut(0.9), _DAMAGED),
}


def _artefacts(healthy: tuple[str, ...], damage: dict[str, tuple[str, str, Damage, tuple[str, ...]]]) -> Iterator[Artefact]:
    for name in healthy:
        yield Artefact(f"whole: {name}", WHOLE, (), lay(name))
    for what, (kind, name, change, findings) in damage.items():
        yield Artefact(what, kind, findings, lay(name, change))


_MORE = (
    Artefact("killed", CUT, _DAMAGED, killed),
    Artefact("an error message", OTHER, _DAMAGED, text("pg_dump: error: connection to server failed\n")),
    Artefact("a page of a web server", OTHER, _DAMAGED, text("<html>403 Forbidden</html>\n")),
    Artefact("zeros", CHANGED, _DAMAGED, text("\0" * 4096)),
    Artefact("another database", OTHER, ("backup-of-another",), lay("custom.gzip", database="billing")),
    Artefact("not written for years", OLD, ("backup-too-old",), lay("custom.gzip", stale, max_age="26h")),
    Artefact("whole: with its roles", WHOLE, (), roles(lambda given: given)),
    Artefact(
        "a role is missing", LESS, ("backup-incomplete",), roles(lambda given: given.replace("CREATE ROLE auditor;", ""))
    ),
)
CORPUS = Corpus("pg_dump", opened, (*_artefacts(HEALTHY, _DAMAGE), *_MORE))
CORPUS_17 = Corpus("pg_dump", opened_17, tuple(_artefacts(HEALTHY_17, _DAMAGE_17)))
CORPORA = (CORPUS, CORPUS_17)

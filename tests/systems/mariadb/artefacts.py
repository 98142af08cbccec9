"""Backups of a real MariaDB server as a corpus: dumps and physical backups, intact ones and ones with a single damage."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.artefacts import CHANGED, CUT, EMPTY, LOST, OLD, OTHER, WHOLE, Artefact, Corpus
from tests.artefacts import LESS as LESS_THAN_ALL
from tests.needs import need
from tests.systems.estate import Estate
from tests.systems.mariadb import site
from tests.systems.mariadb.site import Server

PACKERS = {"gz": ["gzip", "-c"], "zst": ["zstd", "-c"], "xz": ["xz", "-c"], "lz4": ["lz4", "-c"], "bz2": ["bzip2", "-c"]}
OPTIONS = ("--single-transaction", "--routines", "--events")


def packed(data, end):
    if end not in PACKERS:
        return data
    need(PACKERS[end][0])
    return subprocess.run(PACKERS[end], input=data, capture_output=True, check=True).stdout


def flipped(data, share=0.5):
    place = int(len(data) * share)
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def cut(data, share):
    return data[: int(len(data) * share)]


def saved(tmp_path, server, data, end="sql", **source):
    place = tmp_path / "dumps"
    place.mkdir()
    (place / f"shop-2026-11-28.{end}").write_bytes(data)
    return site.estate(tmp_path, server, {"kind": "mariadb_dump", "at": str(place), **source})


DAMAGED = {
    **{f"cut at {share}": ("sql", lambda data, share=share: cut(data, share)) for share in (0.001, 0.1, 0.5, 0.9)},
    "last line cut off": ("sql", lambda data: data[: data.rindex(b"-- Dump")]),
    "first lines lost": ("sql", lambda data: data[4096:]),
    "a block of zeros": ("sql", lambda data: data[:8192] + bytes(4096) + data[12288:]),
    **{
        f"{end} {what}": (f"sql.{end}", lambda data, end=end, harm=harm: harm(packed(data, end)))
        for end in ("gz", "zst", "xz")
        for what, harm in (("cut off", lambda data: cut(data, 0.7)), ("with another bit", flipped))
    },
    "killed before the compressor": ("sql.gz", lambda data: packed(cut(data, 0.6), "gz")),
    "killed before zstd": ("sql.zst", lambda data: packed(cut(data, 0.3), "zst")),
    "no archive at all": ("sql.gz", lambda data: b"<html>Access denied</html>\n"),
}


LESS = {
    "schema only": (("--no-data", "shop"), "backup-empty"),
    "a database without tables": (("void",), "backup-empty"),
    "rows only": (("--no-create-info", "shop"), "backup-incomplete"),
    "another database": (("other",), "backup-of-another"),
    "other databases": (("--databases", "other", "void"), "backup-of-another"),
    "as XML": (("--xml", "shop"), "backup-damaged"),
    "without comments": (("--compact", "shop"), "backup-damaged"),
}


def folders(tmp_path, server, taken, *names, **source):
    place = tmp_path / "backups"
    place.mkdir()
    for name in names:
        shutil.copytree(taken / name, place / name)
    return site.estate(tmp_path, server, {"kind": "mariabackup", "at": str(place), **source}, database="")


def stream(tmp_path, server, data, end="mb"):
    place = tmp_path / "backups"
    place.mkdir()
    (place / f"shop.{end}").write_bytes(data)
    source = {"kind": "mariabackup", "at": str(place), "form": "stream"}
    return site.estate(tmp_path, server, source, database="")


def spoil(path, data):
    path.write_bytes(data(path.read_bytes()))


def page(data, number):
    """Change one byte in the middle of a page of 16 KiB."""
    return (
        flipped(data[: number * 16384 + 16384], (number * 16384 + 8000) / (number * 16384 + 16384))
        + data[number * 16384 + 16384 :]
    )


def tables(folder):
    return next(path for path in (folder / "shop").glob("customers.*") if path.suffix in (".ibd", ".new"))


def killed(folder):
    """Remove the end of the file, as when the job was killed."""
    for name in ("mariadb_backup_info", "mariadb_backup_checkpoints"):
        (folder / name).unlink()


CHECKED = {
    "killed": killed,
    "killed at its last file": lambda folder: (folder / "mariadb_backup_info").unlink(),
    "empty checkpoints": lambda folder: (folder / "mariadb_backup_checkpoints").write_text(""),
    "log that ends too early": lambda folder: spoil(
        folder / "mariadb_backup_checkpoints", lambda data: data.replace(b"last_lsn = ", b"last_lsn = 1\nx = ")
    ),
    "another byte in a page of a table": lambda folder: spoil(tables(folder), lambda data: page(data, 3)),
    "another byte in the system tablespace": lambda folder: spoil(folder / "ibdata1", lambda data: page(data, 5)),
    "another byte in the undo log": lambda folder: spoil(folder / "undo001", lambda data: page(data, 3)),
    "a table cut off in a page": lambda folder: os.truncate(tables(folder), 3 * 16384 + 100),
    "a table cut off between two pages": lambda folder: os.truncate(tables(folder), 6 * 16384),
    "an undo log cut off between two pages": lambda folder: os.truncate(folder / "undo002", 40 * 16384),
    "a table of no byte": lambda folder: os.truncate(tables(folder), 0),
}


STREAMS = {
    **{
        f"cut at {share}": ("mb", lambda data, share=share: cut(data, share), "backup-damaged")
        for share in (0.2, 0.7, 0.9999)
    },
    "another bit": ("mb", flipped, "backup-damaged"),
    "compressed and cut off": ("mb.gz", lambda data: cut(packed(data, "gz"), 0.5), "backup-damaged"),
    "cut off before the compressor": ("mb.gz", lambda data: packed(cut(data, 0.5), "gz"), "backup-damaged"),
    "no byte": ("mb.gz", lambda data: packed(b"", "gz"), "backup-empty"),
}


RESTORED = {
    "a log that is cut off": (lambda folder: os.truncate(folder / "ib_logfile0", 2048), "backup-damaged"),
    "no log": (lambda folder: (folder / "ib_logfile0").unlink(), "backup-damaged"),
    "a table without its file": (lambda folder: (folder / "shop" / "orders.ibd").unlink(), "table-corrupt"),
}


@dataclass(frozen=True)
class Taken:
    """Server, and backups of it."""

    server: Server
    folder: Path

    @cached_property
    def dump(self) -> bytes:
        """Intact dump."""
        return self.server.dump(*OPTIONS, "shop")


@contextmanager
def opened(folder: Path) -> Iterator[Taken]:
    """Server whose databases use every feature; physical backups are taken of it."""
    (folder / "server").mkdir()
    (folder / "taken").mkdir()
    with site.running(folder / "server") as server:
        yield take(server, folder / "taken")


def take(server: Server, root: Path) -> Taken:
    """Take a full backup, an incremental backup on it, and a stream."""
    server.sql("SET GLOBAL innodb_log_checkpoint_now = 1; CREATE DATABASE IF NOT EXISTS void")
    server.backup(f"--target-dir={root}/full")
    server.sql("REPLACE INTO t SELECT seq FROM seq_2_to_500", "other")
    server.backup(f"--target-dir={root}/step", f"--incremental-basedir={root}/full")
    (root / "stream").write_bytes(server.backup("--stream=mbstream"))
    return Taken(server, root)


def lay(end: str, harm: Callable[[bytes], bytes], **source: object) -> Callable[[Taken, Path], Estate]:
    return lambda taken, root: saved(root, taken.server, harm(taken.dump), end, **source)


def dumped(*arguments: str) -> Callable[[Taken, Path], Estate]:
    """Dump with other options."""
    return lambda taken, root: saved(root, taken.server, taken.server.dump(*arguments))


def without_rights(taken: Taken, root: Path) -> Estate:
    """Account without permission to read routines: the dump shows this only in a comment."""
    data = taken.server.dump("--routines", "--force", "shop", user="reader", check=False)
    return saved(root, taken.server, data)


def after_an_error(*options: str, end: str = "sql") -> Callable[[Taken, Path], Estate]:
    """Dump of a database with a broken view; without `--force` mysqldump stops there, but the compressor does not fail."""

    def laid(taken: Taken, root: Path) -> Estate:
        server = taken.server
        server.sql("CREATE TABLE gone(a INT); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone", "shop")
        try:
            data = server.dump(*options, "shop", check=False)
        finally:
            server.sql("DROP VIEW broken", "shop")
        return saved(root, server, packed(data, end.rpartition(".")[2]), end)

    return laid


def of_nothing(taken: Taken, root: Path) -> Estate:
    """Intact backup of a server without tables, taken from the wrong server or before its data was loaded."""
    with site.running(_made(root / "bare"), content="CREATE DATABASE shop") as bare:
        data = bare.backup("--stream=mbstream")
    return stream(root, taken.server, data)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def stale(taken: Taken, root: Path) -> Estate:
    made = saved(root, taken.server, taken.dump, max_age="26h")
    for path in (root / "dumps").iterdir():
        os.utime(path, (1_700_000_000,) * 2)
    return made


def lay_folder(harm: Callable[[Path], object]) -> Callable[[Taken, Path], Estate]:
    def laid(taken: Taken, root: Path) -> Estate:
        made = folders(root, taken.server, taken.folder, "full")
        harm(root / "backups" / "full")
        return made

    return laid


def lay_stream(end: str, harm: Callable[[bytes], bytes]) -> Callable[[Taken, Path], Estate]:
    return lambda taken, root: stream(root, taken.server, harm((taken.folder / "stream").read_bytes()), end)


def between_parts(data: bytes) -> bytes:
    """Cut a stream between two of its parts; mbstream itself exits with status 0 there."""
    return data[: data.rindex(b"XBSTCK01", 0, data.index(b"mariadb_backup_info"))]


def _sort(what: str) -> str:
    words = (("cut", CUT), ("killed", CUT), ("compressed and", CUT), ("lost", LOST), ("no archive", OTHER), ("empty", EMPTY))
    more = (("no byte", EMPTY), ("no log", LOST), ("without its file", LOST))
    return next((sort for word, sort in (*words, *more) if word in what), CHANGED)


_LESS = {"schema only": LESS_THAN_ALL, "rows only": LESS_THAN_ALL, "a database without tables": EMPTY}
_DAMAGED = ("backup-damaged",)
DUMPS = (
    *(
        Artefact(f"whole: {end}", WHOLE, (), lay(end, lambda data, end=end: packed(data, end.rpartition(".")[2])))
        for end in ("sql", *(f"sql.{end}" for end in PACKERS))
    ),
    *(Artefact(what, _sort(what), _DAMAGED, lay(end, harm)) for what, (end, harm) in DAMAGED.items()),
    *(
        Artefact(
            f"no byte: {end}", EMPTY, ("backup-empty", *more), lay(f"sql{end}", lambda data, end=end: packed(b"", end[1:]))
        )
        for end, more in (("", ("backup-shrunken",)), (".gz", ()), (".xz", ()))
    ),
    *(Artefact(what, _LESS.get(what, OTHER), (code,), dumped(*options)) for what, (options, code) in LESS.items()),
    Artefact("a login without rights", LESS_THAN_ALL, ("backup-incomplete",), without_rights),
    Artefact("stopped at a broken view", CUT, _DAMAGED, after_an_error(end="sql.gz")),
    Artefact("went on after a broken view", LESS_THAN_ALL, ("backup-incomplete",), after_an_error("--force")),
    Artefact("not written for years", OLD, ("backup-too-old",), stale),
)
PHYSICAL = (
    Artefact("whole: a folder", WHOLE, (), lay_folder(lambda folder: None)),
    Artefact(
        "whole: with its increment",
        WHOLE,
        (),
        lambda taken, root: folders(root, taken.server, taken.folder, "full", "step"),
    ),
    *(
        Artefact(f"whole: {end}", WHOLE, (), lay_stream(end, lambda data, end=end: packed(data, end.rpartition(".")[2])))
        for end in ("mb", "mb.zst")
    ),
    *(Artefact(f"folder: {what}", _sort(what), _DAMAGED, lay_folder(harm)) for what, harm in CHECKED.items()),
    *(
        Artefact(f"stream: {what}", _sort(what), (code,), lay_stream(end, harm))
        for what, (end, harm, code) in STREAMS.items()
    ),
    Artefact("stream: of a server without a table", EMPTY, ("backup-empty",), of_nothing),
    Artefact("stream: ends between two parts", CUT, _DAMAGED, lay_stream("mb", between_parts)),
    Artefact(
        "an increment without its base",
        LOST,
        ("backup-missing",),
        lambda taken, root: folders(root, taken.server, taken.folder, "step"),
    ),
    *(
        Artefact(f"folder: {what}", _sort(what), (code,), lay_folder(harm), seen_by="restore")
        for what, (harm, code) in RESTORED.items()
    ),
)
DUMP_CORPUS, PHYSICAL_CORPUS = Corpus("mariadb_dump", opened, DUMPS), Corpus("mariabackup", opened, PHYSICAL)
CORPORA = (DUMP_CORPUS, PHYSICAL_CORPUS)

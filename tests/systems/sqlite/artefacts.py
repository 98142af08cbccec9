"""Copies of real SQLite databases as a corpus: intact ones, and ones with a single damage."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.artefacts import CHANGED, CUT, EMPTY, LOST, OLD, OTHER, WHOLE, Artefact, Corpus
from tests.systems.estate import Estate

ROWS = 3000
PAGE = 4096


class Shop:
    """Service with its database in WAL mode, open while it is copied."""

    def __init__(self, root, mode="wal"):
        self.folder, self.copies = root / "shop", root / "copies"
        self.folder.mkdir()
        self.copies.mkdir()
        self.path = self.folder / "shop.db"
        self.session = sqlite3.connect(self.path, isolation_level=None)
        self.session.execute(f"PRAGMA journal_mode={mode}")
        self.session.executescript(
            "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
            "CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer (id), note TEXT, at TEXT);"
            "CREATE INDEX purchase_customer ON purchase (customer);"
        )
        self.add(ROWS)
        self.session.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def add(self, count, at=None):
        """Write rows in one transaction."""
        chance = random.Random(count)
        at = at or f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        self.session.execute("BEGIN")
        first = self.session.execute("SELECT coalesce(max(id), 0) + 1 FROM customer").fetchone()[0]
        for number in range(first, first + count):
            self.session.execute("INSERT INTO customer VALUES (?, ?)", (number, f"customer {number}"))
            note = chance.randbytes(150).hex()
            self.session.execute("INSERT INTO purchase (customer, note, at) VALUES (?, ?, ?)", (number, note, at))
        self.session.execute("COMMIT")

    def backup(self, name="shop.db"):
        """`.backup`, as sqlite3(1) does it."""
        with sqlite3.connect(self.copies / name) as target:
            self.session.backup(target)
        target.close()
        return self.copies / name

    def vacuum(self, name="shop.db"):
        self.session.execute("VACUUM INTO ?", (str(self.copies / name),))
        return self.copies / name

    def copy(self, name="shop.db", *, log=True):
        """Copy the files while the service runs."""
        shutil.copy2(self.path, self.copies / name)
        if log:
            shutil.copy2(f"{self.path}-wal", self.copies / f"{name}-wal")
        return self.copies / name

    def close(self):
        self.session.close()


def estate(shop, **source):
    root = shop.folder.parent / "estate"
    root.mkdir()
    given = {"kind": "sqlite", "at": str(shop.copies), **source}
    return Estate(root, services={"copy": {"kind": "folder", "sandbox": {}}}, backups={"shop": given})


def flip(path, place):
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x40]))


def root_of(path, name):
    session = sqlite3.connect(path)
    [page] = session.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    session.close()
    return page


def swap_pages(path):
    data = bytearray(path.read_bytes())
    one, other = (PAGE * (root_of(path, name) - 1) for name in ("customer", "purchase_customer"))
    data[one : one + PAGE], data[other : other + PAGE] = data[other : other + PAGE], data[one : one + PAGE]
    path.write_bytes(data)


def zero_page(path):
    with path.open("r+b") as file:
        file.seek(PAGE * 40)
        file.write(bytes(PAGE))


def without_index_row(path):
    """Index with missing rows: the index is removed from the schema, rows are added, and it is added again."""
    session = sqlite3.connect(path, isolation_level=None)
    row = session.execute("SELECT * FROM sqlite_master WHERE name = 'purchase_customer'").fetchone()
    session.execute("PRAGMA writable_schema=ON")
    session.execute("DELETE FROM sqlite_master WHERE name = 'purchase_customer'")
    session.close()
    session = sqlite3.connect(path, isolation_level=None)
    session.execute("INSERT INTO purchase (customer) VALUES (1)")
    session.execute("PRAGMA writable_schema=ON")
    session.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    session.close()


DAMAGE = {
    "cut inside of a page": ("not a multiple of its page size", lambda path: os.truncate(path, path.stat().st_size - 1000)),
    "cut between two pages": ("pages", lambda path: os.truncate(path, path.stat().st_size // PAGE // 2 * PAGE)),
    "cut inside of the header": ("fewer than its header needs", lambda path: os.truncate(path, 60)),
    "one page missing at the end": ("pages", lambda path: os.truncate(path, path.stat().st_size - PAGE)),
    "page of a table flipped": ("", lambda path: flip(path, PAGE * (root_of(path, "purchase") - 1))),
    "page of an index flipped": ("", lambda path: flip(path, PAGE * (root_of(path, "purchase_customer") - 1))),
    "number of cells flipped": ("", lambda path: flip(path, PAGE * (root_of(path, "customer") - 1) + 4)),
    "schema flipped": ("", lambda path: flip(path, 100)),
    "page zeroed": ("", zero_page),
    "pages swapped": ("", swap_pages),
    "row missing in an index": ("purchase_customer", without_index_row),
    "page size flipped": ("page size", lambda path: flip(path, 17)),
    "gzip under the name of a database": ("1f 8b", lambda path: path.write_bytes(gzip.compress(path.read_bytes()))),
    "dump of SQL": ("another kind of file", lambda path: path.write_text("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")),
    "encrypted": ("another kind of file", lambda path: path.write_bytes(os.urandom(path.stat().st_size))),
}


LOGS = {
    "cut in the middle of a frame": ("ends in the middle of frame", lambda log: os.truncate(log, log.stat().st_size - 1000)),
    "a frame flipped": ("the checksum of frame", lambda log: flip(log, log.stat().st_size // 2)),
    "its first frame flipped": ("the checksum of frame 1 ", lambda log: flip(log, 32 + 24 + 10)),
    "its header flipped": ("header of the log is damaged", lambda log: flip(log, 9)),
    "cut inside of its header": ("header of the log is damaged", lambda log: os.truncate(log, 20)),
}


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Each artefact has a separate service, which runs while its copy is taken."""
    yield folder


def lay(act: Callable[[Shop], object], **source: object) -> Callable[[Path, Path], Estate]:
    def laid(_: Path, root: Path) -> Estate:
        shop = Shop(root)
        try:
            act(shop)
        finally:
            shop.session.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shop.close()
        return estate(shop, **source)

    return laid


def torn(damage: Callable[[Path], None]) -> Callable[[Shop], None]:
    """Plain copy of ten transactions, with an incomplete log."""

    def made(shop: Shop) -> None:
        for _ in range(10):
            shop.add(20)
        damage(shop.copies / f"{shop.copy().name}-wal")

    return made


def edited(*statements: str) -> Callable[[Shop], None]:
    """A copy that was changed with SQL."""

    def made(shop: Shop) -> None:
        with sqlite3.connect(shop.backup(), isolation_level=None) as session:
            for statement in statements:
                session.execute(statement)
        session.close()

    return made


def other_database(shop: Shop) -> None:
    with sqlite3.connect(shop.copies / "shop.db") as other:
        other.execute("CREATE TABLE session (id INTEGER)")
        other.execute("INSERT INTO session VALUES (1)")
    other.close()


def without_log(shop: Shop) -> None:
    shop.add(100)
    shop.copy(log=False)


def without_log_beside_another(shop: Shop) -> None:
    shop.add(100)
    shop.copy("monday.db")
    os.utime(shop.copies / "monday.db", (1, 1))
    os.utime(shop.copies / "monday.db-wal", (2, 2))
    shop.copy("tuesday.db", log=False)


def old_state(shop: Shop) -> None:
    """Every night, the job copies a file to which the service no longer writes."""
    shop.session.execute("UPDATE purchase SET at = '2025-01-31 12:00:00'")
    shop.backup()


def old_file(shop: Shop) -> None:
    os.utime(shop.backup(), (1_700_000_000,) * 2)


def with_log(shop: Shop) -> None:
    shop.add(100)
    shop.copy()


def _sort(what: str) -> str:
    if "cut" in what or "missing at the end" in what:
        return CUT
    return OTHER if what in ("gzip under the name of a database", "dump of SQL", "encrypted", "pages swapped") else CHANGED


ARTEFACTS = (
    Artefact("whole: .backup", WHOLE, (), lay(Shop.backup, max_age="1h", tables=["purchase"], clock="purchase.at")),
    Artefact("whole: VACUUM INTO", WHOLE, (), lay(Shop.vacuum)),
    Artefact("whole: a plain copy with its log", WHOLE, (), lay(with_log)),
    *(
        Artefact(what, _sort(what), ("backup-damaged",), lay(lambda shop, damage=damage: damage(shop.backup())))
        for what, (_, damage) in DAMAGE.items()
    ),
    *(Artefact(f"log: {what}", _sort(what), ("backup-damaged",), lay(torn(damage))) for what, (_, damage) in LOGS.items()),
    Artefact("log not copied", LOST, ("backup-damaged",), lay(without_log, log="needed")),
    Artefact("log not copied, that of another copy was", LOST, ("backup-damaged",), lay(without_log_beside_another)),
    Artefact("no bytes", EMPTY, ("backup-empty", "backup-shrunken"), lay(lambda shop: (shop.copies / "shop.db").touch())),
    Artefact("no row", EMPTY, ("backup-empty",), lay(edited("DELETE FROM purchase", "DELETE FROM customer"))),
    Artefact(
        "no row in a table that needs some",
        EMPTY,
        ("backup-empty",),
        lay(edited("DELETE FROM purchase"), tables=["customer", "purchase"]),
    ),
    Artefact("another database", OTHER, ("backup-of-another",), lay(other_database, tables=["purchase"])),
    Artefact("a row without its parent", LOST, ("reference-broken",), lay(edited("DELETE FROM customer WHERE id = 7"))),
    Artefact("a fresh copy of an old state", OLD, ("backup-too-old",), lay(old_state, max_age="26h", clock="purchase.at")),
    Artefact("not written for years", OLD, ("backup-too-old",), lay(old_file, max_age="26h")),
)
CORPORA = (Corpus("sqlite", opened, ARTEFACTS),)

"""Repositories of a real pgBackRest as a corpus: intact ones, and ones with a single damage."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.artefacts import CHANGED, CUT, EMPTY, KEY, LOST, OLD, OTHER, WHOLE, Artefact, Corpus
from tests.systems.estate import Estate
from tests.systems.pgbackrest.team import STANZA, estate, team


@contextlib.contextmanager
def opened(folder: Path, options: dict[str, str]) -> Iterator[SimpleNamespace]:
    """Team with a full, a differential and an incremental backup, and later WAL."""
    with team(folder / "team", **options) as made:
        made.write(1)
        labels = {kind: made.backup(kind) for kind in ("full", "diff", "incr")}
        for row in (2, 3, 4):
            made.write(row)
            made.archived()
        yield SimpleNamespace(team=made, options=options, **labels)


def flip(path, at=0.5):
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0x40
    path.write_bytes(data)


class Damage:
    """Copied repository, with the files to damage."""

    def __init__(self, root, made):
        self.root, self.made = root, made
        self.repository = made.team.copy(root, **made.options)
        self.backups, self.archive = (self.repository / part / STANZA for part in ("backup", "archive"))
        self.newest, self.full = self.backups / made.incr, self.backups / made.full

    def wal(self, position):
        """File of a segment, counted from the first one that the newest backup needs."""
        manifest = (self.newest / "backup.manifest").read_text()
        start = manifest.split('backup-archive-start="')[1][:24]
        names = sorted(path for path in self.archive.rglob("*-*") if path.is_file() and path.name[:24] >= start)
        return names[position]

    def estate(self, **source):
        return estate(self.root, self.made.team, self.repository, **source)


def bundle(damage):
    flip(max(damage.full.glob("bundle/*"), key=lambda path: path.stat().st_size))


def cut_bundle(damage):
    path = max(damage.full.glob("bundle/*"), key=lambda path: path.stat().st_size)
    os.truncate(path, path.stat().st_size // 3)


def lost_bundle(damage):
    for path in damage.full.glob("bundle/*"):
        path.unlink()


def lost_full(damage):
    shutil.rmtree(damage.full)


def manifests(damage):
    for name in ("backup.manifest", "backup.manifest.copy"):
        flip(damage.newest / name)


def lost_manifests(damage):
    for name in ("backup.manifest", "backup.manifest.copy"):
        (damage.newest / name).unlink()


def one_manifest(damage):
    flip(damage.newest / "backup.manifest")


def lost_copy_of_manifest(damage):
    (damage.newest / "backup.manifest.copy").unlink()


def one_list(damage):
    flip(damage.backups / "backup.info")


def lists(damage):
    for name in ("backup.info", "backup.info.copy"):
        flip(damage.backups / name)


def lost_lists(damage):
    for name in ("backup.info", "backup.info.copy"):
        (damage.backups / name).unlink()


def archive_lists(damage):
    for name in ("archive.info", "archive.info.copy"):
        flip(damage.archive / name)


def one_archive_list(damage):
    flip(damage.archive / "archive.info.copy")


def first_wal(damage):
    damage.wal(0).unlink()


def wal_gap(damage):
    damage.wal(2).unlink()


def wal_damaged(damage):
    flip(damage.wal(2))


def newest_wal_cut(damage):
    path = damage.wal(-1)
    os.truncate(path, path.stat().st_size // 2)


def wal_twice(damage):
    path = damage.wal(1)
    shutil.copy(damage.wal(2), path.with_name(f"{path.name[:24]}-{'0' * 40}{path.suffix}"))


def no_wal(damage):
    shutil.rmtree(next(damage.archive.glob("17-1")))


def no_stanza(damage):
    shutil.rmtree(damage.backups)
    shutil.rmtree(damage.archive)


def truncated_label(damage):
    os.truncate(next(damage.newest.glob("pg_data/backup_label*")), 20)


BUNDLED = [
    (bundle, "backup-damaged"),
    (cut_bundle, "backup-damaged"),
    (lost_bundle, "backup-missing"),
    (lost_full, "backup-missing"),
    (manifests, "backup-damaged"),
    (lost_manifests, "backup-missing"),
    (one_manifest, "backup-damaged"),
    (lost_copy_of_manifest, "backup-missing"),
    (one_list, "backup-damaged"),
    (lists, "backup-damaged"),
    (lost_lists, "backup-missing"),
    (archive_lists, "backup-damaged"),
    (one_archive_list, "backup-damaged"),
    (first_wal, "wal-gap"),
    (wal_gap, "wal-gap"),
    (wal_damaged, "wal-gap"),
    (newest_wal_cut, "wal-gap"),
    (wal_twice, "wal-gap"),
    (no_wal, "wal-gap"),
    (no_stanza, "backup-missing"),
    (truncated_label, "backup-damaged"),
]


def plain_file(damage):
    flip(max(damage.full.glob("pg_data/base/**/*.lz4"), key=lambda path: path.stat().st_size))


def lost_plain_file(damage):
    max(damage.full.glob("pg_data/base/**/*.lz4"), key=lambda path: path.stat().st_size).unlink()


def empty_plain_file(damage):
    max(damage.full.glob("pg_data/base/**/*.lz4"), key=lambda path: path.stat().st_size).write_bytes(b"")


def exchanged_files(damage):
    """Two intact files exchanged: both can be decompressed."""
    files = sorted(damage.full.glob("pg_data/base/**/*.lz4"), key=lambda path: path.stat().st_size)
    first, kept = files[-1], files[-1].read_bytes()
    second = next(path for path in reversed(files) if path.read_bytes() != kept)
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


PLAIN = [
    (plain_file, "backup-damaged"),
    (lost_plain_file, "backup-missing"),
    (empty_plain_file, "backup-damaged"),
    (exchanged_files, "backup-damaged"),
    (wal_damaged, "wal-gap"),
    (first_wal, "wal-gap"),
]


BUNDLES, FILES = {"repo1-bundle": "y"}, {"compress-type": "lz4"}
SECRET = {"repo1-cipher-type": "aes-256-cbc", "repo1-cipher-pass": "right-phrase"}


@contextlib.contextmanager
def opened_secret(folder: Path) -> Iterator[SimpleNamespace]:
    """A team with an encrypted repository."""
    with team(folder / "team", **SECRET) as made:
        made.write(1)
        made.backup("full")
        made.archived()
        yield SimpleNamespace(team=made, options=SECRET)


@contextlib.contextmanager
def opened_bare(folder: Path) -> Iterator[SimpleNamespace]:
    """Team that backs up the wrong cluster, with a table that never had a row."""
    with team(folder / "team", **BUNDLES) as made:
        made.backup("full")
        made.archived()
        yield SimpleNamespace(team=made, options=BUNDLES)


def lay(damaging: Callable[[Damage], object], **source: Any) -> Callable[[SimpleNamespace, Path], Estate]:
    def laid(made: SimpleNamespace, root: Path) -> Estate:
        damage = Damage(root, made)
        damaging(damage)
        return damage.estate(**source)

    return laid


def secret(**source: Any) -> Callable[[SimpleNamespace, Path], Estate]:
    return lambda made, root: estate(root, made.team, made.team.repository, **source)


def nothing(damage: Damage) -> None:
    """Keep the repository intact."""


def _sort(name: str) -> str:
    if name in ("cut_bundle", "newest_wal_cut", "truncated_label"):
        return CUT
    if name in ("wal_twice", "exchanged_files"):
        return OTHER
    if name.startswith("empty"):
        return EMPTY
    return LOST if name.startswith(("lost", "no_", "first_wal", "wal_gap")) else CHANGED


def _artefacts(damages: list[tuple[Callable[[Damage], object], str]]) -> Iterator[Artefact]:
    yield Artefact("whole", WHOLE, (), lay(nothing))
    for damaging, code in damages:
        name = damaging.__name__
        yield Artefact(name.replace("_", " "), _sort(name), (code,), lay(damaging))


BUNDLED_CORPUS = Corpus(
    "pgbackrest",
    partial(opened, options=BUNDLES),
    (*_artefacts(BUNDLED), Artefact("not written to any more", OLD, ("backup-too-old",), lay(nothing, max_age="1ms"))),
)
FILES_CORPUS = Corpus("pgbackrest", partial(opened, options=FILES), tuple(_artefacts(PLAIN)))
SECRET_CORPUS = Corpus(
    "pgbackrest",
    opened_secret,
    (
        Artefact("whole: encrypted", WHOLE, (), secret()),
        Artefact("wrong pass phrase", KEY, ("backup-key-lost",), secret(options={"repo1-cipher-pass": "wrong-phrase"})),
        Artefact("pass phrase lost", KEY, ("backup-key-lost",), secret(options={"repo1-cipher-type": "none"})),
    ),
)
BARE_CORPUS = Corpus(
    "pgbackrest", opened_bare, (Artefact("a cluster without a row", EMPTY, ("backup-empty",), secret(), seen_by="restore"),)
)
CORPORA = (BUNDLED_CORPUS, FILES_CORPUS, SECRET_CORPUS, BARE_CORPUS)

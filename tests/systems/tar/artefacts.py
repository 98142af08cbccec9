"""Archives of tar in every compression, as a team's own tar writes them, and functions that damage them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.artefacts import CHANGED, CUT, EMPTY, LOST, OLD, WHOLE, Artefact, Corpus
from tests.needs import need
from tests.systems.estate import Estate

ENDS = {
    "tar": None,
    "tar.gz": "gzip",
    "tgz": "gzip",
    "tar.bz2": "bzip2",
    "tar.xz": "xz",
    "tar.zst": "zstd",
    "tar.lz4": "lz4",
}
PACKED = tuple(end for end, program in ENDS.items() if program and end != "tgz")


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Folder with files of several kinds."""
    source = folder / "source"
    (source / "empty folder").mkdir(parents=True)
    (source / "text").write_text("hello\n" * 1000)
    (source / "noise").write_bytes(os.urandom(200_000))
    (source / "private").write_text("s")
    (source / "private").chmod(0o600)
    (source / "link").symlink_to("text")
    yield source


def packed(root: Path, source: Path, end: str, *what: str) -> Path:
    """Archive of the folder, by the team's own tar."""
    place = root / "backups"
    place.mkdir(exist_ok=True)
    path, program = place / f"files-2026-11-27.{end}", ENDS[end]
    options = [f"--use-compress-program={need(program)}"] if program else []
    subprocess.run(["tar", *options, "-cf", path, *(what or ("-C", str(source), "."))], check=True)
    return path


def estate(root: Path, **source: object) -> Estate:
    return Estate(
        root,
        services={"copy": {"kind": "folder", "sandbox": {}}},
        backups={"files": {"kind": "tar", "at": str(root / "backups"), **source}},
    )


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def cut_between_files(path: Path) -> None:
    """Keep the first files; tar itself exits with status 0 there."""
    listed = subprocess.run(["tar", "-tvRf", path], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    os.truncate(path, 512 * int(listed.splitlines()[3].split()[1].rstrip(":")))


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)


def lay(end: str, damage: Callable[[Path], None] = lambda path: None) -> Callable[[Path, Path], Estate]:
    def laid(source: Path, root: Path) -> Estate:
        damage(packed(root, source, end))
        return estate(root)

    return laid


def nothing(end: str) -> Callable[[Path, Path], Estate]:
    def laid(source: Path, root: Path) -> Estate:
        packed(root, source, end, "-T", "/dev/null")
        return estate(root)

    return laid


def empty_volume(end: str) -> Callable[[Path, Path], Estate]:
    """A job names a volume without the prefix of its Compose project: Docker creates an empty one, and tar saves it."""

    def laid(source: Path, root: Path) -> Estate:
        (root / "volume" / "lost+found").mkdir(parents=True)
        packed(root, root / "volume", end)
        return estate(root)

    return laid


def no_bytes(source: Path, root: Path) -> Estate:
    (root / "backups").mkdir()
    (root / "backups" / "files.tar.gz").write_bytes(b"")
    return estate(root)


def stale(source: Path, root: Path) -> Estate:
    os.utime(packed(root, source, "tar.gz"), (1_700_000_000,) * 2)
    return estate(root, max_age="26h")


def lost_between(source: Path, root: Path) -> Estate:
    """Three nights of a nightly schedule, one of which is missing."""
    for nights in (3, 2, 0):
        path = packed(root, source, "tar.gz")
        now = path.stat().st_mtime
        os.utime(path.rename(path.with_name(f"files-{nights}.tar.gz")), (now - nights * 86400,) * 2)
    return estate(root, every="24h")


DAMAGED = ("backup-damaged",)
ARTEFACTS = (
    *(Artefact(f"whole {end}", WHOLE, (), lay(end)) for end in ENDS),
    *(
        Artefact(f"{end} cut off at {share}", CUT, DAMAGED, lay(end, cut(share)))
        for end in ("tar", "tar.gz", "tar.zst", "tar.xz")
        for share in (0.1, 0.5, 0.9)
    ),
    Artefact("tar cut off between two files", CUT, DAMAGED, lay("tar", cut_between_files)),
    *(Artefact(f"{end} with a changed byte", CHANGED, DAMAGED, lay(end, changed)) for end in PACKED),
    *(Artefact(f"{end} of nothing", EMPTY, ("backup-empty",), nothing(end)) for end in ("tar", "tar.gz")),
    *(
        Artefact(f"{end} of an empty volume", EMPTY, ("backup-empty",), empty_volume(end))
        for end in ("tar", "tar.gz", "tar.zst")
    ),
    Artefact("a file of no bytes", EMPTY, ("backup-damaged", "backup-shrunken"), no_bytes),
    Artefact("not written for years", OLD, ("backup-too-old",), stale),
    Artefact("a night is missing", LOST, ("backup-gap",), lost_between),
)
CORPORA = (Corpus("tar", opened, ARTEFACTS),)

"""Receives runs from a worker in pieces. Each piece and each file is compared with its digest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from drillbook.atomic_file import private_folder
from drillbook.campaign.worker import PIECE, Piece
from drillbook.sdk.run_folder import sync_path


class TransferError(Exception):
    """Raised when a received run differs from the description that the worker gave."""


Pieces = Callable[[list[tuple[str, int]]], list[Piece]]
"""Function that reads pieces of files. It takes pairs of a file name and a position, and returns one piece for each pair."""


def fetch(folder: Path, manifest: Mapping[str, tuple[int, str]], pieces: Pieces) -> None:
    """Receive the files of ``manifest``, and store them in ``folder``. The folder appears only when it is complete.

    Raises TransferError when a file differs from its digest, and OSError when a file cannot be written.

    Parameters:
        folder: folder of the run. It must not exist yet.
        manifest: size and SHA-256 digest of each file. The key of each entry is the path of the file.
        pieces: function that reads pieces of files at the worker.
    """
    draft = folder.with_name(f".{folder.name}.arriving")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        for name in manifest:
            path = draft / _safe(name)
            private_folder(path.parent)
            path.touch(mode=0o600)
        for batch in _batches(manifest):
            for (name, start), piece in zip(batch, pieces(batch), strict=True):
                _store(draft / name, name, start, piece)
        for name, (size, digest) in manifest.items():
            _check(draft / name, name, size, digest)
        draft.rename(folder)
        sync_path(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _batches(manifest: Mapping[str, tuple[int, str]]) -> Iterator[list[tuple[str, int]]]:
    """Divide all files into pieces of at most ``PIECE`` bytes. Yield batches of pieces. A batch is complete when it has at
    least ``PIECE`` bytes, so one batch may contain many small files.
    """
    batch: list[tuple[str, int]] = []
    filled = 0
    for name, (size, _) in manifest.items():
        for start in range(0, size, PIECE):
            batch.append((name, start))
            filled += min(PIECE, size - start)
            if filled >= PIECE:
                yield batch
                batch, filled = [], 0
    if batch:
        yield batch


def _store(path: Path, name: str, start: int, piece: Piece) -> None:
    if hashlib.sha256(piece.data).hexdigest() != piece.sha256:
        raise TransferError(f"the piece of {name} from byte {start} on differs from its digest")
    with path.open("r+b") as file:
        file.seek(start)
        file.write(piece.data)


def _check(path: Path, name: str, size: int, digest: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if path.stat().st_size != size or actual != digest:
        raise TransferError(f"{name} differs from its digest: {path.stat().st_size} of {size} bytes were received")
    sync_path(path)


def _safe(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise TransferError(f"{name!r} is not the path of a file in the folder of a run")
    return name

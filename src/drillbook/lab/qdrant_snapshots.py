"""Snapshots of the lab's stand-in for a Qdrant server. A snapshot is one archive with the files of a collection.

Requests and answers have the same form as in Qdrant (https://qdrant.tech/documentation/snapshots/), and contain the SHA-256 of
the archive. The archive has a format of its own, because the engine behind the stand-in cannot write Qdrant's format. This
module uses only the standard library.
"""

from __future__ import annotations

import hashlib
import tempfile
import urllib.request
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WITHIN_S = 60.0
"""Time limit in seconds for the download of a snapshot."""
CHUNK = 1 << 20


def make(collection: Path, folder: Path) -> dict[str, Any]:
    """Archive the files of the idle ``collection`` in ``folder``.

    Return the description of the archive, as Qdrant returns it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC)
    path = folder / f"{collection.name}-{now:%Y-%m-%d-%H-%M-%S-%f}.snapshot"
    with zipfile.ZipFile(path, "w") as archive:
        for member in sorted(collection.rglob("*")):
            archive.write(member, member.relative_to(collection))
    return {
        "name": path.name,
        "creation_time": f"{now:%Y-%m-%dT%H:%M:%S}",
        "size": path.stat().st_size,
        "checksum": _digest(path),
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(location: str, checksum: str | None, target: Path) -> None:
    """Fetch the archive at ``location`` and unpack it to ``target``.

    Raises ValueError when the location is not an HTTP or HTTPS URL, when the checksum differs, or when the archive is not a
    snapshot. Raises OSError when the archive cannot be fetched. In these cases nothing is written to ``target``.
    """
    if not location.startswith(("http://", "https://")):
        raise ValueError(
            f"the lab's stand-in for Qdrant fetches a snapshot only over http, not over {location.partition(':')[0]!r}"
        )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        path = Path(draft, "snapshot")
        with opener.open(location, timeout=WITHIN_S) as answer, path.open("wb") as file:
            while data := answer.read(CHUNK):
                file.write(data)
        if checksum and _digest(path) != checksum:
            raise ValueError("Snapshot checksum mismatch")
        unpacked = Path(draft, "files")
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(unpacked)
        except zipfile.BadZipFile as error:
            raise ValueError("the file is not a snapshot of the lab's stand-in for Qdrant") from error
        if not (unpacked / "params.json").is_file():
            raise ValueError("the file is not a snapshot of the lab's stand-in for Qdrant")
        unpacked.replace(target)

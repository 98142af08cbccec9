"""The folder of a lab. It belongs to this user, and contains a file that marks it as the folder of a lab."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from drillbook.errors import LabError
from drillbook.lab import identity
from drillbook.lab.layout import LONGEST_FOLDER, MARK, SECRETS

OWNED_BY = "drillbook lab\n"
FAILED = "failed.json"


def checked(folder: Path) -> Path:
    """Return ``folder`` with symbolic links resolved. Raises LabError when a lab cannot use the folder."""
    folder = folder.resolve()
    if not sys.platform.startswith("linux"):
        raise LabError("a lab needs Linux", hint="use an inventory with other hosts")
    if len(str(folder)) > LONGEST_FOLDER:
        raise LabError(
            f"the path of the lab's folder is too long for Unix sockets in it: {folder}",
            hint="set DRILLBOOK_LAB to a folder with a shorter path",
        )
    if os.environ.get(MARK) == str(folder):
        raise LabError("this shell runs inside the lab, and so cannot control it", hint="leave this shell first")
    if any(character in str(folder) for character in "\"'%;\n\\$`{} "):
        raise LabError(
            f"the lab's folder has a character that its programs do not accept: {folder}",
            hint="set DRILLBOOK_LAB to another folder",
        )
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lab's lock during the ``with`` block, so that only one start or stop runs at a time.

    The folder itself is locked, so that no lock file remains.
    """
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            mine = os.fstat(handle)
            with contextlib.suppress(FileNotFoundError):
                if folder.stat().st_ino == mine.st_ino:
                    _refuse_foreign(folder, mine)
                    yield
                    return
        finally:
            os.close(handle)


def _refuse_foreign(folder: Path, status: os.stat_result) -> None:
    """Raise LabError if the folder belongs to another user, or if it contains files that do not belong to a lab."""
    if status.st_uid not in (os.geteuid(), identity.NOBODY if os.geteuid() == 0 else os.geteuid()):
        raise LabError(f"{folder} belongs to another user", hint="set DRILLBOOK_LAB to another folder")
    marker = folder / "OWNER"
    if any(folder.iterdir()) and not (marker.is_file() and marker.read_text(encoding="ascii") == OWNED_BY):
        raise LabError(f"{folder} contains files that do not belong to a lab", hint="set DRILLBOOK_LAB to another folder")


def begin(folder: Path) -> None:
    """Mark the folder as a lab's folder, and generate the secrets of the lab."""
    folder.chmod(0o700)
    (folder / "OWNER").write_text(OWNED_BY, encoding="ascii")
    (folder / "secrets").mkdir(mode=0o700)
    for name in SECRETS:
        with os.fdopen(os.open(folder / "secrets" / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(10 if name == "s3_key" else 20).hex())


def empty(folder: Path) -> None:
    """Remove everything in the folder, but not the folder itself."""
    for entry in sorted(
        folder.iterdir(), key=lambda entry: entry.name == "OWNER"
    ):  # The file OWNER is removed last: it marks the folder of a lab.
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def note_failure(folder: Path, error: LabError) -> None:
    """Write the error that ended the daemon to a file, so that `failure` can return it."""
    (folder / FAILED).write_text(json.dumps({"message": error.message, "hint": error.hint}), encoding="utf-8")


def failure(folder: Path) -> LabError | None:
    """Return the error that ended the daemon. Return None when the daemon stored no error; look into its log then."""
    try:
        noted = json.loads((folder / FAILED).read_bytes())
        return LabError(noted["message"], hint=noted["hint"])
    except (OSError, ValueError, LookupError, TypeError):
        return None

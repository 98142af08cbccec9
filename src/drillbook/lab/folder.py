"""The folder of a lab: one that nobody else holds, with secrets that the lab makes for itself."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from drillbook.errors import LabError
from drillbook.lab import identity
from drillbook.lab.layout import LONGEST_FOLDER, MARK, SECRETS

OWNED_BY = "drillbook lab\n"


def checked(folder: Path) -> Path:
    """The folder with links resolved, when a lab can be in it. Raises LabError."""
    folder = folder.resolve()
    if not sys.platform.startswith("linux"):
        raise LabError("a lab needs Linux", hint="use an inventory of other hosts")
    if len(str(folder)) > LONGEST_FOLDER:
        raise LabError(f"the lab's folder is too long for unix sockets: {folder}", hint="set DRILLBOOK_LAB to a shorter one")
    if os.environ.get(MARK) == str(folder):
        raise LabError("this is a session inside the lab", hint="leave it first")
    if any(character in str(folder) for character in "\"'%;\n\\$`{} "):
        raise LabError(f"the lab's folder has a character that its programs do not take: {folder}", hint="set DRILLBOOK_LAB")
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One up or down at a time. The lock is the folder itself, so that nothing is left of it."""
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


def _refuse_foreign(folder: Path, found: os.stat_result) -> None:
    """A folder that somebody else made, or that holds something else, is not ours to fill or to remove."""
    if found.st_uid not in (os.geteuid(), identity.NOBODY if os.geteuid() == 0 else os.geteuid()):
        raise LabError(f"{folder} belongs to another user", hint="set DRILLBOOK_LAB to another folder")
    marker = folder / "OWNER"
    if any(folder.iterdir()) and not (marker.is_file() and marker.read_text(encoding="ascii") == OWNED_BY):
        raise LabError(f"{folder} holds something that is not a lab", hint="set DRILLBOOK_LAB to another folder")


def begin(folder: Path) -> None:
    """Say whose the folder is, and make the secrets in it."""
    folder.chmod(0o700)
    (folder / "OWNER").write_text(OWNED_BY, encoding="ascii")
    (folder / "secrets").mkdir(mode=0o700)
    for name in SECRETS:
        with os.fdopen(os.open(folder / "secrets" / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(10 if name == "s3_key" else 20).hex())


def empty(folder: Path) -> None:
    """Remove everything in the folder, not itself."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == "OWNER"):  # last: it says that the rest is ours
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

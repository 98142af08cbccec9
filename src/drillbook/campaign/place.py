"""Places that carry out drills. A place is a project folder on a machine. The disk of the place shows which runs were
started there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import secrets
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from drillbook import __version__
from drillbook.atomic_file import private_folder
from drillbook.engine.liveness import boot_id
from drillbook.errors import UsageError
from drillbook.sdk.run_folder import sync_path

PROJECT_VARIABLE = "DRILLBOOK_PROJECT"
"""Environment variable with the path of a worker's project folder. By default, this folder is the working directory of the
worker.
"""
FILE = ".place"
PATIENCE_S = 2.0
"""Maximum time, in seconds, to wait for another process that is writing the random number of this place into ``FILE``."""
MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
"""Files with the identity of a machine. A machine without such a file is identified by its host name alone."""

FS_IOC_GETVERSION = 2 << 30 | struct.calcsize("l") << 16 | ord("v") << 8 | 1
"""Request of ioctl(2) that reads the generation of an inode; from `linux/fs.h`."""


@dataclass(frozen=True, slots=True)
class Place:
    """A project folder on a machine. Its name is ``NUMBER@MACHINE:FOLDER``. Two places are the same if their numbers are
    equal.

    The number has two parts. The first part is random, and is stored in a file in the folder of the reports. So the same
    path on another disk is another place. The second part is computed from the identity of the machine, the path, and the
    inode of that file. So a copy of the folder is another place, although the copy contains the same random part.

    A virtual machine that is set back to a snapshot is the same place as before, although its disk lacks later runs.
    """

    name: str
    version: str
    root: str
    disk: str = ""
    """Text that identifies the running system and the disk of the folder. It reveals clones of a machine: two workers whose
    places have the same number, but different values of this text, run on a machine and its clone.
    """

    @property
    def number(self) -> str:
        """Number in the name of the place. The number identifies the place."""
        return number_of(self.name)


def number_of(name: str) -> str:
    """Return the number at the beginning of a place's name; see ``Place``. An empty name means this machine, and has an empty
    number.
    """
    return name.partition("@")[0]


def is_here(name: str, own: str) -> bool:
    """Return True when the place ``name`` is this project on this machine. ``name``: name from the journal of a campaign; an
    empty name means this machine. ``own``: name of this project folder on this machine, made by ``name_of``.

    Up to version 1.0.0, the number in a name was a single random number. Newer numbers have a second part behind a hyphen. An
    old name matches when its number, host name and path are the same as in ``own`` without the second part.
    """
    number, _, where = own.partition("@")
    return number_of(name) in ("", number) or name == f"{number.partition('-')[0]}@{where}"


def is_copy(name: str, other: str) -> bool:
    """Return True when the project of one place was copied or moved to the other place. ``name`` and ``other``: names of
    the two places.
    """
    number, former = number_of(name), number_of(other)
    return number != former and number.partition("-")[0] == former.partition("-")[0]


def here(root: Path) -> Place:
    """Return the ``Place`` object for the project folder ``root`` on this machine.

    Raises UsageError when ``root`` is not a project. Raises OSError when the random number that identifies the place cannot be
    read or stored.
    """
    if not (root / "drills").is_dir():
        raise UsageError(
            f"{root} is not a project: it has no folder `drills`",
            hint=f"set {PROJECT_VARIABLE} to the folder of the project",
        )
    folder = root / "reports"
    private_folder(folder)
    own = root.resolve()
    return Place(f"{_number(folder, own)}@{platform.node()}:{own}", __version__, str(own), _disk(folder))


def name_of(root: Path) -> str:
    """Return the name of the place that consists of this machine and the project folder ``root``; see ``Place``.

    Raises UsageError when ``root`` is not a project, or when the random part of the place's number cannot be read or stored.
    """
    try:
        return here(root).name
    except OSError as error:
        raise UsageError(
            f"the file {FILE} in {root / 'reports'}, which identifies this project, cannot be used: {error.strerror or error}",
            hint="the folder of the reports must be on a disk where this account can write; see `Campaigns` in the documentation",
        ) from None


def of_worker() -> Place:
    """Return the place in which this worker process runs.

    Raises UsageError when the folder of the worker is not a project. Raises OSError when the random number that identifies the
    place cannot be read or stored.
    """
    return here(Path(os.environ.get(PROJECT_VARIABLE) or Path.cwd()))


def _number(folder: Path, root: Path) -> str:
    """Return the number that identifies a place. Every process gets the same number for the same place. ``root``: folder of
    the place, a project. ``folder``: folder with the reports of this project.
    """
    stored = _stored(folder)
    facts = "\n".join((_machine(), platform.node(), str(root), _file(folder / FILE)))
    return f"{stored}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


def _file(path: Path) -> str:
    """Return the inode number of the file. If the file system has generations of inodes, the result also contains the
    generation. A new file may get the inode number of a deleted file, but never with the same generation.
    """
    with path.open("rb") as file:
        number = os.fstat(file.fileno()).st_ino
        try:
            generation = fcntl.ioctl(file, FS_IOC_GETVERSION, bytes(struct.calcsize("l")))
        except OSError:
            return str(number)
    return f"{number}:{generation.hex()}"


def _machine() -> str:
    """Return the identity of this machine. The result is empty when the machine has no file with an identity."""
    for path in MACHINE_IDS:
        with contextlib.suppress(OSError, ValueError):
            if identity := path.read_text(encoding="ascii").strip():
                return identity
    return ""


def _disk(folder: Path) -> str:
    boot = ""
    with contextlib.suppress(OSError, ValueError):
        boot = boot_id()
    return f"{boot}:{folder.stat().st_dev}"


def _stored(folder: Path) -> str:
    """Return the random number in ``folder``. If the folder has no number yet, create a number. The number is stored on
    disk before it is returned, and all processes get the same number.
    """
    path = folder / FILE
    if not path.exists():
        draft = folder / f"{FILE}.{secrets.token_hex(4)}"
        draft.write_text(secrets.token_hex(8), encoding="ascii")
        sync_path(draft)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another process was first
        except OSError:  # a file system without hard links
            _create(path, draft.read_bytes())
        finally:
            draft.unlink()
        sync_path(folder)
    return _content(path)


def _create(path: Path, content: bytes) -> None:
    """Create a file on a file system without hard links. The file is created first and written afterwards, so another
    process may see it empty for a moment. A file that exists already is kept.
    """
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return  # another process was first
    with os.fdopen(number, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(number)


def _content(path: Path) -> str:
    limit = time.monotonic() + PATIENCE_S
    try:
        while not (content := path.read_text(encoding="ascii").strip()):
            if time.monotonic() > limit:
                raise OSError(f"{path} is empty; remove it")
            time.sleep(0.01)
    except UnicodeDecodeError:
        raise OSError(f"{path} is damaged: it contains bytes that are not ASCII; remove it") from None
    return content

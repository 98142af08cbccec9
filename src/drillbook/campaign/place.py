"""Places that carry out drills. A place is a project folder on a machine. The disk of the place shows which runs were
started there.
"""

from __future__ import annotations

import os
import platform
import secrets
from dataclasses import dataclass
from pathlib import Path

from drillbook import __version__
from drillbook.errors import UsageError
from drillbook.sdk.run_folder import sync_path

PROJECT_VARIABLE = "DRILLBOOK_PROJECT"
"""Environment variable with the path of a worker's project folder. By default, it is the working directory of the
worker.
"""
FILE = ".place"


@dataclass(frozen=True, slots=True)
class Place:
    """A project folder on a machine. A random number in the folder of its reports identifies the place, so that the
    same path on another disk is another place.
    """

    name: str
    version: str
    root: str

    @property
    def number(self) -> str:
        """Number in the name of the place. It identifies the place."""
        return number_of(self.name)


def number_of(name: str) -> str:
    """Return the number in the name of a place. This number identifies the place. For an empty name, which means this
    machine, the number is empty.
    """
    return name.partition("@")[0]


def here(root: Path) -> Place:
    """Return the project folder ``root`` on this machine as a place. Raises UsageError when ``root`` is not a project, and
    OSError when the random number that identifies the place cannot be read or stored.
    """
    if not (root / "drills").is_dir():
        raise UsageError(
            f"{root} is not a project: it has no folder `drills`",
            hint=f"set {PROJECT_VARIABLE} to the folder of the project",
        )
    folder = root / "reports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Place(f"{_number(folder)}@{platform.node()}:{root.resolve()}", __version__, str(root.resolve()))


def of_worker() -> Place:
    """Return the place in which this worker process runs. Raises UsageError when the folder of the worker is not a project,
    and OSError when the random number that identifies the place cannot be read or stored.
    """
    return here(Path(os.environ.get(PROJECT_VARIABLE) or Path.cwd()))


def _number(folder: Path) -> str:
    """Return the number of a place. If there is none yet, create a random number. It is stored on disk before it is
    returned, and all processes get the same number.
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
        finally:
            draft.unlink()
        sync_path(folder)
    return path.read_text(encoding="ascii").strip()

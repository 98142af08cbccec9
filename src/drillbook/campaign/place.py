"""Places that carry out drills: a project folder on a machine. The disk of a place knows which runs were started there."""

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
"""Environment variable of a worker with the folder of its project; default: its working directory."""
FILE = ".place"


@dataclass(frozen=True, slots=True)
class Place:
    """A project folder on a machine, identified by a random number in its reports: another disk is another place."""

    name: str
    version: str
    root: str

    @property
    def number(self) -> str:
        """Part of the name that identifies the place."""
        return number_of(self.name)


def number_of(name: str) -> str:
    """Part of a place's name that identifies it; empty for a name without one, which means this machine."""
    return name.partition("@")[0]


def here(root: Path) -> Place:
    """Return the place of the project ``root`` on this machine. Raises UsageError, OSError."""
    if not (root / "drills").is_dir():
        raise UsageError(f"{root} is no project: it has no folder drills", hint=f"set {PROJECT_VARIABLE} to the project")
    folder = root / "reports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Place(f"{_number(folder)}@{platform.node()}:{root.resolve()}", __version__, str(root.resolve()))


def of_worker() -> Place:
    """Return the place of this worker process. Raises UsageError, OSError."""
    return here(Path(os.environ.get(PROJECT_VARIABLE) or Path.cwd()))


def _number(folder: Path) -> str:
    """Read the number of a place; the first process that asks makes it, and it is on disk before it is told."""
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

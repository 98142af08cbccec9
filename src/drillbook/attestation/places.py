"""Places that hold anchors: a file, or the objects of a locked bucket."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from drillbook.errors import UsageError

CHOICE = "DRILLBOOK_ANCHOR"
"""Environment variable that names more places, with commas between them."""
BUCKET = "s3://"


class AnchorProblem(Exception):
    """A place of anchors could not be written or read; ``str()`` says which, and why."""


@dataclass(frozen=True, slots=True)
class Held:
    """Anchors as a place gave them."""

    lines: tuple[bytes, ...] = ()
    doubts: Mapping[str, str] = field(default_factory=dict)
    """Why the anchor of a run proves less than it should there, by run."""


class Place(Protocol):
    """Somewhere outside ``reports/`` where anchors are kept."""

    @property
    def source(self) -> str:
        """Name of the place, for messages."""

    def add(self, run: str, events: int, line: bytes) -> None:
        """Keep one anchor, ``line``, which ends with a newline; it is kept when this returns. Raises AnchorProblem."""

    def read(self) -> Held:
        """Read all anchors. Raises AnchorProblem."""


@dataclass(frozen=True, slots=True)
class AnchorFile:
    """A file of anchors, one a line. ``expected``: that it is not there is a problem."""

    path: Path
    expected: bool = True

    @property
    def source(self) -> str:
        """The path."""
        return str(self.path)

    def add(self, run: str, events: int, line: bytes) -> None:
        """Append ``line``. Raises AnchorProblem."""
        del run, events
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AnchorProblem(f"the anchor {self.path} cannot be written: {error.strerror}") from None

    def read(self) -> Held:
        """Read all lines. Raises AnchorProblem."""
        try:
            return Held(tuple(self.path.read_bytes().splitlines()))
        except FileNotFoundError:
            if not self.expected:
                return Held()
            raise AnchorProblem(f"there is no anchor {self.path}") from None
        except OSError as error:
            raise AnchorProblem(f"the anchor {self.path} cannot be read: {error.strerror}") from None


def default(reports: Path) -> Path | None:
    """The anchor file of a folder of reports in the user's state folder; None where this user has none."""
    whole = reports.resolve()
    return in_state("anchors", whole, whole.parent, ".jsonl")


def in_state(kind: str, of: Path, project: Path, ending: str) -> Path | None:
    """The file that the user's state folder has for the path ``of`` of a project; None where this user has none."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    name = re.sub(r"[^A-Za-z0-9._-]", "-", project.resolve().name)[:40]
    return folder / "drillbook" / kind / f"{name}-{hashlib.sha256(str(of).encode()).hexdigest()[:16]}{ending}"


def named(text: str) -> Place:
    """The place that ``text`` names: a path, or ``s3://bucket/prefix?keep=400d``. Raises UsageError."""
    if text.startswith(BUCKET):
        from drillbook.attestation.bucket import AnchorBucket  # noqa: PLC0415  keeps start-up fast

        return AnchorBucket.parse(text)
    try:
        return AnchorFile(Path(text).expanduser())
    except RuntimeError:
        raise UsageError(f"the anchor {text!r} is in the home of a user that is not known") from None


def places(reports: Path) -> list[Place]:
    """Places of the anchors of a folder of reports: the state folder, and those in DRILLBOOK_ANCHOR. Raises UsageError."""
    own = default(reports)
    return [
        *([AnchorFile(own, expected=False)] if own else []),
        *(named(one.strip()) for one in os.environ.get(CHOICE, "").split(",") if one.strip()),
    ]

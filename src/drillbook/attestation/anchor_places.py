"""Places where anchors (copies of journal hashes) are stored. A place is a file, or the objects of a locked bucket."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from drillbook.atomic_file import private_folder
from drillbook.attestation.place_contract import BUCKET, AnchorProblem, Held, Place
from drillbook.errors import UsageError

CHOICE = "DRILLBOOK_ANCHOR"
"""Environment variable that lists additional places for anchors, separated by commas."""


@dataclass(frozen=True, slots=True)
class AnchorFile:
    """Place for anchors: a file with one anchor on each line.

    When ``expected`` is true, reading raises AnchorProblem if the file is missing.
    """

    path: Path
    expected: bool = True

    @property
    def source(self) -> str:
        """Path of the file with the anchors, for messages."""
        return str(self.path)

    def add(self, run: str, events: int, line: bytes) -> None:
        """Append ``line`` to the file. When this method returns, the line is on disk and survives a crash.

        Raises AnchorProblem when the line cannot be written.
        """
        del run, events
        try:
            private_folder(self.path.parent)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AnchorProblem(f"the anchor file {self.path} cannot be written: {error.strerror}") from None

    def read(self) -> Held:
        """Read all lines of the file. Raises AnchorProblem when this fails."""
        try:
            return Held(tuple(self.path.read_bytes().splitlines()))
        except FileNotFoundError:
            if not self.expected:
                return Held()
            raise AnchorProblem(f"the anchor file {self.path} does not exist") from None
        except OSError as error:
            raise AnchorProblem(f"the anchor file {self.path} cannot be read: {error.strerror}") from None


def default(reports: Path) -> Path | None:
    """Return the path of the anchor file for the folder ``reports``, in the user's state folder.

    Returns None if the state folder is unknown.
    """
    whole = reports.resolve()
    return in_state("anchors", whole, whole.parent, ".jsonl")


def in_state(kind: str, of: Path, project: Path, ending: str) -> Path | None:
    """Return the path of a file in the user's state folder. The file stores data about the path ``of``. There is a separate
    file for each ``of``.

    Returns None if the state folder is unknown.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    name = re.sub(r"[^A-Za-z0-9._-]", "-", project.resolve().name)[:40]
    return folder / "drillbook" / kind / f"{name}-{hashlib.sha256(str(of).encode()).hexdigest()[:16]}{ending}"


def named(text: str) -> Place:
    """Return the place for anchors that ``text`` describes: a path, or ``s3://bucket/prefix?keep=400d``.

    Raises UsageError when ``text`` has another form.
    """
    if text.startswith(BUCKET):
        from drillbook.attestation.bucket import AnchorBucket  # noqa: PLC0415  keeps start-up fast

        return AnchorBucket.parse(text)
    try:
        return AnchorFile(Path(text).expanduser())
    except RuntimeError:
        raise UsageError(f"the path {text!r} for anchors begins with the home folder of a user who does not exist") from None


def places(reports: Path) -> list[Place]:
    """Return all places that store anchors of the runs in ``reports``.

    The first place is a file in the user's state folder. The other places are read from the environment variable
    DRILLBOOK_ANCHOR.

    Raises UsageError when a place in DRILLBOOK_ANCHOR is invalid.
    """
    own = default(reports)
    return [
        *([AnchorFile(own, expected=False)] if own else []),
        *(named(part.strip()) for part in os.environ.get(CHOICE, "").split(",") if part.strip()),
    ]

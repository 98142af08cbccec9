"""Interface of the places where anchors (copies of journal hashes) are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

BUCKET = "s3://"


class AnchorProblem(Exception):
    """Raised when anchors cannot be written to a place, or cannot be read from it.

    The message names the place and the reason.
    """


@dataclass(frozen=True, slots=True)
class Held:
    """All anchors that were read from one place. Each anchor is a line of JSON."""

    lines: tuple[bytes, ...] = ()
    doubts: Mapping[str, str] = field(default_factory=dict)
    """Reasons why anchors are weak evidence. The key of each entry is the name of the run to which the anchor belongs. For
    example, the anchor may be stored in a bucket as an object without an object lock.
    """


class Place(Protocol):
    """A place outside of ``reports/`` that stores anchors.

    Anchors are copies of journal hashes. They reveal later changes of a journal.
    """

    @property
    def source(self) -> str:
        """Name of the place, for messages."""

    def add(self, run: str, events: int, line: bytes) -> None:
        """Store the anchor ``line``. When this method returns, the anchor is on disk and survives a crash.

        The line ends with a newline. Raises AnchorProblem when the anchor cannot be written.
        """

    def read(self) -> Held:
        """Read all anchors of the place. Raises AnchorProblem when they cannot be read."""

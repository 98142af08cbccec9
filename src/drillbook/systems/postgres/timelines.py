"""Finds the segments of received WAL that a recovery replays, across timeline switches, and detects missing segments.

Each recovery starts a new timeline. The first WAL segment of the new timeline has the same number as the last segment of
the old timeline. If one of these two segments is lost, the other segment still has this number. So the loss cannot be found
by looking for a missing number, and PostgreSQL reports no error. If the segment of the new timeline is missing, the server
reads the segment of the old timeline instead, and replays records written after the switch.

Sources: PostgreSQL's manual, sections 25.3.6 "Timelines" and 28.6 (names of files), and the functions
``findNewestTimeLine`` and ``XLogFileReadAnyTLI`` in PostgreSQL's source (behaviour of the server).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drillbook.errors import StepFailed

PARTIAL = ".partial"
"""Suffix in the name of a file with a WAL segment that is not completely received."""
COMPRESSED = (".gz", ".lz4", ".zst")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_LSN = r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}"


@dataclass(frozen=True, slots=True)
class Switch:
    """Point at which a timeline ends. ``at``: WAL location in bytes from which the WAL continues on the next timeline."""

    timeline: int
    at: int


@dataclass(frozen=True, slots=True)
class Way:
    """WAL files in the order in which a recovery reads them.

    ``missing``: description of a problem with a file, or an empty text if there is no problem.
    """

    timeline: int
    files: tuple[str, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """List of the files in a folder with WAL.

    ``sizes``: size of each file in bytes, with the file's name as the key; ``segment_bytes``: size of a complete WAL
    segment.
    """

    sizes: Mapping[str, int]
    segment_bytes: int

    def newest(self, timeline: int) -> int:
        """Return the last timeline that a recovery from ``timeline`` can reach.

        Every timeline after ``timeline``, up to the returned timeline, has a history file. The next timeline has no
        history file.
        """
        while history_file(timeline + 1) in self.sizes:
            timeline += 1
        return timeline

    def way(self, timeline: int, since: int, switches: Sequence[Switch]) -> Way:
        """Return the WAL files that a recovery reads if it begins at the WAL location ``since`` on ``timeline``.

        A WAL location is a number of bytes. ``switches``: history of the newest timeline.
        """
        newest = self.newest(timeline)
        latest = max([newest, *(int(name[:8], 16) for name in self.sizes if _SEGMENT.match(name))])
        if latest > newest:
            return Way(newest, (), f"{history_file(newest + 1)} is missing, but there is a segment of timeline {latest}")
        legs = [(timeline, since)]
        if newest > timeline:
            known = [switch.timeline for switch in switches]
            if timeline not in known:
                return Way(newest, (), f"timeline {newest} does not descend from timeline {timeline} of the backup")
            left = switches[known.index(timeline) :]
            if left[0].at < since:
                return Way(
                    newest,
                    (),
                    f"timeline {newest} branched off before the end of the backup: it left timeline {timeline} at "
                    f"{lsn(left[0].at)}",
                )
            after = [*(switch.timeline for switch in left[1:]), newest]
            legs += [(child, switch.at) for child, switch in zip(after, left, strict=True)]
        return self._walk(newest, legs)

    def _walk(self, newest: int, legs: Sequence[tuple[int, int]]) -> Way:
        files: list[str] = []
        for name, last in self._wanted(legs):
            file, wrong = self._file(name, last=last)
            if wrong:
                return Way(newest, tuple(files), wrong)
            files.append(file)
        return Way(newest, tuple(files))

    def _wanted(self, legs: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
        """Yield the names of all WAL segments to replay, each with a flag that is True only for the last segment.

        The segment in which one timeline ends and the next begins exists on both timelines. The segment of the new
        timeline is replayed.
        """
        size, (final, begin) = self.segment_bytes, legs[-1]
        # A partial segment smaller than its full size contains no received data.
        there = [
            number(name, size)
            for name, bytes_received in self.sizes.items()
            if _SEGMENT.match(name)
            and int(name[:8], 16) == final
            and not (name.endswith(PARTIAL) and bytes_received != size)
        ]
        ends = [*(at // size for _, at in legs[1:]), max([begin // size, *there]) + 1]
        for (timeline, at), end in zip(legs, ends, strict=True):
            for this in range(at // size, end):
                yield segment(timeline, this, size), timeline == final and this == end - 1

    def _file(self, name: str, *, last: bool) -> tuple[str, str]:
        """Return the file name of a WAL segment, and a description of the problem with this file.

        The description is empty for a good file. Only the last segment may be incomplete.
        """
        if name in self.sizes:
            size = self.sizes[name]
            return name, "" if size == self.segment_bytes else f"{name} has {size} bytes, not {self.segment_bytes}"
        partial = name + PARTIAL
        if self.sizes.get(partial) == self.segment_bytes:  # even before its first write, a segment has its full size
            return partial, "" if last else f"{name} is incomplete, but later segments exist"
        packed = next((name + end for end in COMPRESSED if name + end in self.sizes), "")
        return "", f"{packed} is compressed: decompress it" if packed else f"{name} is missing"


def history(text: str) -> list[Switch]:
    """Parse the history file of a timeline, and return the earlier timelines with their ends, the oldest first.

    Raises StepFailed when a line cannot be parsed.
    """
    switches = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.match(rf"\s*(\d+)\s+({_LSN})(?:\s|$)", line)
        if match is None:
            raise StepFailed(f"the history file of a timeline cannot be parsed: {line[:100]!r}")
        switches.append(Switch(int(match[1]), position(match[2])))
    return switches


def history_file(timeline: int) -> str:
    """Return the name of the history file of ``timeline``. The first timeline has no such file."""
    return f"{timeline:08X}.history"


def segment(timeline: int, number: int, segment_bytes: int) -> str:
    """Return the file name of a WAL segment. The name consists of the timeline and the two halves of the segment number,
    all in hexadecimal.
    """
    part = 0x1_0000_0000 // segment_bytes
    return f"{timeline:08X}{number // part:08X}{number % part:08X}"


def number(name: str, segment_bytes: int) -> int:
    """Return the number of the WAL segment with the file name ``name``.

    The segment begins at a WAL location that is this number multiplied by ``segment_bytes``.
    """
    return int(name[8:16], 16) * (0x1_0000_0000 // segment_bytes) + int(name[16:24], 16)


def position(text: str) -> int:
    """Convert an LSN such as 0/16B3748 to a WAL location in bytes. Source: PostgreSQL's manual, 8.20.

    Raises StepFailed when the text is not an LSN.
    """
    if re.fullmatch(_LSN, text) is None:
        raise StepFailed(f"the WAL location cannot be parsed: {text!r}")
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn(position: int) -> str:
    """Convert a WAL location in bytes to an LSN such as 0/16B3748."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"

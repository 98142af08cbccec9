"""Which segments of a received log a recovery replays, over every switch of timeline, and what is missing among them.

Each recovery opens a new timeline, whose first segment has the number of the one that it left: the segment of the switch
lies on both. A listing by numbers alone therefore hides the loss of it, and PostgreSQL does not tell either: where the new
timeline's segment is not there it reads the old one's, beyond the switch.
Sources: PostgreSQL's manual, 25.3.6 "Timelines", and 28.6 for the names; for what the server reads, ``findNewestTimeLine``
and ``XLogFileReadAnyTLI`` of its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drillbook.errors import StepFailed

PARTIAL = ".partial"
"""End of the name of a segment that was not full yet."""
COMPRESSED = (".gz", ".lz4", ".zst")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_LSN = r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}"


@dataclass(frozen=True, slots=True)
class Switch:
    """The end of a timeline: what comes from the byte ``at`` of the log on is another's."""

    timeline: int
    at: int


@dataclass(frozen=True, slots=True)
class Way:
    """Files in the order in which a recovery reads them; ``missing`` says what it lacks, empty: nothing."""

    timeline: int
    files: tuple[str, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """A folder of received log: ``sizes`` of its files by name, all of segments of ``segment_bytes`` when full."""

    sizes: Mapping[str, int]
    segment_bytes: int

    def newest(self, timeline: int) -> int:
        """The timeline that a recovery from ``timeline`` ends on: the last before the first without a history file."""
        while history_file(timeline + 1) in self.sizes:
            timeline += 1
        return timeline

    def way(self, timeline: int, since: int, switches: Sequence[Switch]) -> Way:
        """The way from the byte ``since`` on ``timeline``; ``switches`` is the history of the ``newest`` from there."""
        newest = self.newest(timeline)
        latest = max([newest, *(int(name[:8], 16) for name in self.sizes if _SEGMENT.match(name))])
        if latest > newest:
            return Way(newest, (), f"{history_file(newest + 1)} is missing, but there is a segment of timeline {latest}")
        legs = [(timeline, since)]
        if newest > timeline:
            known = [one.timeline for one in switches]
            if timeline not in known:
                return Way(newest, (), f"timeline {newest} does not come from timeline {timeline}, that of the backup")
            left = switches[known.index(timeline) :]
            if left[0].at < since:
                return Way(
                    newest,
                    (),
                    f"timeline {newest} comes from before the backup's end: it left timeline {timeline} "
                    f"at {lsn(left[0].at)}",
                )
            after = [*(one.timeline for one in left[1:]), newest]
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
        """Names of all segments of the way, and whether it is the last. The segment of a switch is the new timeline's."""
        size, (final, begin) = self.segment_bytes, legs[-1]
        # Of one that is not full, and was not even made in its full size, nothing was received.
        there = [
            number(name, size)
            for name, found in self.sizes.items()
            if _SEGMENT.match(name) and int(name[:8], 16) == final and not (name.endswith(PARTIAL) and found != size)
        ]
        ends = [*(at // size for _, at in legs[1:]), max([begin // size, *there]) + 1]
        for (timeline, at), end in zip(legs, ends, strict=True):
            for this in range(at // size, end):
                yield segment(timeline, this, size), timeline == final and this == end - 1

    def _file(self, name: str, *, last: bool) -> tuple[str, str]:
        """The file of a segment, or what is wrong with it. Only the last may be one that is not full."""
        if name in self.sizes:
            size = self.sizes[name]
            return name, "" if size == self.segment_bytes else f"{name} has {size} bytes, not {self.segment_bytes}"
        partial = name + PARTIAL
        if self.sizes.get(partial) == self.segment_bytes:  # it has its full size before anything is written into it
            return partial, "" if last else f"{name} is not full, but there are later ones"
        packed = next((name + end for end in COMPRESSED if name + end in self.sizes), "")
        return "", f"{packed} is compressed: unpack it" if packed else f"{name} is missing"


def history(text: str) -> list[Switch]:
    """What a history file says: the timelines before its own, the oldest first, each with its end. Raises StepFailed."""
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.match(rf"\s*(\d+)\s+({_LSN})(?:\s|$)", line)
        if match is None:
            raise StepFailed(f"the history of a timeline cannot be read: {line[:100]!r}")
        found.append(Switch(int(match[1]), position(match[2])))
    return found


def history_file(timeline: int) -> str:
    """The name of the file that says where ``timeline`` comes from; the first has none."""
    return f"{timeline:08X}.history"


def segment(timeline: int, number: int, segment_bytes: int) -> str:
    """The name of a segment: its timeline, and its number in two parts."""
    part = 0x1_0000_0000 // segment_bytes
    return f"{timeline:08X}{number // part:08X}{number % part:08X}"


def number(name: str, segment_bytes: int) -> int:
    """Which segment of the whole log ``name`` is: its first byte is that number times ``segment_bytes``."""
    return int(name[8:16], 16) * (0x1_0000_0000 // segment_bytes) + int(name[16:24], 16)


def position(text: str) -> int:
    """The byte of the whole log that an LSN such as 0/16B3748 stands for (PostgreSQL's manual, 8.20). Raises StepFailed."""
    if re.fullmatch(_LSN, text) is None:
        raise StepFailed(f"the place in the log cannot be read: {text!r}")
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn(position: int) -> str:
    """The LSN of a byte of the whole log."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"

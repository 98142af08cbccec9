"""Places the labels of a timeline so that no label overlaps another label or the vertical line of a mark."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ROW = 18.0
FONT = 12.0
BOLD = FONT * 1.14
"""Font size with which the width of bold text is computed. It is larger than ``FONT``, because bold letters are wider."""
GAP = 4.0
THIN = "ijl.,·|'! ()"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Right edge of the box."""
        return self.x + self.width

    def overlaps(self, other: Box) -> bool:
        """Return True when the two boxes overlap."""
        return (
            self.x < other.right
            and other.x < self.right
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


@dataclass(frozen=True, slots=True)
class Label:
    """A text with its position and the box that it occupies."""

    x: float
    y: float
    anchor: str
    text: str
    box: Box


def text_width(text: str, font: float = FONT) -> float:
    """Return an upper estimate of the width of ``text`` in any system font."""
    return font * sum(_char_width(char) for char in text)


def _char_width(char: str) -> float:
    """Return the width of a character in DejaVu Sans, in ems. DejaVu Sans is the widest font likely to be used."""
    if char in THIN:
        return 0.37
    if unicodedata.east_asian_width(char) in "WF":
        return 1.05
    return 1.0 if char in "mwMW@%±" else 0.55 if char in "frtsczI-:;" else 0.645 if char.isalnum() else 0.84


def label(text: str, x: float, top: float, *, anchor: str = "start", font: float = FONT, height: float = ROW) -> Label:
    """Make a label in a row that begins at ``top``.

    ``anchor`` says which part of the label is at ``x``: its start, its centre or its end.
    """
    width = text_width(text, font)
    left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
    return Label(x, top + height * 0.72, anchor, text, Box(left, top, width, height))


def fit(text: str, room: float, font: float = FONT) -> str:
    """Shorten ``text`` with an ellipsis so that it fits into the width ``room``."""
    if text_width(text, font) <= room:
        return text
    while text and text_width(text + "…", font) > room:
        text = text[:-1]
    return f"{text.rstrip()}…" if text else ""


@dataclass(frozen=True, slots=True)
class Flag:
    """A label next to the top of a vertical line at ``x``."""

    x: float
    row: int
    label: Label


def flags(texts: Sequence[tuple[float, str]], width: float) -> list[Flag]:
    """Place labels next to vertical lines, in as few rows as possible. ``texts`` must be sorted by x."""
    for rows in range(1, len(texts) + 1):
        placed = _search(texts, [], rows, width, crossing=False)
        if placed is not None:
            return placed
    return _search(texts, [], len(texts), width, crossing=True) or [
        _clamped(x, text, row, width) for row, (x, text) in enumerate(texts)
    ]


def _clamped(x: float, text: str, row: int, width: float) -> Flag:
    """Place a label in row ``row``. Shift the label sideways if that is needed to stay inside the drawing."""
    text = fit(text, width)
    return Flag(x, row, label(text, max(0.0, min(x + GAP, width - text_width(text))), row * ROW))


def _search(
    texts: Sequence[tuple[float, str]], placed: list[Flag], rows: int, width: float, *, crossing: bool
) -> list[Flag] | None:
    if len(placed) == len(texts):
        return placed
    x, text = texts[len(placed)]
    for row in range(rows):
        for side in ("start", "end"):
            flag = Flag(x, row, label(text, x + (GAP if side == "start" else -GAP), row * ROW, anchor=side))
            inside = flag.label.box.x >= 0 and flag.label.box.right <= width
            if inside and all(_clear(flag, other, crossing=crossing) for other in placed):
                complete = _search(texts, [*placed, flag], rows, width, crossing=crossing)
                if complete is not None:
                    return complete
    return None


def _clear(flag: Flag, other: Flag, *, crossing: bool) -> bool:
    if flag.label.box.overlaps(other.label.box):
        return False
    return crossing or not (_crosses(flag, other) or _crosses(other, flag))


def _crosses(line: Flag, flag: Flag) -> bool:
    """Return True when the vertical line of the flag ``line`` crosses the label of ``flag``, or passes between the label and
    the vertical line of ``flag``.

    A flag's vertical line goes down from the row of the flag, so it can cross only labels in this row and below.
    """
    box = flag.label.box
    return line.row <= flag.row and min(flag.x, box.x) < line.x < max(flag.x, box.right)


def avoiding(wanted: Iterable[Label], lines: Sequence[float]) -> list[Label]:
    """Sort the labels in ``wanted``: first the labels that no vertical line in ``lines`` crosses. Otherwise keep the order."""
    return sorted(wanted, key=lambda candidate: any(candidate.box.x - GAP < x < candidate.box.right + GAP for x in lines))


def first_free(boxes: Iterable[Box], wanted: Sequence[Label], left: float, right: float) -> Label | None:
    """Return the first label of ``wanted`` that lies between ``left`` and ``right``, and overlaps none of ``boxes``.

    The result is None when no label fits.
    """
    taken = list(boxes)
    return next(
        (
            candidate
            for candidate in wanted
            if candidate.box.x >= left
            and candidate.box.right <= right
            and not any(candidate.box.overlaps(box) for box in taken)
        ),
        None,
    )

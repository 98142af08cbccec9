"""Output that fits the screen: the most important parts are printed, and the others are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType

from drillbook.report.figures import count

PROMPT = 1
"""Number of lines of the shell's prompt below the output."""


@dataclass(frozen=True, slots=True)
class Part:
    """A few lines of the output.

    ``rank``: 0 for a part that is always printed; of the other parts, those with the lowest rank are printed first, if they
    fit the screen. ``named``: what the part shows, such as ``observation``, to count it when it is left out.
    """

    shown: RenderableType
    rank: int = 0
    named: str = ""


def fitting(parts: Sequence[Part], out: Console, below: int = 0) -> tuple[list[Part], list[Part]]:
    """Return those of ``parts`` that fit the screen, and the others, both in the same order. All parts fit if the output goes
    into a file. ``below``: number of lines that are printed below the parts.
    """
    if not out.is_terminal:
        return list(parts), []
    free = out.options.update(height=None)
    room = out.height - PROMPT - below
    kept: set[int] = set()
    for at, part in sorted(enumerate(parts), key=lambda pair: pair[1].rank):
        lines = len(out.render_lines(part.shown, free))
        if part.rank == 0 or lines <= room:
            kept.add(at)
            room -= lines
    return [part for at, part in enumerate(parts) if at in kept], [part for at, part in enumerate(parts) if at not in kept]


def counted(parts: Sequence[Part], others: Mapping[str, int]) -> str:
    """Return the number of ``parts`` of each kind, such as ``3 observations, 2 checks``. ``others``: by their names, the numbers
    of things of which no part was made.
    """
    numbers = Counter(part.named for part in parts if part.named) + Counter(others)
    return ", ".join(count(number, name) for name, number in numbers.items())

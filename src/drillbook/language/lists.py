"""Lists and ranges in sentences: the first entries, and the number of the others; the first and the last of a range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def leading(items: Sequence[Item], most: int) -> tuple[Sequence[Item], int]:
    """Return the first ``most`` of ``items``, and the number of the others. A single other item is also returned, because it
    takes no more space than words such as "and 1 more"."""
    shown = items if len(items) <= most + 1 else items[:most]
    return shown, len(items) - len(shown)


def listed(texts: Sequence[str], most: int, separator: str = ", ") -> str:
    """Join the first of ``texts``, and count the others, as in ``a, b and 3 more``. See ``leading``."""
    shown, others = leading(texts, most)
    more = f"{separator.strip()} and" if separator != ", " else " and"
    return separator.join(shown) + (f"{more} {others} more" if others else "")


def ranged(first: object, last: object) -> str:
    """Return a range in words, as in ``4 to 6``. A range of a single value is this value."""
    return str(first) if first == last else f"{first} to {last}"

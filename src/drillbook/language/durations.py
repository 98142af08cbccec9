"""Durations as text for people, such as ``11 h 42 min 29 s``."""

from __future__ import annotations

UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
"""Units above the second: the number of seconds in the unit, and its name."""


def seconds(value: float, digits: int | None = None) -> str:
    """Format a duration, such as ``7.4 s`` or ``2 h 3 min 4 s``, with ``digits`` decimals.

    When ``digits`` is None, as many decimals are shown as the duration has.
    """
    sign = "\N{MINUS SIGN}" if value < 0 else ""
    left = round(abs(value), 3 if digits is None else digits)
    parts: list[str] = []
    for factor, unit in UNITS if left >= UNITS[-1][0] else ():
        if left >= factor or parts:
            count, left = divmod(left, factor)
            parts += [f"{int(count)} {unit}"] if count else []
    rest = f"{left:.{3 if digits is None else digits}f}"
    if digits is None:
        rest = rest.rstrip("0").rstrip(".")
    if float(rest) or not parts:
        parts.append(f"{rest} s")
    return sign + " ".join(parts)

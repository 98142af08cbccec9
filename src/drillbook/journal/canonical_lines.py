"""Parses many lines of canonical JSON (RFC 8785) at once, and proves that they are canonical.

The proof has two parts. First, the parser refuses everything that a fast encoder may write in another way than RFC
8785: some numbers, and objects with unsorted keys. Then the fast encoder writes the parsed values again. If the
result is equal to the lines, the lines are canonical.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from pydantic_core import to_json

_LONGEST_INTEGER = 15
"""Maximum number of characters of an integer, including a minus sign. An integer with more digits is not always exact in
JSON.
"""
_TINY = ("0.0000", "-0.0000")
"""Beginnings of very small numbers, such as ``0.00001``. Some encoders write these numbers with an exponent."""
_ASTRAL = re.compile(b"[\xf0-\xf4]")
"""Pattern of the first byte, in UTF-8, of a character above U+FFFF.

Keys with such characters may have another order in Python than in RFC 8785, because Python sorts by code points, and RFC
8785 sorts by UTF-16 units.
"""


def parsed(lines: Sequence[bytes]) -> list[Any]:
    """Parse ``lines``, each by itself, and test quickly if every line is canonical JSON.

    Raises ValueError when the quick test does not prove this. A line may be canonical even then, for example a line with a
    number that has an exponent. The caller then has to examine each line.
    """
    wanted = b"[" + b",".join(lines) + b"]"
    if not wanted.isascii() and _ASTRAL.search(wanted):
        raise ValueError("the line has characters above U+FFFF, which Python and RFC 8785 sort differently")
    values = [_parsed(line.decode()) for line in lines]
    if to_json(values) != wanted:
        raise ValueError("not canonical")
    return values


def _parsed(line: str) -> Any:
    value, end = _DECODER.raw_decode(line)
    if end != len(line):
        raise ValueError("more than one value")
    return value


def _float(text: str) -> float:
    if "e" in text or text.endswith(".0") or text.startswith(_TINY):
        raise ValueError("the line has a number that not every encoder writes in the same form")
    return float(text)


def _int(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError(
            f"the line has an integer of more than {_LONGEST_INTEGER} characters, which may not be exact in JSON"
        )
    return int(text)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _sorted(value: dict[str, Any]) -> dict[str, Any]:
    if [*value] != sorted(value):
        raise ValueError("the keys of a JSON object are not sorted")
    return value


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=_constant, object_hook=_sorted)

"""Indented JSON, with exactly the text of ``json.dumps(value, ensure_ascii=False, indent=2)``, in a fraction of its time.

The standard library encodes indented JSON slowly, because it does so in Python. This module uses the compiled encoder of
pydantic for values that were read from JSON. Pydantic's encoder writes some numbers in another way than ``json.dumps``. If
its text may contain such a number, the function ``indented`` makes the text instead. This function calls C functions for each
text and number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from typing import Any

from pydantic_core import to_json

STEP = "  "
_EXPONENT = re.compile(rb"e[-+]?[0-9]+,?(?:\n|\Z)")
"""Pattern of a number with an exponent at the end of a line. Different encoders write such a number in different ways."""
_TINY = b"0.0000"
"""Beginning of a number that ``to_json`` writes without an exponent, and other encoders with one. If the JSON text of a value
contains these characters, ``indented`` formats the value again. This is needless but harmless when the characters are only
part of a text.
"""
_CONSTANTS = {True: "true", False: "false", None: "null"}


def of_json(value: Any) -> str:
    """Format ``value`` as ``indented`` does. ``value`` must contain only types that ``json.loads`` returns."""
    try:
        text = to_json(value, indent=len(STEP))
    except ValueError:  # such as half of a surrogate pair in a text
        return indented(value)
    return indented(value) if _TINY in text or _EXPONENT.search(text) else text.decode()


def indented(value: Any) -> str:
    """Format ``value`` as JSON with an indent of two spaces. Keys keep their order."""
    parts: list[str] = []
    _add(value, "\n", parts.append)
    return "".join(parts)


def _add(value: Any, line: str, put: Callable[[str], None]) -> None:
    """Call ``put`` with each part of the JSON text of ``value``. ``line``: a line feed, and the spaces by which the line with
    the beginning of the value is indented.
    """
    kind = type(value)
    if kind is str:
        put(encode_basestring(value))
    elif kind is int:
        put(int.__repr__(value))
    elif value is None or kind is bool:
        put(_CONSTANTS[value])
    elif kind is dict and value and all(type(key) is str for key in value):
        _items("{", "}", ((f"{encode_basestring(key)}: ", item) for key, item in value.items()), line, put)
    elif kind in (list, tuple) and value:
        _items("[", "]", (("", item) for item in value), line, put)
    else:  # a line feed is never inside of a text of JSON
        put(json.dumps(value, ensure_ascii=False, indent=2).replace("\n", line))


def _items(first: str, last: str, items: Iterable[tuple[str, Any]], line: str, put: Callable[[str], None]) -> None:
    inner = line + STEP
    lead = first + inner
    for name, item in items:
        if type(item) is str:
            put(f"{lead}{name}{encode_basestring(item)}")
        else:
            put(lead + name)
            _add(item, inner, put)
        lead = "," + inner
    put(line + last)

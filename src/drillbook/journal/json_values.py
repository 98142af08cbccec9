"""Converts values of any type to values that JSON represents exactly, and reads JSON objects from files that may be damaged."""

from __future__ import annotations

import json
import math
from typing import Any

SAFE_INTEGER = 2**53 - 1
"""Largest integer that is exact in JSON (RFC 8785, section 3.2.2.3). Larger integers are written as text."""


def json_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. For any other data, return an empty mapping."""
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def jsonable(value: Any) -> Any:
    """Convert ``value`` so that JSON represents it exactly. Values that have no form in JSON become text."""
    if type(value) is str:
        return _text(value)
    if isinstance(value, dict):
        return {_text(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if value is None:
        return value
    if isinstance(value, int | float):  # a bool is also an int, and stays a bool
        return value if math.isfinite(value) and abs(value) <= SAFE_INTEGER else str(value)
    return _text(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value))


def _text(text: str) -> str:
    """Escape lone surrogates in ``text``, because UTF-8 cannot encode them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()

"""Convert values in database rows to JSON."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

_EXACT = 2**53

_FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((type(None), bool, str), lambda value: value),
    (int, lambda value: value if abs(value) < _EXACT else str(value)),
    (float, lambda value: value if math.isfinite(value) else str(value)),
    ((list, tuple), lambda value: [plain(item) for item in value]),
    (dict, lambda value: {str(key): plain(item) for key, item in value.items()}),
    ((bytes, memoryview), lambda value: bytes(value).hex()),
    ((datetime.date, datetime.time), lambda value: value.isoformat()),
)


def plain(value: Any) -> Any:
    """Convert ``value`` to a JSON value. A value that JSON cannot represent exactly becomes text."""
    for kind, form in _FORMS:
        if isinstance(value, kind):
            return form(value)
    return str(value)

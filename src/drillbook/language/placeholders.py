"""Placeholders ``${name}`` in the requests of a flow. While the flow runs, values from earlier answers replace them.

Expressions in ``{{ }}`` are different: they are evaluated before an action begins. A value that has replaced a
placeholder is not searched for further placeholders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

_MARK = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")


def names(value: Any) -> set[str]:
    """Return the names of all placeholders in ``value`` and in the values nested in it."""
    if isinstance(value, str):
        return set(_MARK.findall(value))
    if isinstance(value, Mapping):
        return {name for item in value.values() for name in names(item)}
    if isinstance(value, list | tuple):
        return {name for item in value for name in names(item)}
    return set()


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """Replace all placeholders in ``value``.

    If a text consists of a single placeholder, the result is the value of the placeholder. This value may also be a number or
    a boolean.
    """
    if isinstance(value, str):
        whole = _MARK.fullmatch(value)
        return values[whole[1]] if whole else text(value, values)
    if isinstance(value, Mapping):
        return {key: fill(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, values) for item in value]
    return value


def text(value: str, values: Mapping[str, Any]) -> str:
    """Replace all placeholders in a text."""
    return _MARK.sub(lambda match: _shown(values[match[1]]), value)


def url(value: str, values: Mapping[str, Any]) -> str:
    """Replace all placeholders in a URL. The values are percent-encoded, so that no value can add parts to the URL."""
    return _MARK.sub(lambda match: quote(_shown(values[match[1]]), safe=""), value)


def _shown(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def follow(data: Any, path: str) -> Any:
    """Return the text, number or boolean at ``path`` (such as ``documents.0.id``) in ``data``.

    Raises LookupError when a part of the path is missing, or when the value there has another type.
    """
    at = data
    for part in path.split("."):
        if isinstance(at, dict) and part in at:
            at = at[part]
        elif isinstance(at, list) and part.isdecimal() and int(part) < len(at):
            at = at[int(part)]
        else:
            raise LookupError(f"there is no {part!r}")
    if not isinstance(at, str | int | float):
        raise LookupError(f"the value is {'null' if at is None else 'a list' if isinstance(at, list) else 'a mapping'}")
    return at


def hide(message: str, secret: Iterable[str]) -> str:
    """Replace each value of ``secret`` in ``message`` by ``***``.

    Values shorter than six characters are not replaced, because such short texts often occur by chance.
    """
    for value in sorted(secret, key=len, reverse=True):
        if len(value) >= 6:
            message = message.replace(value, "***")
    return message

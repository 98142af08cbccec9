"""``${name}`` in the requests of a flow: values of earlier answers, put in while it runs.

Not ``{{ }}``, which is evaluated before an action begins. What an answer says is only ever put in, never read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

_MARK = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")


def names(value: Any) -> set[str]:
    """Every name that ``value``, or anything in it, refers to."""
    if isinstance(value, str):
        return set(_MARK.findall(value))
    if isinstance(value, Mapping):
        return {name for item in value.values() for name in names(item)}
    if isinstance(value, list | tuple):
        return {name for item in value for name in names(item)}
    return set()


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """``value`` with everything put in; text that is one mark and nothing else becomes the value itself."""
    if isinstance(value, str):
        whole = _MARK.fullmatch(value)
        return values[whole[1]] if whole else text(value, values)
    if isinstance(value, Mapping):
        return {key: fill(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, values) for item in value]
    return value


def text(value: str, values: Mapping[str, Any]) -> str:
    """Text with everything put in as text."""
    return _MARK.sub(lambda match: _shown(values[match[1]]), value)


def url(value: str, values: Mapping[str, Any]) -> str:
    """A URL with everything put in, quoted, so that a value stays one part of it."""
    return _MARK.sub(lambda match: quote(_shown(values[match[1]]), safe=""), value)


def _shown(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def follow(data: Any, path: str) -> Any:
    """The text, number or truth value at ``path``, such as ``documents.0.id``. Raises LookupError with where it ends."""
    at = data
    for part in path.split("."):
        if isinstance(at, dict) and part in at:
            at = at[part]
        elif isinstance(at, list) and part.isdecimal() and int(part) < len(at):
            at = at[int(part)]
        else:
            raise LookupError(f"there is no {part!r}")
    if not isinstance(at, str | int | float):
        raise LookupError(f"what is there is {'null' if at is None else 'a list' if isinstance(at, list) else 'a mapping'}")
    return at


def hide(message: str, secret: Iterable[str]) -> str:
    """``message`` without the values ``secret``; those of fewer than six characters are too common to hide."""
    for value in sorted(secret, key=len, reverse=True):
        if len(value) >= 6:
            message = message.replace(value, "***")
    return message

"""Masks parts of a text that look like a password, before a report shows the text.

The redactor hides only the secrets of an inventory. This module is needed for all other passwords.
"""

from __future__ import annotations

import re

LITERAL = r"E?'(?:[^']|'')*'"
"""Pattern of a string literal in SQL."""
_NAME = r"\w*(?:password|passwd|passphrase|pwd|secret|token|api_?key)\w*"
_QUOTED = r'"(?:[^"\\]|\\.)*"?'
"""Pattern of a text in JSON, also of one that was cut off."""
_SAID = re.compile(
    rf"(\b{_NAME}[\"']?(?:\s*(?::=|=>|=|:)\s*|\s+(?=E?')))(?:{LITERAL}|{_QUOTED}|[^\s'\",;)]+)", re.IGNORECASE
)
_SECRET = re.compile(_NAME, re.IGNORECASE)
_URL = re.compile(r"(://[^\s:/@']*:)[^\s@']+(?=@)")


def shown(text: str) -> str:
    """Mask everything in ``text`` that looks like a password: values after names such as `password`, and passwords in URLs."""
    return _URL.sub(r"\1***", _SAID.sub(r"\1***", text))


def names_secret(name: str) -> bool:
    """Return True when the value with the name ``name`` is probably a password."""
    return _SECRET.fullmatch(name) is not None

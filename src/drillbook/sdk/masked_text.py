"""Masks parts of a text that look like a password, before a report shows the text.

The redactor hides only the secrets of an inventory. This module is needed for all other passwords.
"""

from __future__ import annotations

import re

LITERAL = r"E?'(?:[^']|'')*'"
"""Pattern of a string literal in SQL."""
_WORDS = r"\b\w*(?:password|passwd|passphrase|pwd|secret|token|api_?key)\w*[\"']?"
_SAID = re.compile(rf"({_WORDS}(?:\s*(?::=|=>|=|:)\s*|\s+(?=E?')))(?:{LITERAL}|[^\s'\",;)]+)", re.IGNORECASE)
_URL = re.compile(r"(://[^\s:/@']*:)[^\s@']+(?=@)")


def shown(text: str) -> str:
    """Mask everything in ``text`` that looks like a password: values after names such as `password`, and passwords in URLs."""
    return _URL.sub(r"\1***", _SAID.sub(r"\1***", text))

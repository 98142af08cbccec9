"""Mask what looks like a password in a text that a report shows; no inventory contains these, so no redactor hides them."""

from __future__ import annotations

import re

LITERAL = r"E?'(?:[^']|'')*'"
"""Pattern of a text literal of SQL."""
_WORDS = r"\b\w*(?:password|passwd|passphrase|pwd|secret|token|api_?key)\w*[\"']?"
_SAID = re.compile(rf"({_WORDS}(?:\s*(?::=|=>|=|:)\s*|\s+(?=E?')))(?:{LITERAL}|[^\s'\",;)]+)", re.IGNORECASE)
_URL = re.compile(r"(://[^\s:/@']*:)[^\s@']+(?=@)")


def shown(text: str) -> str:
    """Mask everything in ``text`` that looks like a password: values after such a name, and passwords in URLs."""
    return _URL.sub(r"\1***", _SAID.sub(r"\1***", text))

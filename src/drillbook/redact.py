"""One redactor for all that is written: journal, evidence, log, terminal, reports."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""Shorter secrets are not looked for: they would hide half of every text."""


class Redactor:
    """Knows the secrets of a run and hides them, also in their base64 and URL-quoted forms."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """``secrets`` are the values that must never be written."""
        known = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        forms = sorted(known, key=len, reverse=True)
        self._text = re.compile("|".join(map(re.escape, forms))) if forms else None
        self._data = re.compile(b"|".join(re.escape(form.encode()) for form in forms)) if forms else None

    def text(self, text: str) -> str:
        """``text`` with every secret replaced by ``***``."""
        return self._text.sub("***", text) if self._text else text

    def data(self, data: bytes) -> bytes:
        """``data`` with every secret replaced by ``***``."""
        return self._data.sub(b"***", data) if self._data else data

    def value(self, value: Any) -> Any:
        """A JSON value with every secret in it replaced, also in keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def _forms(secret: str) -> set[str]:
    plain = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), secret.encode("unicode_escape").decode(),
             shlex.quote(secret).strip("'"), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {form for form in plain | _base64_forms(secret.encode()) if len(form) >= SHORTEST}


def _base64_forms(raw: bytes) -> set[str]:
    """What of the base64 of any text that holds ``raw`` depends on ``raw`` alone, at each of the three alignments."""
    forms = set()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"\0" * offset + raw).decode().rstrip("=")
            inner = whole[(0, 2, 3)[offset]: (offset + len(raw)) * 8 // 6]
            if len(inner) >= 2 * SHORTEST:
                forms.add(inner)
    return forms

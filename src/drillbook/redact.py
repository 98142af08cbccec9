"""One redactor for all that is written: journal, evidence, log, terminal, reports."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, AnyStr, Protocol
from urllib.parse import quote, quote_plus

MARK = b"***"
SHORTEST = 4
"""Shorter secrets are not looked for: they would hide half of every text."""


class Sink(Protocol):
    """Anything that bytes can be written to."""

    def write(self, data: bytes, /) -> int:
        """Take all of ``data``."""


class Redactor:
    """Knows the secrets of a run and hides them, also in their base64 and URL-quoted forms."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """``secrets`` are the values that must never be written."""
        known = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        forms = sorted(known, key=len, reverse=True)
        # Looked for at every place, whatever was found before it: two secrets may share an end and a beginning.
        self._text = re.compile(f"(?=({'|'.join(map(re.escape, forms))}))") if forms else None
        self._data = re.compile(b"(?=(" + b"|".join(re.escape(form.encode()) for form in forms) + b"))") if forms else None
        self._longest = max((len(form.encode()) for form in forms), default=0)

    def text(self, text: str) -> str:
        """``text`` with every secret replaced by ``***``."""
        return hidden(text, "***", spans(self._text, text))

    def data(self, data: bytes) -> bytes:
        """``data`` with every secret replaced by ``***``."""
        return hidden(data, MARK, spans(self._data, data))

    def writer(self, file: Sink) -> RedactingWriter:
        """A writer that hides secrets in a stream of any length, also where one is cut by a piece's end."""
        return RedactingWriter(file, self._data, self._longest)

    def value(self, value: Any) -> Any:
        """A JSON value with every secret in it replaced, also in keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def spans(pattern: re.Pattern[AnyStr] | None, text: AnyStr) -> list[tuple[int, int]]:
    """Stretches of ``text`` that secrets cover, those that lie over one another as one."""
    found: list[tuple[int, int]] = []
    for match in pattern.finditer(text) if pattern else ():
        start, end = match.span(1)
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def hidden(text: AnyStr, mark: AnyStr, stretches: Sequence[tuple[int, int]]) -> AnyStr:
    """``text`` with ``mark`` in place of each of ``stretches``."""
    ends = [0, *(end for _, end in stretches)]
    starts = [*(start for start, _ in stretches), len(text)]
    return mark.join(text[end:start] for end, start in zip(ends, starts, strict=True))


class RedactingWriter:
    """Hides secrets in a stream; keeps back so much of its end as could be the beginning of one."""

    def __init__(self, file: Sink, pattern: re.Pattern[bytes] | None, longest: int) -> None:
        """Writes to ``file`` what has no match of ``pattern``, none of which is longer than ``longest``."""
        self._file, self._pattern, self._longest = file, pattern, longest
        self._kept = b""
        self._covered = 0
        """Bytes at the beginning of what is kept that a secret covers whose mark is written."""
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        """Take the next piece."""
        self._kept += data
        cut = len(self._kept) - self._longest
        if cut > 0:
            self._out(cut)
        return len(data)

    def finish(self) -> str:
        """Write the rest; returns the SHA-256 of all that was written, in hex."""
        self._out(len(self._kept))
        return self._digest.hexdigest()

    def _out(self, length: int) -> None:
        """Write so many bytes. A secret that goes on behind them is marked once, and may lie under another one there."""
        found = self._stretches()
        inside = [(start, min(end, length)) for start, end in found if start < length]
        clean = hidden(self._kept[:length], MARK, inside)
        clean = clean[len(MARK):] if self._covered and length else clean
        self._covered = max([0, *(end - length for start, end in found if start < length)])
        self._kept = self._kept[length:]
        self._file.write(clean)
        self._digest.update(clean)
        self.bytes += len(clean)

    def _stretches(self) -> list[tuple[int, int]]:
        """Spans of the kept text that secrets cover, joined with those covered already."""
        found = spans(self._pattern, self._kept)
        if not self._covered:
            return found
        over = [end for start, end in found if start < self._covered]
        return [(0, max([self._covered, *over])), *found[len(over):]]


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

"""Redaction of secrets in everything that is written: journal, evidence, log, terminal, reports."""

from __future__ import annotations

import hashlib
import re
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, AnyStr, Protocol

from drillbook import encodings
from drillbook.encodings import SHORTEST, Form

MARK = b"***"
FARTHEST = 8192
"""Number of bytes behind a cut that are also examined, in order to find a secret that the cut would split. Encoded pieces
of secrets are shorter than this number, except pieces that consist mainly of quotes or backslashes."""
DEPTH = 12
"""Number of parts of a secret, such as characters, that are compared when a text may have been cut off inside of the
secret. If the first ``DEPTH`` parts of the secret are found, everything from there to the end of the text is hidden.
"""
_HEAD = re.compile(r"\\?.", re.DOTALL)
_CUT = r"(?:[^0-9A-Za-z][\s\S]{0,24}|[0-9A-Fa-f])?\Z"
"""Regular expression for the end of a text that was perhaps cut inside of an escape sequence."""
_ESCAPE = rb"|[%&\\][\s\S]{0,24}\Z|[\xc2-\xf4][\x80-\xbf]{0,2}\Z"
"""Regular expression for the end of a text that was cut inside of a secret's first character. Such a cut is possible if the
character can be escaped, or has several bytes.
"""


class Sink(Protocol):
    """A writable stream of bytes that receives redacted output."""

    def write(self, data: bytes, /) -> int:
        """Write all of ``data``."""


class _Patterns:
    """Regular expressions that match secrets, and the length in bytes of their longest match."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = sorted(dict.fromkeys(chain.from_iterable(map(encodings.forms, secrets))), key=_most, reverse=True)
        self.longest = max(map(_most, self._forms), default=0)
        source = _whole(self._forms)
        self.text = re.compile(source) if source else None
        self.data = re.compile(_bytes(source)) if source else None

    @cached_property
    def begun(self) -> re.Pattern[bytes] | None:
        """Regular expression for an incomplete secret at the end of a text."""
        special = any(len(form[0].ways) > 2 for form in self._forms)
        return re.compile(_bytes(_partly(self._forms)) + (_ESCAPE if special else b"")) if self._forms else None


class Redactor:
    """Hides the known secrets of a run, in all forms that are listed in the module ``encodings``, such as base64.

    Before redaction, a text may be shortened only by the functions ``beginning`` and ``end``. Other functions may leave a part
    of a secret at the cut. ``beginning`` and ``end`` also hide this part. They hide the secrets of all redactors, not only the
    secrets of this object.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """Hide the values ``secrets``. Values shorter than ``SHORTEST`` are not hidden."""
        with _ALIVE_LOCK:
            _ALIVE.add(self)
        self._known = dict.fromkeys(secret for secret in secrets if len(secret) >= SHORTEST)
        self._lock = threading.Lock()
        self._made: _Patterns | None = None

    def learn(self, *secrets: str) -> None:
        """Hide ``secrets``, too, from now on. Writers that were created before this call do not hide them."""
        with self._lock:
            self._known |= dict.fromkeys(secret for secret in secrets if len(secret) >= SHORTEST)
            self._made = None

    @property
    def _look(self) -> _Patterns:
        """Return the patterns of all known secrets.

        They are compiled at the first use, because secrets are added one by one.
        """
        made = self._made
        if made is None:
            with self._lock:
                made = self._made = self._made or _Patterns(self._known)
        return made

    @property
    def knows_any(self) -> bool:
        """True when there is a secret to hide."""
        return bool(self._known)

    def text(self, text: str) -> str:
        """Return ``text`` with every secret replaced by ``***``."""
        look = self._look.text
        return hidden(text, "***", spans(look, text)) if look and look.search(text) else text

    def data(self, data: bytes) -> bytes:
        """Return ``data`` with every secret replaced by ``***``."""
        return hidden(data, MARK, spans(self._look.data, data))

    def cut(self, data: bytes) -> bytes:
        """Hide secrets in ``data``, the first part of a longer text.

        A secret that is incomplete at the end of ``data`` is hidden, too.
        """
        end = begins(self._look.begun, data, self._look.longest)
        return hidden(data, MARK, joined([*spans(self._look.data, data), *([(end, len(data))] if end < len(data) else [])]))

    def across(self, text: str, at: int) -> tuple[int, int]:
        """Return the start and the end of the secret that a cut of ``text`` at the position ``at`` would split.

        Return ``(at, at)`` if there is no such secret.
        """
        look = self._look
        first = max(0, at - look.longest)
        stretches = spans(look.text, text[first : at + look.longest])
        return next(((first + start, first + end) for start, end in stretches if start < at - first < end), (at, at))

    def writer(self, file: Sink) -> RedactingWriter:
        """Create a writer that hides secrets in a stream of any length. It also hides secrets that are split between two writes."""
        look = self._look
        return RedactingWriter(file, look.data, look.begun, look.longest)

    def value(self, value: Any) -> Any:
        """Return a JSON value with every secret replaced by ``***``. Secrets in keys are replaced, too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


_ALIVE: weakref.WeakSet[Redactor] = weakref.WeakSet()
_ALIVE_LOCK = threading.Lock()


def _alive() -> list[Redactor]:
    with _ALIVE_LOCK:
        return list(_ALIVE)


def beginning(text: str, limit: int) -> str:
    """Return the first ``limit`` characters of ``text`` with secrets hidden, including a secret that is split by the cut."""
    start = min((redactor.across(text, limit)[0] for redactor in _alive()), default=limit)
    return _masked(text[:start]) + ("***" if start < min(limit, len(text)) else "")


def excerpt(text: str, limit: int) -> str:
    """Return at most the first ``limit`` characters of ``text`` with secrets hidden. A shortened text ends with a whole word and an
    ellipsis. Within a word that is longer than half of the text, the text is cut as it is.
    """
    said = beginning(text, limit)
    if len(text) <= limit:
        return said
    whole = text[limit].isspace() or said.endswith("***")
    words = said if whole else re.sub(r"\s+\S*\Z", "", said)
    return f"{words if 2 * len(words) >= len(said) else said}\N{HORIZONTAL ELLIPSIS}"


def end(text: str, limit: int) -> str:
    """Return the last ``limit`` characters of ``text`` with secrets hidden, including a secret that is split by the cut."""
    at = max(0, len(text) - limit)
    behind = max((redactor.across(text, at)[1] for redactor in _alive()), default=at)
    return ("***" if behind > at else "") + _masked(text[behind:])


def both_ends(text: str, limit: int) -> str:
    """Return ``text`` with secrets hidden. Of a text that is longer than ``limit``, the first and the last characters are kept, and
    a line between them tells how many are left out.
    """
    if len(text) <= limit:
        return beginning(text, limit)
    gap = f"\N{HORIZONTAL ELLIPSIS} ({len(text) - limit:,} characters left out) \N{HORIZONTAL ELLIPSIS}"
    return f"{beginning(text, limit - limit // 2)}\n{gap}\n{end(text, limit // 2)}"


def _masked(text: str) -> str:
    for redactor in _alive():
        text = redactor.text(text)
    return text


def _most(form: Form) -> int:
    return sum(part.most for part in form)


def _bytes(pattern: str) -> bytes:
    return pattern.encode("utf-8", "surrogateescape")


def _whole(forms: Iterable[Form]) -> str:
    """Return a regular expression that matches any of ``forms``.

    It has one branch for each possible first character, so that other characters are skipped quickly.
    """
    return _branches((way, "".join(part.pattern for part in form[1:])) for form in forms for way in form[0].ways)


def _partly(forms: Sequence[Form]) -> str:
    """Return a regular expression that matches a secret which is cut off by the end of the text. ``forms``: all forms of
    the secrets.
    """
    return _branches(((way, _rest(form)) for form in forms for way in form[0].ways), cut=True)


def _rest(form: Form) -> str:
    """Return a regular expression that matches the parts of ``form`` after the first part. Each part matches a piece of a
    secret.

    The expression also matches when the text ends inside the secret.
    """
    long = len(form) > DEPTH
    inner = r"[\s\S]*" if long else ""
    for part in reversed(form[1:DEPTH] if long else form[1:-1]):
        inner = f"(?:{part.pattern}{inner})?"
    return inner + _CUT


def _branches(ways: Iterable[tuple[str, str]], *, cut: bool = False) -> str:
    heads: dict[str, list[str]] = {}
    for way, rest in ways:
        head = _HEAD.match(way)
        key = head[0] if head else ""
        heads.setdefault(key, [r"\Z"] if cut else []).append(way[len(key) :] + rest)
    return "|".join(f"{head}(?:{'|'.join(dict.fromkeys(tails))})" for head, tails in heads.items())


def spans(pattern: re.Pattern[AnyStr] | None, text: AnyStr) -> list[tuple[int, int]]:
    """Return the spans of ``text`` that secrets cover. Overlapping spans are merged.

    The search also continues inside of each match, because two secrets may overlap.
    """
    stretches: list[tuple[int, int]] = []
    match = pattern.search(text) if pattern else None
    while pattern and match:
        stretches.append(match.span())
        match = pattern.search(text, match.start() + 1)
    return joined(stretches)


def joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sort ``stretches`` and merge overlapping ones. Each is a span with its start and its end."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def begins(pattern: re.Pattern[bytes] | None, data: bytes, longest: int) -> int:
    """Return the position from which the end of ``data`` may be the beginning of a secret. The rest of this secret may follow
    later.

    Without such an end, return the length of ``data``. ``pattern``: matches beginnings of secrets at the end of data.
    ``longest``: length of the longest secret.
    """
    match = pattern.search(data, max(0, len(data) - longest)) if pattern else None
    return match.start() if match else len(data)


def hidden(text: AnyStr, mark: AnyStr, stretches: Sequence[tuple[int, int]]) -> AnyStr:
    """Return ``text`` with each span of ``stretches`` replaced by ``mark``."""
    ends = [0, *(end for _, end in stretches)]
    starts = [*(start for start, _ in stretches), len(text)]
    return mark.join(text[end:start] for end, start in zip(ends, starts, strict=True))


class RedactingWriter:
    """Writer that hides secrets in a stream. It holds back the end of the stream while this end may be part of a secret."""

    def __init__(self, file: Sink, pattern: re.Pattern[bytes] | None, begun: re.Pattern[bytes] | None, longest: int) -> None:
        """Write to ``file``, and hide matches of ``pattern``.

        ``begun``: matches the beginning of a secret at the end of data. The last bytes are held back while they match
        ``begun``, because the rest of the secret may follow. ``longest``: length in bytes of the longest secret.
        """
        self._file, self._pattern, self._begun, self._longest = file, pattern, begun, longest
        self._kept = b""
        self._covered = 0
        """Number of bytes at the start of the held-back data that must not be written. They belong to a secret that the output
        already shows as ``***``.
        """
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        """Accept the next chunk of the stream, and write what has been accepted so far.

        The last bytes are held back when they may be the beginning of a secret. Later calls then show whether it is one.
        """
        self._kept += data
        if cut := begins(self._begun, self._kept, self._longest):
            self._out(cut)
        return len(data)

    def finish(self) -> str:
        """Write the bytes that are still held back. Return the SHA-256 of all written bytes, in hexadecimal digits."""
        self._out(len(self._kept))
        return self._digest.hexdigest()

    def _out(self, length: int) -> None:
        """Write the first ``length`` held-back bytes, with secrets hidden.

        A secret may continue after these bytes. The mark ``***`` then stands for the whole secret: the next call writes no
        second mark for the rest, even if other secrets overlap this secret.
        """
        stretches = self._stretches()
        inside = [(start, min(end, length)) for start, end in stretches if start < length]
        clean = hidden(self._kept[:length], MARK, inside)
        clean = clean[len(MARK) :] if self._covered and length else clean
        self._covered = max([0, *(end - length for start, end in stretches if start < length)])
        self._kept = self._kept[length:]
        self._file.write(clean)
        self._digest.update(clean)
        self.bytes += len(clean)

    def _stretches(self) -> list[tuple[int, int]]:
        """Return the spans of the held-back bytes that belong to secrets.

        The first span may continue a secret for which ``***`` was already written.
        """
        stretches = spans(self._pattern, self._kept)
        if not self._covered:
            return stretches
        over = [end for start, end in stretches if start < self._covered]
        return [(0, max([self._covered, *over])), *stretches[len(over) :]]

"""One redactor for all that is written: journal, evidence, log, terminal, reports."""

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
"""Characters beside a cut that are looked at: no form of a piece of a secret is longer."""
DEPTH = 12
"""What has so many parts of a form in common with it is taken for its beginning."""
_HEAD = re.compile(r"\\?.", re.DOTALL)
_CUT = r"(?:[^0-9A-Za-z][\s\S]{0,24}|[0-9A-Fa-f])?\Z"
"""The end of a text that may have been cut inside an escape."""
_ESCAPE = rb"|[%&\\][\s\S]{0,24}\Z|[\xc2-\xf4][\x80-\xbf]{0,2}\Z"
"""The same for the first character of a secret, if it can be escaped or has several bytes."""


class Sink(Protocol):
    """Anything that bytes can be written to."""

    def write(self, data: bytes, /) -> int:
        """Take all of ``data``."""


class _Patterns:
    """Expressions that find secrets, and the most bytes that one takes."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = sorted(dict.fromkeys(chain.from_iterable(map(encodings.forms, secrets))), key=_most, reverse=True)
        self.longest = max(map(_most, self._forms), default=0)
        source = _whole(self._forms)
        self.text = re.compile(source) if source else None
        self.data = re.compile(_bytes(source)) if source else None

    @cached_property
    def begun(self) -> re.Pattern[bytes] | None:
        """Matches what could be the beginning of a secret at the end of a text."""
        special = any(len(form[0].ways) > 2 for form in self._forms)
        return re.compile(_bytes(_partly(self._forms)) + (_ESCAPE if special else b"")) if self._forms else None


class Redactor:
    """Knows the secrets of a run and hides them, in all forms of ``encodings``.

    What is cut before it comes to a redactor is cut by ``beginning`` and ``end``, which know the secrets of all redactors.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """``secrets`` are the values that must never be written."""
        with _ALIVE_LOCK:
            _ALIVE.add(self)
        self._known = dict.fromkeys(secret for secret in secrets if len(secret) >= SHORTEST)
        self._lock = threading.Lock()
        self._made: _Patterns | None = None

    def learn(self, *secrets: str) -> None:
        """Hide ``secrets`` too, from now on; a writer that was made before does not."""
        with self._lock:
            self._known |= dict.fromkeys(secret for secret in secrets if len(secret) >= SHORTEST)
            self._made = None

    @property
    def _look(self) -> _Patterns:
        """The expressions for all that is known, made when first needed: secrets are learned one by one."""
        made = self._made
        if made is None:
            with self._lock:
                made = self._made = self._made or _Patterns(self._known)
        return made

    def text(self, text: str) -> str:
        """``text`` with every secret replaced by ``***``."""
        return hidden(text, "***", spans(self._look.text, text))

    def data(self, data: bytes) -> bytes:
        """``data`` with every secret replaced by ``***``."""
        return hidden(data, MARK, spans(self._look.data, data))

    def cut(self, data: bytes) -> bytes:
        """``data``, which goes on behind its end where nobody sees it: the beginning of a secret there is hidden too."""
        end = begins(self._look.begun, data, self._look.longest)
        return hidden(data, MARK, joined([*spans(self._look.data, data), *([(end, len(data))] if end < len(data) else [])]))

    def across(self, text: str, at: int) -> tuple[int, int]:
        """Beginning and end of the secret that a cut of ``text`` at ``at`` would halve; twice ``at`` if there is none."""
        look = self._look
        first = max(0, at - look.longest)
        found = spans(look.text, text[first : at + look.longest])
        return next(((first + start, first + end) for start, end in found if start < at - first < end), (at, at))

    def writer(self, file: Sink) -> RedactingWriter:
        """A writer that hides secrets in a stream of any length, also where one is cut by a piece's end."""
        look = self._look
        return RedactingWriter(file, look.data, look.begun, look.longest)

    def value(self, value: Any) -> Any:
        """A JSON value with every secret in it replaced, also in keys."""
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
    """The first ``limit`` characters of ``text`` without secrets, also without the half of one that goes on behind them."""
    start = min((one.across(text, limit)[0] for one in _alive()), default=limit)
    return _masked(text[:start]) + ("***" if start < min(limit, len(text)) else "")


def end(text: str, limit: int) -> str:
    """The last ``limit`` characters of ``text`` without secrets, also without the half of one that begins before them."""
    at = max(0, len(text) - limit)
    behind = max((one.across(text, at)[1] for one in _alive()), default=at)
    return ("***" if behind > at else "") + _masked(text[behind:])


def _masked(text: str) -> str:
    for one in _alive():
        text = one.text(text)
    return text


def _most(form: Form) -> int:
    return sum(part.most for part in form)


def _bytes(pattern: str) -> bytes:
    return pattern.encode("utf-8", "surrogateescape")


def _whole(forms: Iterable[Form]) -> str:
    """An expression for all ``forms``, one branch for each character that they begin with: others are passed over fast."""
    return _branches((way, "".join(part.pattern for part in form[1:])) for form in forms for way in form[0].ways)


def _partly(forms: Sequence[Form]) -> str:
    """An expression for the beginning of any of ``forms`` at the end of a text, where it is not whole."""
    return _branches(((way, _rest(form)) for form in forms for way in form[0].ways), cut=True)


def _rest(form: Form) -> str:
    """What stands behind the first part of ``form`` in a text that ends inside it."""
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
    """Stretches of ``text`` that secrets cover, those that lie over one another as one.

    Looked for at every place, whatever was found before it: two secrets may share an end and a beginning.
    """
    found: list[tuple[int, int]] = []
    match = pattern.search(text) if pattern else None
    while pattern and match:
        found.append(match.span())
        match = pattern.search(text, match.start() + 1)
    return joined(found)


def joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """``stretches``, in the order of their beginning, with those that lie over one another as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def begins(pattern: re.Pattern[bytes] | None, data: bytes, longest: int) -> int:
    """Where at the end of ``data`` a secret may begin that is not whole yet; its length where none does."""
    match = pattern.search(data, max(0, len(data) - longest)) if pattern else None
    return match.start() if match else len(data)


def hidden(text: AnyStr, mark: AnyStr, stretches: Sequence[tuple[int, int]]) -> AnyStr:
    """``text`` with ``mark`` in place of each of ``stretches``."""
    ends = [0, *(end for _, end in stretches)]
    starts = [*(start for start, _ in stretches), len(text)]
    return mark.join(text[end:start] for end, start in zip(ends, starts, strict=True))


class RedactingWriter:
    """Hides secrets in a stream; keeps back so much of its end as could be the beginning of one."""

    def __init__(self, file: Sink, pattern: re.Pattern[bytes] | None, begun: re.Pattern[bytes] | None, longest: int) -> None:
        """Writes to ``file`` what has no match of ``pattern``, and keeps back what ``begun`` matches.

        No secret is longer than ``longest``.
        """
        self._file, self._pattern, self._begun, self._longest = file, pattern, begun, longest
        self._kept = b""
        self._covered = 0
        """Bytes at the beginning of what is kept that a secret covers whose mark is written."""
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        """Take the next piece."""
        self._kept += data
        if cut := begins(self._begun, self._kept, self._longest):
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
        clean = clean[len(MARK) :] if self._covered and length else clean
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
        return [(0, max([self._covered, *over])), *found[len(over) :]]

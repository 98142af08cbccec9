"""Regular expressions for all encoded forms in which a program may print a secret.

A secret becomes a sequence of parts, and most parts stand for one character. A part matches the character itself and its
escaped forms: percent-encoded in upper or lower case, as an HTML entity, escaped for JSON, Go, shells, SQL, C or a passfile,
and each of these escaped a second time. So a text that mixes several escapes matches, too. Further patterns match the
secret's bytes: in hexadecimal, base64 or base32, and in UTF-16. The bytes in UTF-16 may be raw, or printed with NULs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from html.entities import html5
from itertools import groupby
from typing import NamedTuple

SHORTEST = 4
"""Minimum length, in characters, of a secret or of one line of a secret that is hidden.

Shorter texts are not hidden, because they occur in any output by chance.
"""
PIECE, STEP = 64, 48
"""Length of each piece of a long secret, and distance from the start of one piece to the start of the next, in characters.

The distance is smaller than the length, so the pieces overlap. Each piece is matched.
"""
LONGEST_NAME = 8
"""Length of the longest names of HTML entities that are matched, including the semicolon. Programs do not write longer
names."""

ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\0": "0", "\a": "a", "\x1b": "e"}
QUOTES = "'\"\\"
r"""Quotes and the backslash. The escaped form of each contains other quotes or backslashes: ``'"'"'`` in a shell,
``''`` in SQL, ``\"`` in JSON.

Therefore, when the output is searched for a secret, each sequence of these characters in the secret is one part of the pattern.
"""
DOUBLED = "%$"
AND = "&(?:amp;){0,2}"
PERCENT = "%(?:25){0,2}"
SLASHES = r"\\\\{0,7}"
"""Pattern for a backslash in escaped text. It also matches several backslashes, because each further escaping of the text
doubles them.
"""
BETWEEN = r"[^0-9A-Za-z]{0,8}(?:0?[xX]|u00)?"
"""Pattern for the separator of two bytes in hexadecimal. It may be empty, blanks, colons, or the prefix of an escape."""
WRAP = r"\s{0,2}"
"""Pattern for a line break inside wrapped base64."""
NUL = rf"\x00|{SLASHES}(?:x00|u0000|0+)|{PERCENT}00|\^@"
"""Pattern for a NUL byte, and for the texts that programs print instead of a NUL byte, such as ``^@``. In UTF-16, a NUL
byte stands beside each ASCII character.
"""
ANY = rf"(?:{SLASHES}(?:x..|u....|[0-7]{{3}}|.)|{PERCENT}..|&[^;]{{1,8}};|[^\x00])"
"""Pattern for any character, or any escape of a character."""
FEW = 10
"""Number of base32 characters by which a secret is found in the output. They are the first characters of its encoded form.

The later characters are not compared. They are hidden up to the length of the secret.
"""
ANCHOR = 16
"""Number of bytes at the beginning of a secret that are compared, in order to find the secret in hexadecimal. In base64,
twice this number of characters is compared. In UTF-16, four times this number of bytes is compared.

The rest of the secret is hidden without a comparison, up to the length of the secret.
"""
ARMOR = re.compile(r"-{3,}[^-]*-{3,}")


class Part(NamedTuple):
    """Part of an encoded secret.

    ``ways``: patterns for the part. Each pattern begins with a fixed character. ``most``: maximum length, in bytes, of a text
    that the part matches.
    """

    ways: tuple[str, ...]
    most: int

    @property
    def pattern(self) -> str:
        """Regular expression that matches the part in any of its encodings."""
        return self.ways[0] if len(self.ways) == 1 else f"(?:{'|'.join(self.ways)})"


Form = tuple[Part, ...]


def forms(secret: str) -> Iterator[Form]:
    """Yield the encoded forms of ``secret``, each as a list of parts.

    A long secret is split into pieces, and a secret of several lines into its lines.
    """
    for piece in dict.fromkeys(_pieces(secret)):
        for encode in ENCODINGS:
            yield from encode(piece)


def _pieces(secret: str) -> Iterator[str]:
    lines = [line.strip() for line in secret.splitlines()]
    whole = [secret] if len(lines) < 2 or len(secret) <= 2 * PIECE else []
    for text in [*whole, *(lines if len(lines) > 1 else ())]:
        if len(text) >= SHORTEST and not ARMOR.fullmatch(text):
            starts = range(0, max(1, len(text) - PIECE + STEP), STEP)
            yield from (text[start : start + PIECE] for start in starts)


def _written(secret: str) -> Iterator[Form]:
    """Return forms that match ``secret`` as text. Each character may be literal or escaped."""
    parts: list[Part] = []
    for quoted, run in groupby(secret, lambda char: char in QUOTES):
        count = len(text := "".join(run))
        parts += [_quotes(count)] if quoted else _plain(text, slashes=bool(parts))
    yield tuple(parts)


@cache
def _quotes(count: int) -> Part:
    """Return the part for ``count`` adjacent quotes and backslashes.

    They may be literal, escaped by further quotes or backslashes, or encoded.
    """
    references = f"{AND}{_any([way for char in QUOTES for way in _names_of(char)])}"
    percent = f"{PERCENT}{_any([_nibbles(ord(char)) for char in QUOTES])}"
    codes = f"(?<=\\\\){_any([way for char in QUOTES for way in _codes(char)])}"
    more = f"(?:['\"\\\\]|{references}|{percent}|{codes}){{{count - 1},{8 * count + 7}}}+"
    return Part(tuple(first + more for first in (*map(re.escape, QUOTES), references, percent)), 24 * (8 * count + 8))


def _plain(run: str, *, slashes: bool) -> Iterator[Part]:
    """Return the parts for ``run``: adjacent characters of the secret, none of them a quote or a backslash.

    ``slashes``: True when quotes or backslashes come before ``run``. If the first character of ``run`` is written as an
    escape, its backslash may already be matched by the part for these quotes or backslashes. Therefore, the part for the
    first character also matches an escape without its backslash, such as ``x41``.
    """
    for char, same in groupby(run):
        count = len(list(same))
        if char in DOUBLED:
            own, encoded = re.escape(char), _encoded(char, bare=slashes)
            ways = [f"{way}{_any(encoded)}{{{count - 1}}}" for way in encoded]
            yield Part((*ways, f"{own}{own}{{{count - 1},{2 * count - 1}}}"), _most(char) * count)
        else:
            yield from [_part(char, bare=slashes), *[_part(char, bare=False)] * (count - 1)]
        slashes = False


@cache
def _part(char: str, *, bare: bool) -> Part:
    """Return the part of a pattern that matches one character, literally or in any escaped form.

    When ``bare`` is true, the part also matches an escape without its leading backslash.
    """
    if char.isascii() and char.isalnum():
        return Part((char,), 1)
    own = {" ": [r"\ ", r"\+"], "\n": ["\n", "\r\n", r"\ "]}.get(char, [re.escape(char)])
    return Part((*_encoded(char, bare=bare), *own), _most(char))


def _most(char: str) -> int:
    return 24 + 14 * len(_raw(char))


@cache
def _encoded(char: str, *, bare: bool) -> tuple[str, ...]:
    """Return the patterns for the escaped forms of ``char``.

    When ``bare`` is true, they include an escape without its leading backslash.
    """
    behind = _any([*_codes(char), re.escape(char), *([ESCAPES[char]] if char in ESCAPES else [])])
    return (f"{PERCENT}{_percent(char)}", f"{AND}{_any(_names_of(char))}", f"{SLASHES}{behind}", *([behind] if bare else []))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _any(ways: Sequence[str]) -> str:
    return f"(?:{'|'.join(ways)})"


def _percent(char: str) -> str:
    return PERCENT.join(_nibbles(byte) for byte in _raw(char))


def _names_of(char: str) -> list[str]:
    """Return patterns for the HTML and XML entities of ``char``, both numeric and named, without the leading ``&``."""
    number = ord(char)
    return [f"#0{{0,6}}{number};", f"#[xX]0{{0,6}}{_digits(f'{number:x}')};", *map(re.escape, _named().get(char, ()))]


@cache
def _named() -> dict[str, tuple[str, ...]]:
    names_by_char: dict[str, tuple[str, ...]] = {}
    for name, char in html5.items():
        if name.endswith(";") and len(name) <= LONGEST_NAME:
            names_by_char[char] = (*names_by_char.get(char, ()), name)
    return names_by_char


def _codes(char: str) -> list[str]:
    """Return patterns that match the escape codes for ``char`` in Python, JSON, JavaScript, C, Go and PostgreSQL. The
    first backslash of each code is left out."""
    number, raw = ord(char), _raw(char)
    units = char.encode("utf-16-be", "surrogatepass")
    pairs = [f"{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)]
    patterns = [
        f"u{f'{SLASHES}u'.join(map(_digits, pairs))}",
        f"u\\{{0{{0,4}}{_digits(f'{number:x}')}\\}}",
        f"U{_digits(f'{number:08x}')}",
        f"x{f'{SLASHES}x'.join(map(_nibbles, raw))}",
        SLASHES.join(f"{byte:03o}" for byte in raw),
    ]
    return [*patterns, f"x{_nibbles(number)}"] if 127 < number < 256 else patterns


def _nibbles(byte: int) -> str:
    return _digits(f"{byte:02x}")


def _digits(text: str) -> str:
    """Return a pattern that matches the hexadecimal digits ``text`` in upper and lower case."""
    return "".join(char if char.isdigit() else f"[{char}{char.upper()}]" for char in text)


def _hexadecimal(secret: str) -> Iterator[Form]:
    """Return a form that matches ``secret`` in hexadecimal, with any separators that programs print between bytes."""
    raw = _raw(secret)
    high, low = f"{raw[0] >> 4:x}", f"{raw[0] & 15:x}"
    first = Part(tuple(f"{char}{_digits(low)}" for char in dict.fromkeys((high, high.upper()))), 2)
    yield (
        first,
        *(Part((BETWEEN + _nibbles(byte),), 13) for byte in raw[1:ANCHOR]),
        *_rest(f"{BETWEEN}[0-9A-Fa-f]{{2}}", 13, len(raw) - ANCHOR),
    )


def _rest(way: str, most: int, count: int) -> Iterator[Part]:
    """Yield one Part, which matches up to ``count`` repetitions of the regular expression ``way``, or none. Yield no Part if
    ``count`` is 0 or less.

    ``most``: maximum length, in bytes, of one repetition.
    """
    if count > 0:
        yield Part((f"(?:{way}){{0,{count}}}",), most * count)


def _base64(secret: str) -> Iterator[Form]:
    """Return forms that match ``secret`` in base64: one for each alphabet, and for each position at which the secret
    can begin in a group of 3 bytes."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for inner in _aligned(_raw(secret), encode, 3, 6):
            known = inner[: 2 * ANCHOR]
            yield (
                Part((re.escape(known[0]),), 1),
                *(Part((WRAP + re.escape(char),), 9) for char in known[1:]),
                *_rest(f"{WRAP}[A-Za-z0-9+/_-]", 9, len(inner) - len(known)),
            )


def _base32(secret: str) -> Iterator[Form]:
    """Return forms that match ``secret`` in base32. Base32 encodes bytes in groups of 5. The encoded text depends on the
    position in a group at which the secret begins, so there is one form for each position.
    """
    for inner in _aligned(_raw(secret), base64.b32encode, 5, 5):
        yield (
            Part((inner[0],), 1),
            *(Part((WRAP + char,), 3) for char in inner[1:FEW]),
            *_rest(f"{WRAP}[A-Z2-7]", 3, len(inner) - FEW),
        )


def _aligned(raw: bytes, encode: Callable[[bytes], bytes], group: int, bits: int) -> Iterator[str]:
    """Yield the encoded forms of ``raw`` inside a longer text. An encoding such as base64 works on groups of ``group`` bytes,
    so there is one form for each position in a group at which ``raw`` can begin.

    The first and last characters of a form are left out, because they depend on the bytes before and after ``raw``.
    """
    for offset in range(group):
        whole = encode(b"\0" * offset + raw).decode().rstrip("=")
        inner = whole[-(-offset * 8 // bits) : (offset + len(raw)) * 8 // bits]
        if len(inner) >= 2 * SHORTEST:
            yield inner


def _utf16(secret: str) -> Iterator[Form]:
    """Return forms that match ``secret`` in UTF-16, in both byte orders. The forms match the bytes themselves, and texts in
    which a program printed the bytes as escapes. For a secret in ASCII, the forms also match UTF-32.
    """
    orders = (secret.encode(order, "surrogatepass") for order in ("utf-16-le", "utf-16-be"))
    for raw in dict.fromkeys(order.strip(b"\0") for order in orders):
        known, behind = raw[: 4 * ANCHOR].rstrip(b"\0"), raw[4 * ANCHOR :]
        yield (*map(_byte, known), *_rest(f"(?:{NUL}){{0,3}}{ANY}", 60, len(behind.replace(b"\0", b""))), _NULS)


_NULS = Part((f"(?:{NUL}){{0,3}}",), 36)


@cache
def _byte(byte: int) -> Part:
    """Return the part that matches one ``byte`` of a text in UTF-16.

    Programs may print this byte as a character, as an escape, or as the replacement character for unprintable bytes.
    """
    if not byte:
        return Part((f"(?:{NUL}){{1,3}}",), 36)
    if byte < 128:
        return _part(chr(byte), bare=False)
    shown, octal = _nibbles(byte), f"{byte:03o}"
    escaped = f"{SLASHES}(?:x{shown}|u(?:00|dc){shown}|{octal}|ufffd)"
    return Part((chr(0xDC00 + byte), escaped, f"{PERCENT}{shown}", "\ufffd", re.escape(chr(byte))), 24)


ENCODINGS: tuple[Callable[[str], Iterator[Form]], ...] = (_written, _hexadecimal, _base64, _base32, _utf16)

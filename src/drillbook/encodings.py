r"""The forms in which programs print a secret: one table of encodings, as regular expressions.

A secret is a row of parts, mostly one for each character. Each part matches every way in which a character is written
that programs do not print as it is: percent-encoded in either case, as an entity of HTML, escaped for JSON, Go, shells,
SQL, C or a passfile, and once more on top of it. So a form is found that mixes them, or that no program was known to print.
Beside it stand the forms that encode bytes: hexadecimal, base64, base32, and UTF-16 as bytes or as text with NULs in it.
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
"""Shorter secrets, and shorter lines of longer ones, are not looked for: they would hide half of every text."""
PIECE, STEP = 64, 48
"""Longer secrets are looked for in pieces of so many characters, a new one at every so many."""
LONGEST_NAME = 8
"""Longer names of entities are written by no program."""

ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\0": "0", "\a": "a", "\x1b": "e"}
QUOTES = "'\"\\"
"""They are escaped by one another, so a run of them is one part: ``'"'"'`` of a shell, ``''`` of SQL, ``\\"`` of JSON."""
DOUBLED = "%$"
AND = "&(?:amp;){0,2}"
PERCENT = "%(?:25){0,2}"
SLASHES = r"\\\\{0,7}"
"""One backslash, or so many as escaping again makes of it."""
BETWEEN = r"[^0-9A-Za-z]{0,8}(?:0?[xX]|u00)?"
"""What stands between two bytes in hexadecimal: nothing, blanks, colons, or the sign of an escape."""
WRAP = r"\s{0,2}"
"""The end of a line of wrapped base64."""
NUL = rf"\x00|{SLASHES}(?:x00|u0000|0+)|{PERCENT}00|\^@"
"""The character between those of UTF-16, and how programs show it."""
ANY = rf"(?:{SLASHES}(?:x..|u....|[0-7]{{3}}|.)|{PERCENT}..|&[^;]{{1,8}};|[^\x00])"
"""Any character, or the escape of one."""
FEW = 10
"""Of base32 so many characters are looked for; the rest is taken as it comes."""
ANCHOR = 16
"""Of longer ones so many bytes are looked for in hexadecimal and base64; the rest is taken as it comes, up to its length."""
ARMOR = re.compile(r"-{3,}[^-]*-{3,}")


class Part(NamedTuple):
    """A part of a form: the ways to write it, each beginning with a certain character, and the most bytes that it takes."""

    ways: tuple[str, ...]
    most: int

    @property
    def pattern(self) -> str:
        """All ways as one expression."""
        return self.ways[0] if len(self.ways) == 1 else f"(?:{'|'.join(self.ways)})"


Form = tuple[Part, ...]


def forms(secret: str) -> Iterator[Form]:
    """Every form of ``secret`` that is looked for; a long one, and one of several lines, also piece by piece."""
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
    """As text, each character as it is or escaped."""
    parts: list[Part] = []
    for quoted, run in groupby(secret, lambda char: char in QUOTES):
        count = len(text := "".join(run))
        parts += [_quotes(count)] if quoted else _plain(text, slashes=bool(parts))
    yield tuple(parts)


@cache
def _quotes(count: int) -> Part:
    """So many quotes and backslashes, in any mixture: as they are, escaped by one another, or encoded."""
    references = f"{AND}{_any([way for char in QUOTES for way in _names_of(char)])}"
    percent = f"{PERCENT}{_any([_nibbles(ord(char)) for char in QUOTES])}"
    codes = f"(?<=\\\\){_any([way for char in QUOTES for way in _codes(char)])}"
    more = f"(?:['\"\\\\]|{references}|{percent}|{codes}){{{count - 1},{8 * count + 7}}}+"
    return Part(tuple(first + more for first in (*map(re.escape, QUOTES), references, percent)), 24 * (8 * count + 8))


def _plain(run: str, *, slashes: bool) -> Iterator[Part]:
    """Characters other than quotes; ``slashes``: a run of quotes before them may have taken all backslashes."""
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
    """One character: if programs escape it, in every way in which they do; and as it is."""
    if char.isascii() and char.isalnum():
        return Part((char,), 1)
    own = {" ": [r"\ ", r"\+"], "\n": ["\n", "\r\n", r"\ "]}.get(char, [re.escape(char)])
    return Part((*_encoded(char, bare=bare), *own), _most(char))


def _most(char: str) -> int:
    return 24 + 14 * len(_raw(char))


@cache
def _encoded(char: str, *, bare: bool) -> tuple[str, ...]:
    """Every way to escape ``char``; ``bare``: what stands behind a backslash may stand without it."""
    behind = _any([*_codes(char), re.escape(char), *([ESCAPES[char]] if char in ESCAPES else [])])
    return (f"{PERCENT}{_percent(char)}", f"{AND}{_any(_names_of(char))}", f"{SLASHES}{behind}", *([behind] if bare else []))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _any(ways: Sequence[str]) -> str:
    return f"(?:{'|'.join(ways)})"


def _percent(char: str) -> str:
    return PERCENT.join(_nibbles(byte) for byte in _raw(char))


def _names_of(char: str) -> list[str]:
    """What stands between ``&`` and the end of an entity of HTML or XML: a name, or a number."""
    number = ord(char)
    return [f"#0{{0,6}}{number};", f"#[xX]0{{0,6}}{_digits(f'{number:x}')};", *map(re.escape, _named().get(char, ()))]


@cache
def _named() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, char in html5.items():
        if name.endswith(";") and len(name) <= LONGEST_NAME:
            found[char] = (*found.get(char, ()), name)
    return found


def _codes(char: str) -> list[str]:
    """What stands behind a backslash for ``char`` in Python, JSON, JavaScript, C, Go and PostgreSQL."""
    number, raw = ord(char), _raw(char)
    units = char.encode("utf-16-be", "surrogatepass")
    pairs = [f"{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)]
    found = [
        f"u{f'{SLASHES}u'.join(map(_digits, pairs))}",
        f"u\\{{0{{0,4}}{_digits(f'{number:x}')}\\}}",
        f"U{_digits(f'{number:08x}')}",
        f"x{f'{SLASHES}x'.join(map(_nibbles, raw))}",
        SLASHES.join(f"{byte:03o}" for byte in raw),
    ]
    return [*found, f"x{_nibbles(number)}"] if 127 < number < 256 else found


def _nibbles(byte: int) -> str:
    return _digits(f"{byte:02x}")


def _digits(text: str) -> str:
    """Hexadecimal digits in either case."""
    return "".join(char if char.isdigit() else f"[{char}{char.upper()}]" for char in text)


def _hexadecimal(secret: str) -> Iterator[Form]:
    """Its bytes in hexadecimal, with whatever a program writes between them."""
    raw = _raw(secret)
    high, low = f"{raw[0] >> 4:x}", f"{raw[0] & 15:x}"
    first = Part(tuple(f"{char}{_digits(low)}" for char in dict.fromkeys((high, high.upper()))), 2)
    yield (
        first,
        *(Part((BETWEEN + _nibbles(byte),), 13) for byte in raw[1:ANCHOR]),
        *_rest(f"{BETWEEN}[0-9A-Fa-f]{{2}}", 13, len(raw) - ANCHOR),
    )


def _rest(way: str, most: int, count: int) -> Iterator[Part]:
    """Up to ``count`` more of ``way``."""
    if count > 0:
        yield Part((f"(?:{way}){{0,{count}}}",), most * count)


def _base64(secret: str) -> Iterator[Form]:
    """In base64."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for inner in _aligned(_raw(secret), encode, 3, 6):
            known = inner[: 2 * ANCHOR]
            yield (
                Part((re.escape(known[0]),), 1),
                *(Part((WRAP + re.escape(char),), 9) for char in known[1:]),
                *_rest(f"{WRAP}[A-Za-z0-9+/_-]", 9, len(inner) - len(known)),
            )


def _base32(secret: str) -> Iterator[Form]:
    """In base32."""
    for inner in _aligned(_raw(secret), base64.b32encode, 5, 5):
        yield (
            Part((inner[0],), 1),
            *(Part((WRAP + char,), 3) for char in inner[1:FEW]),
            *_rest(f"{WRAP}[A-Z2-7]", 3, len(inner) - FEW),
        )


def _aligned(raw: bytes, encode: Callable[[bytes], bytes], group: int, bits: int) -> Iterator[str]:
    """The part of an encoded text that ``raw`` alone decides, at each alignment in a ``group`` of bytes."""
    for offset in range(group):
        whole = encode(b"\0" * offset + raw).decode().rstrip("=")
        inner = whole[-(-offset * 8 // bits) : (offset + len(raw)) * 8 // bits]
        if len(inner) >= 2 * SHORTEST:
            yield inner


def _utf16(secret: str) -> Iterator[Form]:
    """In UTF-16 of either order of bytes, as it is or as the text that a program makes of it; of ASCII in UTF-32 too."""
    orders = (secret.encode(order, "surrogatepass") for order in ("utf-16-le", "utf-16-be"))
    for raw in dict.fromkeys(order.strip(b"\0") for order in orders):
        known, behind = raw[: 4 * ANCHOR].rstrip(b"\0"), raw[4 * ANCHOR :]
        yield (*map(_byte, known), *_rest(f"(?:{NUL}){{0,3}}{ANY}", 60, len(behind.replace(b"\0", b""))), _NULS)


_NULS = Part((f"(?:{NUL}){{0,3}}",), 36)


@cache
def _byte(byte: int) -> Part:
    """A byte of UTF-16: as a character, as the escape of one, or as the sign for what is none."""
    if not byte:
        return Part((f"(?:{NUL}){{1,3}}",), 36)
    if byte < 128:
        return _part(chr(byte), bare=False)
    shown, octal = _nibbles(byte), f"{byte:03o}"
    escaped = f"{SLASHES}(?:x{shown}|u(?:00|dc){shown}|{octal}|ufffd)"
    return Part((chr(0xDC00 + byte), escaped, f"{PERCENT}{shown}", "\ufffd", re.escape(chr(byte))), 24)


ENCODINGS: tuple[Callable[[str], Iterator[Form]], ...] = (_written, _hexadecimal, _base64, _base32, _utf16)

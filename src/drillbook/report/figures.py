"""Formats figures and foreign text for reports.

Figures are seconds with their error, times in UTC, and sizes. Foreign text is escaped.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from drillbook.language import durations
from drillbook.report.indented_json import of_json

UNITS = durations.UNITS
seconds = durations.seconds
MOST_DIGITS = 6
PLAIN_S = 1000
"""Number of seconds from which a rounded figure in a narrow table has larger units than seconds."""
MOST_ROUNDING = 0.15
"""Fraction by which rounding up may increase the number in a text such as ``at most 0.05 s``. If rounding up would increase
the number by more, one more decimal is shown.
"""
REMEMBERED = 2000
"""Largest number of characters of a JSON text for which the indented form is kept for later calls. Longer texts are
formatted each time.
"""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters that are invisible or change the order of text. Tab and line feed are not among them."""


def shown(text: object) -> str:
    """Escape every invisible character in ``text``, and every character that changes the order of text.

    For example, the character ESC becomes a backslash and `x1b`.
    """
    if type(text) is str and text.isprintable():  # as most texts of a report; Python counts no hidden character as printable
        return text
    return _HIDDEN.sub(_escape, str(text).replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: object) -> str:
    """Escape ``text`` into one line.

    In addition to the characters that ``shown`` escapes, line feeds and tabs are escaped.
    """
    if type(text) is str and text.isprintable():
        return text
    return shown(text).replace("\n", "\\n").replace("\t", "\\t")


def took(value: float) -> str:
    """Format a duration with only the digits that matter to a reader, such as ``0.04 s``, ``8.3 s`` or ``2 min 5 s``."""
    return seconds(value, _took_digits(value))


def rounded(value: float) -> float:
    """Round ``value``, a duration in seconds, in the same way in which ``took`` rounds it."""
    return round(value, _took_digits(value))


def _took_digits(value: float) -> int:
    return 0 if value >= 60 else 1 if value >= 10 else 2


def lasted(started: str, finished: str | None) -> float | None:
    """Return the number of seconds from the start to the end of a run, by the times in its result.

    The number is None for a run without end.

    Every list of runs uses this duration, so that all lists show the same.
    """
    begin, end = moment(started), moment(finished) if finished else None
    return (end - begin).total_seconds() if begin and end else None


def error_digits(error: float) -> int:
    """Return the number of decimals to show for ``error``.

    Normally two significant digits of the error are shown. An error with only one significant digit, such as 0.5, is shown
    with this digit. The result is 3 when ``error`` is zero or infinite.
    """
    if not error or not math.isfinite(error):
        return 3
    digits = -math.floor(math.log10(abs(error)))
    two = round(abs(error) * 10**digits, 6) not in (1.0, *map(float, range(2, 10)))
    return max(0, min(MOST_DIGITS, digits + two))


def rounded_up(error: float, digits: int) -> float:
    """Round ``error`` up to ``digits`` decimals, so that the shown error is never too small."""
    factor = 10.0**digits
    return float(math.ceil(round(error * factor, 6)) / factor)


def figure(value: float, error: float | None, digits: int | None = None, *, latest: bool = False) -> str:
    """Format a measurement with its error, such as ``7.4 s ± 0.1 s``, or with ``(error not stated)`` if ``error`` is
    None. An error that goes only downwards is marked, as in ``7.41 s +0/−0.10 s``. When the error is as large as the value, the
    text gives only the upper end (the largest possible true value), as in ``at most 0.05 s``. ``latest``: see ``upper_end``."""
    if error is None:
        return f"{seconds(value)} (error not stated)"
    places = error_digits(error) if digits is None else digits
    if bounded(value, error):
        upper = upper_end(value, error, latest=latest)
        places += math.isfinite(upper) and rounded_up(upper, places) > upper * (1 + MOST_ROUNDING)
        return f"at most {seconds(rounded_up(upper, places), places)}"
    shown_, doubt, places = _rounded(value, error, places, latest=latest)
    return f"{seconds(shown_, places)} {DOWNWARDS if latest else '± '}{seconds(doubt, places)}"


def _rounded(value: float, error: float, places: int, *, latest: bool) -> tuple[float, float, int]:
    """Return the printed value, its printed error, and the number of printed decimals. ``latest``: see ``upper_end``.

    If the error goes only downwards, the value is rounded up, because the true value may be as large as the exact value. The
    printed error then reaches down to the exact lower end. If this would increase the error by more than the fraction
    ``MOST_ROUNDING``, one more decimal is printed.
    """
    if not latest or not error:
        return round(value, places), rounded_up(error, places), places
    shown_, doubt = _rounded_up(value, error, places)
    if doubt <= error * (1 + MOST_ROUNDING):
        return shown_, doubt, places
    return *_rounded_up(value, error, places + 1), places + 1


def _rounded_up(value: float, error: float, places: int) -> tuple[float, float]:
    shown_ = rounded_up(value, places)
    return shown_, rounded_up(shown_ - (value - error), places)


DOWNWARDS = "+0/\N{MINUS SIGN}"
"""Sign before an error that goes only downwards: the true value may be smaller than the figure by this error, and never larger.
"""
_ERROR = re.compile(rf" (?=± |{re.escape(DOWNWARDS)})")


def without_error(text: str) -> str:
    """Return the text of a figure without its measurement error."""
    return _ERROR.split(text)[0].removesuffix(" (error not stated)")


def against(value: float, error: float | None, target: float, *, latest: bool = False) -> str:
    """Format a measurement with enough digits that the text is on the same side of ``target`` as the exact value.
    ``latest``: see ``upper_end``."""
    digits, upper = 3 if error is None else error_digits(error), upper_end(value, error or 0.0, latest=latest)
    while digits < MOST_DIGITS and (
        (value != target and (value > target) != (_rounded(value, error or 0.0, digits, latest=latest)[0] > target))
        or (bounded(value, error) and upper <= target < rounded_up(upper, digits))
    ):
        digits += 1
    return figure(value, error, digits, latest=latest)


def rounded_figure(value: float, error: float | None, target: float, *, latest: bool = False) -> str:
    """Format a measurement without its error, for narrow tables: with the digits that ``took`` would show, or with more if the
    text would otherwise be on another side of ``target`` than the exact value. Below ``PLAIN_S``, the unit is always seconds.
    An upper end, as in ``at most 0.05 s``, is rounded up. ``latest``: see ``upper_end``.
    """
    upper = bounded(value, error)
    exact = upper_end(value, error or 0.0, latest=latest) if upper else value
    if not math.isfinite(exact):
        return without_error(against(value, error, target, latest=latest))
    digits = min(_took_digits(exact), 3 if error is None else error_digits(error))
    while digits < MOST_DIGITS and _misleads(_to_digits(exact, digits, up=upper or latest), exact, target, upper=upper):
        digits += 1
    shown_ = _to_digits(exact, digits, up=upper or latest)
    text = f"{shown_:.{digits}f} s" if 0 <= shown_ < PLAIN_S else seconds(shown_, digits)
    return f"at most {text}" if upper else text


def _to_digits(value: float, digits: int, *, up: bool) -> float:
    return rounded_up(value, digits) if up else round(value, digits)


def _misleads(shown_: float, exact: float, target: float, *, upper: bool) -> bool:
    """Return True if ``shown_``, the rounded form of ``exact``, is on another side of ``target``. For an ``upper`` end, also
    return True if it was rounded up by more than the fraction ``MOST_ROUNDING``."""
    if upper and shown_ > exact * (1 + MOST_ROUNDING):
        return True
    return exact != target and (exact > target) != (shown_ > target)


def upper_end(value: float, error: float, *, latest: bool = False) -> float:
    """Return the largest possible true value of a measurement.

    ``latest``: True when the measurement ends with the sample that showed the change. As the change cannot be later than this
    sample, the largest possible value is ``value`` itself, if it is not zero. In all other cases, it is ``value + error``.
    """
    return value if latest and value > 0 else value + error


def bounded(value: float, error: float | None) -> bool:
    """Return True when the error is at least as large as the value. Then only the upper end of the true value is known, and a
    text such as ``0.11 s ± 0.12 s`` would make no sense.

    Value and error are compared as they are shown, after rounding.
    """
    if error is None or value < 0 or not error > 0:
        return False
    digits = error_digits(error)
    return value <= error or round(value, digits) <= rounded_up(error, digits)


def printed(value: float, error: float, *, latest: bool = False) -> tuple[float, float]:
    """Return the printed value minus its printed error, and the printed value plus its printed error. A figure that is
    printed as "at most" has only an upper end: the first number is then 0. ``latest``: see ``upper_end``."""
    places = error_digits(error)
    if bounded(value, error):
        upper = upper_end(value, error, latest=latest)
        return 0.0, rounded_up(upper, places)
    shown_, doubt, _ = _rounded(value, error, places, latest=latest)
    return round(shown_ - doubt, MOST_DIGITS), round(shown_ + doubt, MOST_DIGITS)


def milliseconds(value: float) -> str:
    """Format a short duration, such as ``12 ms`` or ``0.4 ms``. From one second on, the unit is seconds, as in ``1.2 s``."""
    if value >= 1:
        return seconds(value, 1)
    return f"{value * 1000:.{0 if value >= 0.01 else 1}f} ms"


def moment(started: str, offset: float = 0.0) -> datetime | None:
    """Return the time in UTC that is ``offset`` seconds after ``started``. Returns None when ``started`` cannot be
    parsed.
    """
    try:
        return _begin(started) + timedelta(seconds=offset)
    except (ValueError, OverflowError):
        return None


@lru_cache(64)
def _begin(started: str) -> datetime:
    begin = datetime.fromisoformat(started)
    return (begin if begin.tzinfo else begin.replace(tzinfo=UTC)).astimezone(UTC)


def utc(started: str | None, offset: float = 0.0) -> str:
    """Format a date and time in UTC to the second, such as ``2026-01-02 10:00:03 UTC``. The text is ``not recorded``
    for None, and a text that is no time is shown as it is."""
    if started is None:
        return "not recorded"
    at = moment(started, offset)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else shown(started)


def utc_minute(started: str) -> str:
    """Format a date and time in UTC to the minute, such as ``2026-01-02 10:00``.

    The text has no time zone. It is for tables that state the time zone elsewhere.
    """
    at = moment(started)
    return f"{at:%Y-%m-%d %H:%M}" if at else shown(started)


def utc_time(started: str, offset: float) -> str:
    """Format the time of day ``offset`` seconds after ``started``, in UTC to the second, such as ``10:00:03 UTC``. When
    ``started`` cannot be parsed, the text gives only the offset, such as ``3.0 s after the start``."""
    at = moment(started, offset)
    return f"{at.hour:02}:{at.minute:02}:{at.second:02} UTC" if at else f"{seconds(offset, 1)} after the start"


def size(count: int) -> str:
    """Format a number of bytes, such as ``1.4 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def readable(text: str) -> str:
    """Rewrite sizes and durations in ``text`` so that people can read them. Parts of the text in backticks are not changed.

    A large number of bytes gets a larger unit, such as ``128 MiB (134217728 bytes)``. A long duration in seconds is written
    in larger units, such as ``1 d 2 h`` for ``93600 s``. A blank is added before the unit of a duration such as ``30d``.
    """
    parts = text.split("`")
    return "`".join(part if number % 2 else _readable(part) for number, part in enumerate(parts))


def _readable(text: str) -> str:
    text = _BYTES.sub(lambda match: f"{size(int(match[1])).replace('.0 ', ' ')} ({match[0]})", text)
    text = _SECONDS.sub(
        lambda match: seconds(value) if (value := float(match[0][:-2])) >= 2 * UNITS[-1][0] else match[0], text
    )
    return _SHORT.sub(lambda match: f"{match[1]} {'min' if match[2] == 'm' else match[2]}", text)


_BYTES = re.compile(r"(?<![\w.(-])(\d{5,18}) bytes\b")
_SECONDS = re.compile(r"(?<![\w.:-])\d{1,12}(?:\.\d{1,3})? s\b")
_SHORT = re.compile(r"(?<![^\s(])(\d{1,9})(ms|[smhd])(?=$|[\s,;)]|\.$|\.\s)")
"""Pattern of a duration as a drill writes it, such as `30d`."""


def count(number: int, noun: str, many: str = "") -> str:
    """Format a count with its noun, such as ``1 write`` or ``41 writes``."""
    return f"{number} {noun if number == 1 else many or noun + 's'}"


def tight(text: str) -> str:
    """Replace the spaces inside each figure, and the space before a mark such as ``†``, by no-break spaces. The figure and
    its mark then stay on one line.
    """
    return re.sub(r" (?=[†‡§¶])", "\N{NO-BREAK SPACE}", inside(text))


def inside(text: str) -> str:
    """Replace the spaces inside each figure, such as ``7 s``, by no-break spaces. Leave the space before a mark such as
    ``†`` unchanged, unlike ``tight``."""
    return _INSIDE.sub("\N{NO-BREAK SPACE}", text)


_INSIDE = re.compile(r"(?<=\d) (?=(?:d|h|min|s|ms)\b)|(?<=\b(?:d|h)) (?=\d)|(?<=\bmin) (?=\d)| (?=±|\+0/)|(?<=±) ")


def pretty(value: Any) -> str:
    """Format a JSON value for readers. Keys are sorted, so that equal values look alike."""
    short = _ENCODER.encode(value)
    return _pretty(short) if len(short) <= REMEMBERED else _indented(short)


_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str)


def _indented(text: str) -> str:
    return of_json(json.loads(text))


_pretty = lru_cache(1024)(_indented)
"""Formats values, and remembers the results, because the steps of a drill have the same parameters on many hosts."""


def kinds_of(drills: int, suites: int) -> str:
    """Return the number of drills and of suites, such as ``3 drills and 1 suite``. The result is empty when both numbers are 0."""
    return " and ".join(count(number, kind) for number, kind in ((drills, "drill"), (suites, "suite")) if number)


def runs_of(drills: int, suites: int) -> str:
    """Return the number of runs, such as ``8 runs of drills and 1 run of a suite``."""
    parts = [count(drills, "run of a drill", "runs of drills")] if drills or not suites else []
    parts += [count(suites, "run of a suite", "runs of suites")] if suites else []
    return " and ".join(parts)


def link(path: str) -> str | None:
    """Return ``path`` if it is a safe relative link below the report's folder; otherwise None."""
    safe = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+@=,-]*(/[A-Za-z0-9_][A-Za-z0-9._+@=,-]*)*", path)
    return path if safe and ".." not in path else None

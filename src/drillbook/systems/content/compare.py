"""Compares content with content that was recorded earlier. Content is a list of lines or a JSON value. Numbers may differ by a
tolerance.

The differences are texts for a report. Parts of them that look like passwords are masked.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from drillbook.sdk.masked_text import names_secret, shown

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.]\w)")
"""Regular expression for a number in a line of text."""


def differences(before: Any, after: Any, *, ordered: bool, tolerance: float) -> Iterator[str]:
    """Yield one line of text for each difference between ``before`` and ``after``, the contents that the same command or
    request returned at two times.

    A list of texts is compared as lines.
    """
    if _is_lines(before) and _is_lines(after):
        yield from _of_lines(before, after, ordered=ordered, tolerance=tolerance)
    else:
        yield from _of_values(before, after, "", ordered=ordered, tolerance=tolerance)


def _is_lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _of_lines(before: Sequence[str], after: Sequence[str], *, ordered: bool, tolerance: float) -> Iterator[str]:
    if ordered:
        yield from _in_order(before, after, tolerance)
        return
    if tolerance:
        missing, added = _unpaired(before, after, tolerance)
    else:
        gone, new = Counter(before) - Counter(after), Counter(after) - Counter(before)
        missing, added = list(gone.elements()), list(new.elements())
    yield from (f"missing: {shown(line)}" for line in missing)
    yield from (f"unexpected: {shown(line)}" for line in added)


def _in_order(before: Sequence[str], after: Sequence[str], tolerance: float) -> Iterator[str]:
    for number, (old, new) in enumerate(zip(before, after, strict=False), 1):
        if not _near(old, new, tolerance):
            yield f"line {number}: {shown(old)} became {shown(new)}"
    yield from (f"missing: {shown(line)}" for line in before[len(after) :])
    yield from (f"unexpected: {shown(line)}" for line in after[len(before) :])


def _unpaired(before: Sequence[str], after: Sequence[str], tolerance: float) -> tuple[list[str], list[str]]:
    """Return the lines that have no partner.

    Two lines are partners when only their numbers differ, by at most ``tolerance``.
    """
    candidates: dict[str, list[str]] = defaultdict(list)
    for line in sorted(after, key=_numbers):
        candidates[_skeleton(line)].append(line)
    left: list[str] = []
    for line in sorted(before, key=_numbers):
        fitting = candidates[_skeleton(line)]
        partner = next((candidate for candidate in fitting if _near(line, candidate, tolerance)), None)
        if partner is None:
            left.append(line)
        else:
            fitting.remove(partner)
    return sorted(left), sorted(line for lines in candidates.values() for line in lines)


def _skeleton(line: str) -> str:
    return NUMBER.sub("#", line)


def _numbers(line: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(line)]


def _near(old: str, new: str, tolerance: float) -> bool:
    if old == new:
        return True
    if not tolerance or _skeleton(old) != _skeleton(new):
        return False
    return all(abs(a - b) <= tolerance for a, b in zip(_numbers(old), _numbers(new), strict=True))


def _of_values(before: Any, after: Any, path: str, *, ordered: bool, tolerance: float) -> Iterator[str]:
    options: dict[str, Any] = {"ordered": ordered, "tolerance": tolerance}
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            place = f"{path}.{key}" if path else key
            if key not in after:
                yield f"{shown(place)}: missing, was {_shown(before[key], place)}"
            elif key not in before:
                yield f"{shown(place)}: unexpected {_shown(after[key], place)}"
            else:
                yield from _of_values(before[key], after[key], place, **options)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(before, after, path, **options)
    elif not _equal(before, after, tolerance):
        yield f"{shown(path) or 'the value'}: {_shown(before, path)} became {_shown(after, path)}"


def _of_lists(before: list[Any], after: list[Any], path: str, *, ordered: bool, tolerance: float) -> Iterator[str]:
    if not ordered:
        left = sorted(after, key=_text)
        missing = []
        for item in sorted(before, key=_text):
            partner = next((i for i, candidate in enumerate(left) if _same(item, candidate, tolerance)), None)
            if partner is None:
                missing.append(item)
            else:
                left.pop(partner)
        yield from (f"{shown(path) or 'the list'}: missing {_shown(item, path)}" for item in missing)
        yield from (f"{shown(path) or 'the list'}: unexpected {_shown(item, path)}" for item in left)
        return
    for index, (old, new) in enumerate(zip(before, after, strict=False)):
        yield from _of_values(old, new, f"{path}.{index}".lstrip("."), ordered=True, tolerance=tolerance)
    if len(before) != len(after):
        yield f"{shown(path) or 'the list'}: {len(before)} items became {len(after)}"


def _same(before: Any, after: Any, tolerance: float) -> bool:
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_same(before[key], after[key], tolerance) for key in before)
    if isinstance(before, list) and isinstance(after, list):
        return next(_of_lists(before, after, "", ordered=False, tolerance=tolerance), None) is None
    return _equal(before, after, tolerance)


def _equal(before: Any, after: Any, tolerance: float) -> bool:
    """Return True if the two values are equal. Two numbers are equal if they differ by at most ``tolerance``. Values of
    different types are never equal: the JSON value true differs from 1, and a list differs from a text.
    """
    if _is_number(before) and _is_number(after):
        return bool(before == after or abs(before - after) <= tolerance)
    return type(before) is type(after) and bool(before == after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _shown(value: Any, path: str) -> str:
    """Return the text of a value for a difference. The whole value is masked if a part of its ``path`` names a password."""
    return "***" if any(map(names_secret, path.split("."))) else shown(_text(value))

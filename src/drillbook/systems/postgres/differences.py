"""Compares two sets of objects by kind, name and property. The objects belong to a database or a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from drillbook.findings import Finding, finding
from drillbook.language.lists import leading
from drillbook.sdk import masked_text
from drillbook.systems.postgres.keyed_digests import is_sealed

Objects = dict[str, dict[str, dict[str, Any]]]
"""Properties of objects. The first key is the kind of an object, the second key is its name, and the third key is the
name of a property. The property ``of`` is the name of the relation to which the object belongs.
"""
RELATION = "relation"
PARENT = "of"
MOST = 100
"""Maximum number of findings of one comparison. The evidence file lists all differences."""
LONG = 300
"""Maximum length of a value in a finding, in characters."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between an object in a backup (``wanted``) and the same object in a database (``measured``).

    ``trait``: name of the property that differs. The name is empty when the whole object is missing in the database or in the
    backup.
    """

    kind: str
    name: str
    trait: str
    wanted: Any
    measured: Any

    @property
    def object(self) -> str:
        """Kind and name of the object."""
        return f"{self.kind} {self.name}"

    @property
    def label(self) -> str:
        """Kind and name of the object, followed by the name of the property if there is one."""
        return f"{self.object}, {self.trait}" if self.trait else self.object

    def accepted_by(self, accept: Mapping[str, str]) -> str:
        """Return the reason why the difference is accepted, or an empty text when no pattern of ``accept`` matches it."""
        texts = (self.object, self.label)
        return next((why for pattern, why in accept.items() if any(_matches(pattern, text) for text in texts)), "")


def _matches(pattern: str, text: str) -> bool:
    return pattern == text or fnmatchcase(text, pattern)


def between(wanted: Objects, measured: Objects) -> Iterator[Difference]:
    """Yield the differences between two sets of objects, for all kinds of objects in ``wanted``.

    If a relation is missing or unexpected, the objects that belong to it are not reported separately.
    """
    for kind, objects in wanted.items():
        there = measured.get(kind, {})
        for name, before in objects.items():
            now = there.get(name)
            if now is not None:
                yield from _properties(kind, name, before, now)
            elif not _orphan(before, measured):
                yield Difference(kind, name, "", "as in the backup", "missing")
        for name, now in there.items():
            if name not in objects and not _orphan(now, wanted):
                yield Difference(kind, name, "", "none", shown(now.get("definition", "there")))


def _properties(kind: str, name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            yield Difference(kind, name, key, before.get(key), now.get(key))


def _orphan(properties: Mapping[str, Any], other: Objects) -> bool:
    parent = properties.get(PARENT)
    return parent is not None and RELATION in other and parent not in other[RELATION]


def findings(
    all_of_them: Sequence[Difference], code: Callable[[Difference], str], evidence: tuple[str, ...]
) -> list[Finding]:
    """Return a finding for each difference. The function ``code`` returns the code of the finding.

    At most ``MOST`` such findings are returned. If there are more differences, an additional finding states the number of
    the other differences. The files in ``evidence`` list all differences.
    """
    shown, others = leading(all_of_them, MOST)
    made = [_finding(difference, code(difference), evidence) for difference in shown]
    if others:
        last = all_of_them[MOST]
        title = f"{others} more differences, the first of them: {last.label}"
        made.append(finding(code(last), title=title, wanted="no difference", evidence=evidence))
    return made


def _finding(difference: Difference, code: str, evidence: tuple[str, ...]) -> Finding:
    wanted, measured = pair(difference)
    return finding(code, title=difference.label, wanted=wanted, measured=measured, evidence=evidence)


def pair(difference: Difference) -> tuple[str, str]:
    """Return expected and measured value as text in which secrets are hidden.

    Of long values, only a part around the first difference is returned.
    """
    if is_sealed(difference.wanted) or is_sealed(difference.measured):
        return _sealed(difference.wanted, "that of the backup"), _sealed(difference.measured, "another one")
    wanted, measured = shown(difference.wanted), shown(difference.measured)
    if max(len(wanted), len(measured)) <= LONG:
        return wanted, measured
    pairs = zip(wanted, measured, strict=False)
    first = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(wanted), len(measured)))
    start = max(0, wanted.rfind("\n", 0, first) + 1, first - LONG // 2)
    return _cut(wanted, start), _cut(measured, start)


def _cut(text: str, start: int) -> str:
    part = text[start : start + LONG]
    return ("..." if start else "") + part + ("..." if len(text) > start + LONG else "")


def _sealed(value: Any, words: str) -> str:
    return f"{words} (not shown)" if is_sealed(value) else shown(value)


def shown(value: Any) -> str:
    """Return a value as text in which everything that looks like a password is hidden."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, []):
        return "none"
    if isinstance(value, str):
        return masked_text.shown(value)
    return masked_text.shown(json.dumps(value, ensure_ascii=False))


def listed(differences: Iterable[Difference]) -> str:
    """Return all differences as text for an evidence file."""
    return "".join(
        f"{difference.label}\n  wanted: {_whole(difference, 0)}\n  measured: {_whole(difference, 1)}\n"
        for difference in differences
    )


def _whole(difference: Difference, side: int) -> str:
    if is_sealed(difference.wanted) or is_sealed(difference.measured):
        return pair(difference)[side]
    return shown((difference.wanted, difference.measured)[side])

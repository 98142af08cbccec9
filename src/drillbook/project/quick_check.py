"""Finds mistakes in the structure of a drill's file without loading its actions, so that lists of drills stay fast. Parameters
are not checked; ``drill.plan`` checks them.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from drillbook.errors import DrillbookError
from drillbook.language.strict import did_you_mean
from drillbook.plan.drill_keys import PHASES, Head, Suite
from drillbook.plan.keywords import ConditionWords, Keywords
from drillbook.sdk import discovery

_KEYS = (*Head.model_fields, "probes", *PHASES)
_STEP_WORDS = frozenset(Keywords.model_fields)
_CLASS = re.compile(r"\nclass (\w+)")
"""Pattern of a line that begins a class. It begins with a fixed text, because `re` finds such a text several times faster."""
_CONDITION_WORDS = frozenset(info.alias or name for name, info in ConditionWords.model_fields.items())


def first_mistake(value: Mapping[str, Any], path: Path, text: str, known: Sequence[str]) -> str:
    """Return the first mistake in a drill or suite, with its line. The result is empty if none was found.

    ``value``: content of the file. ``known``: names of all drills and suites.
    """
    wrong = next(_suite(value, known) if "suite" in value and "drill" not in value else _drill(value), None)
    return "" if wrong is None else f"{path.name}{_line(text, wrong[0])}: {wrong[1]}"


def _line(text: str, word: str) -> str:
    """Return the number of the first line with ``word`` outside of a comment, such as ``:7``. The result is empty if no line
    has the word."""
    match = re.search(rf"^[^#\n]*?(?<![\w.-]){re.escape(word)}(?![\w.-])", text, re.MULTILINE) if word else None
    return f":{text.count(chr(10), 0, match.end()) + 1}" if match else ""


def _suite(value: Mapping[str, Any], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield from _unknown(value, tuple(Suite.model_fields))
    names = value.get("drills")
    for name in names if isinstance(names, list) else ():
        if name not in known:
            yield str(name), f"there is no drill {name!r}"


def _drill(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _unknown(value, _KEYS)
    for phase in PHASES:
        yield from _entries(value.get(phase), phase, _STEP_WORDS, ("actions",))
    yield from _entries(value.get("probes"), "probes", frozenset(), ("probes",))
    guard = value.get("guard")
    conditions = guard.get("abort_if") if isinstance(guard, dict) else None
    yield from _entries(conditions, "abort_if", _CONDITION_WORDS, ("actions", "probes"))


def _unknown(value: Mapping[str, Any], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    for key in value:
        if key not in known:
            yield str(key), f"unknown key {key!r}; {did_you_mean(str(key), known)}".rstrip("; ")


def _entries(listed: Any, key: str, words: frozenset[str], parts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in a list of steps, probes or conditions. ``words``: keys that an entry may have beside its name.
    ``parts``: ``actions``, ``probes``, or both; an entry must name one of them.
    """
    if listed in (None, ""):
        return
    if not isinstance(listed, list):
        yield key, f"{key!r} must be a list"
        return
    for entry in listed:
        if isinstance(entry, dict) and "parallel" in entry and words is _STEP_WORDS:
            yield from _entries(entry["parallel"], "parallel", words, parts)
            continue
        names = [name for name in entry if name not in words] if isinstance(entry, dict) else []
        if len(names) != 1:
            yield names[0] if names else key, f"an entry of {key!r} must name exactly one action, but it names {len(names)}"
        elif why := _no_class(str(names[0]), parts):
            yield str(names[0]), why


@cache
def _no_class(name: str, parts: tuple[str, ...]) -> str:
    """Return the reason why no action or probe has this ``name``. The result is empty if the name is known."""
    if any(_in_source(name, part) for part in parts):
        return ""
    from drillbook.sdk.action import Action  # noqa: PLC0415  keeps start-up fast
    from drillbook.sdk.probe import Probe  # noqa: PLC0415  keeps start-up fast

    why = ""
    for kind in (Probe, Action):
        if kind.PART not in parts:
            continue
        try:
            discovery.find(name, kind)
        except DrillbookError as error:
            why = error.message
        else:
            return ""
    return why


def _in_source(name: str, part: str) -> bool:
    """Return True when the source code defines the class for ``name``, such as ``Restore`` in the family `s3` for `s3.restore`."""
    family, _, rest = name.partition(".")
    return "".join(word.capitalize() for word in rest.split("_")) in _classes(family, part)


@cache
def _classes(family: str, part: str) -> frozenset[str]:
    """Return the names of the classes in the modules that define the actions or probes of ``family``."""
    module = next((known[family] for system in discovery.systems() if family in (known := system.modules(part))), "")
    try:
        spec = importlib.util.find_spec(module) if module else None
        if spec is None or not spec.origin:
            return frozenset()
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
        paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))] or [Path(spec.origin)]
        return frozenset(name for path in paths for name in _CLASS.findall(f"\n{path.read_text(encoding='utf-8')}"))
    except (ImportError, OSError, UnicodeDecodeError):
        return frozenset()

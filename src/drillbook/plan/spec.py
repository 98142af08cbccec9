"""Reads drills and suites from their files, and checks them as far as this is possible without an inventory."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drillbook.diagnosis import FOLDER
from drillbook.diagnosis.tree import Tree
from drillbook.diagnosis.trees import beside, load_all
from drillbook.errors import SpecError
from drillbook.language import strict, template
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Document, Place
from drillbook.plan.broken_entries import Unread, known_part
from drillbook.plan.condition_class import condition_class
from drillbook.plan.drill_keys import PHASES as PHASES  # noqa: PLC0414  re-exported: most modules also need Drill
from drillbook.plan.drill_keys import Head as Head  # noqa: PLC0414
from drillbook.plan.drill_keys import Objectives as Objectives  # noqa: PLC0414
from drillbook.plan.drill_keys import Suite as Suite  # noqa: PLC0414
from drillbook.plan.keywords import ConditionWords, Keywords
from drillbook.plan.limits import Guard
from drillbook.sdk import discovery, entries
from drillbook.sdk.action import Action
from drillbook.sdk.probe import Probe

DIAGNOSIS = "diagnosis.finds"
"""Name of the action that applies diagnosis trees."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step as written in the file: its action, parameters, keywords and position.

    ``group``: number of the parallel group to which the step belongs.
    """

    action: type[Action]
    params: dict[str, Any]
    keywords: Keywords
    place: Place
    group: int | None

    @property
    def dynamic(self) -> frozenset[str]:
        """Names of the parameters whose value contains an expression."""
        return frozenset(key for key, value in self.params.items() if template.has_template(value))


@dataclass(frozen=True, slots=True)
class ProbeUse:
    """One probe as written in the drill's file."""

    probe: type[Probe]
    params: dict[str, Any]
    place: Place


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of ``guard.abort_if`` as written in the drill's file: a read-only step, or a probe."""

    use: Step | ProbeUse
    words: ConditionWords
    place: Place


@dataclass(frozen=True, slots=True)
class Drill:
    """A drill as written in its file: its head, its probes, and the steps of each phase."""

    head: Head
    probes: tuple[ProbeUse, ...]
    phases: dict[str, tuple[Step, ...]]
    document: Document
    conditions: tuple[Condition, ...] = ()
    trees: tuple[Tree, ...] = ()
    """Diagnosis trees of the project. The field is empty if no step of the drill makes a diagnosis."""

    @property
    def name(self) -> str:
        """Name of the drill."""
        return self.head.drill


@dataclass(frozen=True, slots=True)
class Partial:
    """The readable parts of a drill that has mistakes. ``unread``: its entries with mistakes."""

    drill: Drill
    unread: tuple[Unread, ...]


def load(path: Path, trees: Path | None = None, known: Collection[str] | None = None) -> Drill | Suite:
    """Read a drill or a suite from its file.

    ``trees``: folder of diagnosis trees. By default, it is the nearest folder ``diagnosis``; see ``beside``. ``known``:
    names of all drills. When it is given, a suite may name only drills in ``known``. Raises SpecError, with the position in
    the file, when the file is invalid.
    """
    mistakes = Mistakes()
    document = strict.load(path, error_type=SpecError, mistakes=mistakes)
    if "suite" in document.value and "drill" not in document.value:
        return _suite(document, path, known, mistakes)
    return _drill(document, path, trees, mistakes)


def _suite(document: Document, path: Path, known: Collection[str] | None, mistakes: Mistakes) -> Suite:
    suite = mistakes.of(document.validate, Suite, document.value)
    own, listed = document.value["suite"], document.value.get("drills")
    if _is_name(own):
        mistakes.of(_same_name, document, "suite", own, path)
    for index, name in enumerate(listed if known is not None and isinstance(listed, list) else ()):
        if _is_name(name) and (name == own or name not in (known or ())):
            near = strict.did_you_mean(name, sorted({*(known or ())} - {own}))
            mistakes.errors.append(document.error(("drills", index), f"there is no drill {name!r}", hint=near))
    mistakes.report()
    if suite is None:
        raise document.error((), "the suite cannot be read")
    return suite


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value))


def _drill(document: Document, path: Path, trees: Path | None, mistakes: Mistakes) -> Drill:
    unread: list[Unread] = []
    head = _head(document, path, mistakes)
    read_head = head or _written(document)
    listed = mistakes.of(_list, document, ("probes",)) or ()
    read = [mistakes.of(_probe, document, item, ("probes", index), unread) for index, item in enumerate(listed)]
    probes = tuple(use for use in read if use)
    phases = {phase: _steps(document, phase, mistakes, unread) for phase in PHASES}
    told = [
        mistakes.of(_condition, document, dict(item), ("guard", "abort_if", index), unread)
        for index, item in enumerate(read_head.guard.abort_if)
    ]
    conditions = tuple(condition for condition in told if condition)
    try:
        mistakes.report()
    except SpecError as error:
        error.read = Partial(Drill(read_head, probes, phases, document, conditions), tuple(unread))
        raise
    if not any(phases.values()) or head is None:
        raise document.error((), "the drill has no steps", hint=f"write steps under one of: {', '.join(PHASES)}")
    return Drill(head, probes, phases, document, conditions, _trees(document, trees or beside(path), phases))


def _written(document: Document) -> Head:
    """Return a ``Head`` (the keys of a drill without phases and probes) for a file with mistakes. The result contains the
    service, the owner, and those keys of the guard that are right. The service or the owner is empty if its value in the file
    is not a text.
    """
    service, owner = (text if isinstance(text := document.value.get(key), str) else "" for key in ("service", "owner"))
    limits, guard = document.value.get("guard"), dict[str, Any]()
    for key, value in limits.items() if isinstance(limits, dict) else ():
        with suppress(ValidationError):
            Guard.model_validate({key: value})
            guard[key] = value
    return Head.model_construct(drill="", title="", service=service, owner=owner, guard=Guard.model_validate(guard))


def _head(document: Document, path: Path, mistakes: Mistakes) -> Head | None:
    """Read all keys except the phases and the probes. Returns None when one of these keys is wrong."""
    keys = {key: value for key, value in document.value.items() if key not in (*PHASES, "probes")}
    known = [*Head.model_fields, "probes", *PHASES]
    unknown = [
        document.error(
            (key,),
            f"unknown key {key!r}",
            key=True,
            hint=f"{document.below((key,), known)}{strict.did_you_mean(key, known)}known keys: {', '.join(known)}",
        )
        for key in keys
        if key not in Head.model_fields
    ]
    mistakes.errors += unknown
    if unknown:  # the keys that are known are checked too; one that is missing is often a misspelt one
        right = {key: value for key, value in keys.items() if key in Head.model_fields}
        mistakes.of(entries.check_params, document, Head, right, frozenset(), (), missing=False)
    head = None if unknown else mistakes.of(document.validate, Head, keys)
    name = keys.get("drill", "")
    if _is_name(name):
        mistakes.of(_same_name, document, "drill", name, path)
    return head


def _trees(document: Document, folder: Path | None, phases: dict[str, tuple[Step, ...]]) -> tuple[Tree, ...]:
    """Return the diagnosis trees that the drill needs: all of them if one of its steps makes a diagnosis, otherwise none.

    Raises SpecError when a step makes a diagnosis and there are no trees, or when a tree is invalid.
    """
    using = next((step for steps in phases.values() for step in steps if step.action.name() == DIAGNOSIS), None)
    if using is None:
        return ()
    if folder is None and not discovery.shipped("trees"):
        raise document.error(
            (*using.place, DIAGNOSIS),
            f"{DIAGNOSIS} needs diagnosis trees, but the project has none",
            key=True,
            hint=f"put trees into the folder {FOLDER} next to the drills",
        )
    return load_all(folder)


def _same_name(document: Document, key: str, name: str, path: Path) -> None:
    if name != path.stem:
        raise document.error(
            (key,),
            f"the {key} is named {name!r}, but its file is named {path.name!r}",
            hint=f"rename the file to {name}.yml, or the {key} to {path.stem}",
        )


def _list(document: Document, place: Place) -> list[Any]:
    value = document.value
    for part in place:
        value = value.get(part) if isinstance(value, dict) else value[part]
    if value is None:
        return []
    if not isinstance(value, list):
        raise document.error(place, f"{place[-1]!r} must be a list", hint="begin each entry with `- `")
    return value


def _steps(document: Document, phase: str, mistakes: Mistakes, unread: list[Unread]) -> tuple[Step, ...]:
    steps: list[Step | None] = []
    for index, item in enumerate(mistakes.of(_list, document, (phase,)) or ()):
        place: Place = (phase, index)
        if isinstance(item, dict) and "parallel" in item:
            steps += [
                mistakes.of(_step, document, inner, (*place, "parallel", position), index, unread)
                for position, inner in enumerate(mistakes.of(_group, document, item, place) or ())
            ]
        else:
            steps.append(mistakes.of(_step, document, item, place, None, unread))
    return tuple(step for step in steps if step)


def _group(document: Document, item: dict[str, Any], place: Place) -> list[Any]:
    """Return the steps of a parallel group."""
    group = item["parallel"]
    if len(item) > 1 or not isinstance(group, list) or not group:
        raise document.error(
            place,
            "`parallel` must be the only key, and its value a list of steps",
            hint="write `- parallel:`, and indented below it each step with its own `- `",
        )
    return group


def _step(document: Document, item: Any, place: Place, group: int | None, unread: list[Unread]) -> Step:
    keys, mistakes = tuple(Keywords.model_fields), Mistakes()
    right, entry = known_part(document, item, place, keys, mistakes)
    named = mistakes.of(entries.named, document, right, place, "a step", keys)
    keywords = mistakes.of(document.validate, Keywords, entry.words, place)
    if entry.words.get("every") and not entry.words.get("timeout"):
        mistakes.errors.append(
            document.error((*place, "every"), "`every` needs a `timeout`, but there is none", hint="add `timeout: 30s`")
        )
    name, params = named or ("", {})
    action = mistakes.of(entries.find_class, document, name, (*place, name), Action) if name else None
    if action:
        whole = not entry.odd  # a key that stands beside the action by mistake is not missing among its parameters
        mistakes.of(entries.check_params, document, action, params, _dynamic(params), (*place, name), missing=whole)
    if mistakes.errors:
        unread.append(replace(entry, name=name, kind=action, params=params))
    mistakes.report()
    return Step(action or Action, params, keywords or Keywords(), place, group)


def _probe(document: Document, item: Any, place: Place, unread: list[Unread]) -> ProbeUse:
    mistakes = Mistakes()
    right, entry = known_part(document, item, place, (), mistakes)
    name, params = mistakes.of(entries.named, document, right, place, "a probe", ()) or ("", {})
    probe = mistakes.of(entries.find_class, document, name, (*place, name), Probe) if name else None
    if probe:
        whole = not entry.odd
        mistakes.of(entries.check_params, document, probe, params, _dynamic(params), (*place, name), missing=whole)
    if mistakes.errors:
        unread.append(replace(entry, name=name, kind=probe, params=params))
    mistakes.report()
    return ProbeUse(probe or Probe, params, place)


def _dynamic(params: dict[str, Any]) -> frozenset[str]:
    return frozenset(key for key, value in params.items() if template.has_template(value))


def _condition(document: Document, item: dict[str, Any], place: Place, unread: list[Unread]) -> Condition:
    keys, mistakes = tuple(info.alias or key for key, info in ConditionWords.model_fields.items()), Mistakes()
    right, entry = known_part(document, item, place, keys, mistakes)
    name, params = mistakes.of(entries.named, document, right, place, "a condition", keys) or ("", {})
    words = mistakes.of(document.validate, ConditionWords, entry.words, place) or ConditionWords()
    acting = any(entry.words.get(key) is not None for key in ("hosts", "expect", "timeout"))
    kind = mistakes.of(condition_class, document, name, (*place, name), acting=acting) if name else None
    if kind:
        whole = not entry.odd
        mistakes.of(entries.check_params, document, kind, params, _dynamic(params), (*place, name), missing=whole)
    if kind and not issubclass(kind, Action):
        mistakes.of(_only_for_actions, document, entry.words, name, place)
    if mistakes.errors:
        unread.append(replace(entry, name=name, kind=kind, params=params))
    mistakes.report()
    kind = kind or Probe
    if issubclass(kind, Action):
        keywords = Keywords(name=words.name, hosts=words.hosts, expect=words.expect, timeout=words.timeout)
        return Condition(Step(kind, params, keywords, place, None), words, place)
    return Condition(ProbeUse(kind, params, place), words, place)


def _only_for_actions(document: Document, words: dict[str, Any], name: str, place: Place) -> None:
    for key in ("hosts", "expect", "timeout"):
        if words.get(key) is not None:
            raise document.error(
                (*place, key),
                f"the key {key!r} is only for actions, but {name} is a probe",
                key=True,
                hint=(
                    "a probe runs on the controller, and its result is good or bad; `timeout` is one of the probe's own "
                    "parameters"
                ),
            )

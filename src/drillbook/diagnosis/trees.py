"""Loads diagnosis trees from ``drills/diagnosis/``.

The files are strict YAML, and every mistake is reported with its position.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from drillbook.diagnosis import FOLDER
from drillbook.diagnosis.tree import Check, Head, Tree, Words
from drillbook.errors import SourceError, SpecError
from drillbook.language import strict, template
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Document, Place
from drillbook.sdk import discovery, entries
from drillbook.sdk.action import Action, Effect, Read
from drillbook.sdk.discovery import service_kinds

NAMES = ("service", "host", "the")
"""Names that expressions of a tree can use, besides the names of its checks.

If the tree examines peers, ``peer`` can be used, too.
"""


def beside(path: Path) -> Path | None:
    """Return the folder ``diagnosis`` that is nearest to ``path``, the file of a drill. Return None when there is no such
    folder.

    The folder of the file and the three folders above it are searched.
    """
    return next((folder for parent in path.absolute().parents[:4] if (folder := parent / FOLDER).is_dir()), None)


def load_all(folder: Path | None) -> tuple[Tree, ...]:
    """Load all trees of ``folder`` and of plugins, sorted by name.

    A tree in the folder replaces a plugin's tree of the same name. Raises SpecError with file, line and column when a tree
    is invalid.
    """
    paths = {**discovery.shipped("trees"), **{path.stem: path for path in (folder.glob("*.yml") if folder else ())}}
    return tuple(load(paths[name]) for name in sorted(paths))


def load(path: Path) -> Tree:
    """Load one tree. Raises SpecError with the position of each mistake when the tree is invalid."""
    mistakes = Mistakes()
    document = strict.load(path, error_type=SpecError, mistakes=mistakes)
    head = mistakes.of(document.validate, Head, {key: value for key, value in document.value.items() if key != "checks"})
    written = mistakes.of(_mapping, document, "checks") or {}
    read = [mistakes.of(_check, document, name, item) for name, item in written.items()]
    checks = tuple(check for check in read if check)
    if head:
        mistakes.errors += _of_head(document, path, head)
    mistakes.errors += _References(document, head, checks, tuple(written)).wrong()
    mistakes.report()
    return Tree(**cast("Head", head).model_dump(by_alias=False), checks=checks)


def _of_head(document: Document, path: Path, head: Head) -> list[SourceError]:
    """Return the mistakes in the name of the tree, in its kinds of services, and in the steps of its remedies. ``path``: file
    of the tree."""
    mistakes = Mistakes()
    if head.tree != path.stem:
        text = f"the tree is named {head.tree!r}, but its file is named {path.name!r}"
        hint = f"rename the file to {head.tree}.yml, or the tree to {path.stem}"
        mistakes.errors.append(document.error(("tree",), text, hint=hint))
    mistakes.errors += _kinds(document, head.kinds, ("kind",))
    for name, cause in head.causes.items():
        if cause.remedy.step is not None:
            mistakes.of(_remedy, document, cause.remedy.step, ("causes", name, "remedy", "step"))
    return mistakes.errors


def _mapping(document: Document, key: str) -> dict[str, Any]:
    value = document.value.get(key) or {}
    if not isinstance(value, dict):
        raise document.error((key,), f"{key!r} must be a mapping of names to values")
    return value


def _kinds(document: Document, kinds: Iterable[str], place: Place) -> list[SourceError]:
    """Return an error for each entry of ``kinds`` that is no kind of service."""
    return [
        document.error(
            place,
            f"there is no kind of service {kind!r}",
            hint=discovery.hint(f"{strict.did_you_mean(kind, service_kinds())}kinds: {', '.join(service_kinds())}"),
        )
        for kind in kinds
        if kind not in service_kinds()
    ]


def _check(document: Document, name: str, item: Any) -> Check:
    place: Place = ("checks", name)
    if not name.isidentifier() or name in (*NAMES, "peer"):
        raise document.error(
            place,
            f"{name!r} is not a valid name of a check",
            key=True,
            hint="choose an identifier that expressions can use and that is not already defined",
        )
    mistakes, keywords = Mistakes(), tuple(Words.model_fields)
    if odd := entries.unknown_keywords(document, item, place, keywords):
        mistakes.errors += odd.values()
        item = {key: value for key, value in item.items() if key not in odd}
    action, params = entries.named(document, item, place, "a check", keywords)
    kind = entries.find_class(document, action, (*place, action), Action)
    changes = document.error(
        (*place, action),
        f"{action} may make changes, but a check of a diagnosis must be read-only",
        key=True,
        hint="use a read-only action; see `invoke actions`",
    )
    if not issubclass(kind, Read):
        raise changes
    words = mistakes.of(document.validate, Words, {key: value for key, value in item.items() if key != action}, place)
    mistakes.errors += _kinds(document, words.needs, (*place, "needs")) if words else []
    mistakes.of(entries.check_params, document, kind, params, _dynamic(params), (*place, action))
    mistakes.report()
    if _changes(kind, params):
        raise changes
    return Check(id=name, action=action, params=params, words=cast("Words", words))


def _changes(kind: type[Action], params: Mapping[str, Any]) -> bool:
    """Return False when the known parameters prove that the action is read-only, and True in all other cases."""
    dynamic = _dynamic(params)
    known = {key: value for key, value in params.items() if key not in dynamic}
    return "effect" in params or "by" in dynamic or kind.with_unknown(known, dynamic).effect is not Effect.READ


def _dynamic(params: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(key for key, value in params.items() if template.has_template(value))


def _remedy(document: Document, step: dict[str, Any], place: Place) -> None:
    action, params = entries.named(document, step, place, "the step of a remedy", ())
    kind = entries.find_class(document, action, (*place, action), Action)
    entries.check_params(document, kind, params, _dynamic(params), (*place, action))


class _References:
    """Checks every expression of a diagnosis tree for unknown names.

    ``head``: fields of the tree without its checks. It is None if they could not be read. ``checks``: checks of the tree that
    could be read. ``written``: names of all its checks, including those that could not be read.
    """

    def __init__(self, document: Document, head: Head | None, checks: tuple[Check, ...], written: tuple[str, ...]) -> None:
        self.document, self.head, self.checks, self.written = document, head, checks, written
        self.static = (*NAMES, *(("peer",) if head is None or head.peers else ()))
        self.known = (*self.static, *written)
        self.errors: list[SourceError] = []

    def wrong(self) -> list[SourceError]:
        """Return an error for each unknown name and for each text that is not an expression."""
        for check in self.checks:
            place: Place = ("checks", check.id)
            before = (*self.static, *self.written[: self.written.index(check.id)])
            self._value(check.params, (*place, check.action), before)
            if check.words.when is not None:
                self._text(check.words.when, (*place, "when"), before, bare=True)
        if self.head:
            self._of_head(self.head)
        return self.errors

    def _of_head(self, head: Head) -> None:
        for number, text in enumerate(head.healthy):
            self._text(text, ("healthy", number), self.known, bare=True)
        for name, cause in head.causes.items():
            self._value(cause.title, ("causes", name, "title"), self.known)
            self._value(cause.remedy.text, ("causes", name, "remedy", "text"), self.known)
            self._value(cause.remedy.step, ("causes", name, "remedy", "step"), self.known)
            for side, observations in (("for", cause.supports), ("against", cause.against)):
                for number, observation in enumerate(observations):
                    self._text(observation.when, ("causes", name, side, number, "when"), self.known, bare=True)
                    self._value(observation.says, ("causes", name, side, number, "says"), self.known)

    def _value(self, value: Any, place: Place, known: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                self._value(item, (*place, key), known)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                self._value(item, (*place, index), known)
        elif template.is_template(value):
            self._text(value, place, known)

    def _text(self, text: str, place: Place, known: tuple[str, ...], *, bare: bool = False) -> None:
        try:
            names = {reference[0] for reference in template.references(text, bare=bare)}
        except ValueError as error:
            self.errors.append(self.document.error(place, f"not an expression: {error}"))
            return
        for name in sorted(names - set(known)):
            later = " yet: a check can use only checks above it" if name in self.known else ""
            hint = f"{strict.did_you_mean(name, known)}names known here: {', '.join(known)}"
            self.errors.append(self.document.error(place, f"the name {name!r} is not defined{later}", hint=hint))

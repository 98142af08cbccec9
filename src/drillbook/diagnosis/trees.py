"""Loads diagnosis trees from ``drills/diagnosis/``.

The files are strict YAML, and every mistake is reported with its position.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from drillbook.diagnosis.tree import Check, Head, Tree, Words
from drillbook.errors import SpecError
from drillbook.language import strict, template
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Document, Place
from drillbook.sdk import discovery, entries
from drillbook.sdk.action import Action, Effect, Read
from drillbook.sdk.discovery import service_kinds

FOLDER = "diagnosis"
NAMES = ("service", "host", "the")
"""Names that expressions of a tree can use, besides the names of its checks.

If the tree examines peers, ``peer`` can be used, too.
"""


def beside(path: Path) -> Path | None:
    """Return the folder ``diagnosis`` that is nearest to the drill file ``path``, or None when there is no such folder.

    The folder of the file and the next three folders above it are searched.
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
    """Load one tree. Raises SpecError with file, line and column when the tree is invalid."""
    document = strict.load(path, error_type=SpecError)
    mistakes, written = Mistakes(), {key: value for key, value in document.value.items() if key != "checks"}
    head = mistakes.of(document.validate, Head, written)
    read = [mistakes.of(_check, document, name, item) for name, item in _mapping(document, "checks").items()]
    checks = tuple(check for check in read if check)
    mistakes.report()
    return _tree(document, path, cast("Head", head), checks)


def _tree(document: Document, path: Path, head: Head, checks: tuple[Check, ...]) -> Tree:
    """Build the tree of the file ``path`` from its parsed parts, and check the names in its expressions."""
    if head.tree != path.stem:
        raise document.error(
            ("tree",),
            f"the tree is named {head.tree!r}, but its file is named {path.name!r}",
            hint=f"rename the file to {head.tree}.yml, or the tree to {path.stem}",
        )
    _kinds(document, head.kinds, ("kind",))
    tree = Tree(**head.model_dump(by_alias=False), checks=checks)
    _References(document, tree).check()
    mistakes = Mistakes()
    for name, cause in tree.causes.items():
        if cause.remedy.step is not None:
            mistakes.of(_remedy, document, cause.remedy.step, ("causes", name, "remedy", "step"))
    mistakes.report()
    return tree


def _mapping(document: Document, key: str) -> dict[str, Any]:
    value = document.value.get(key) or {}
    if not isinstance(value, dict):
        raise document.error((key,), f"{key!r} must be a mapping of names to values")
    return value


def _kinds(document: Document, kinds: Iterable[str], place: Place) -> None:
    for kind in kinds:
        if kind not in service_kinds():
            raise document.error(
                place,
                f"there is no kind of service {kind!r}",
                hint=discovery.hint(f"{strict.did_you_mean(kind, service_kinds())}kinds: {', '.join(service_kinds())}"),
            )


def _check(document: Document, name: str, item: Any) -> Check:
    place: Place = ("checks", name)
    if not name.isidentifier() or name in (*NAMES, "peer"):
        raise document.error(
            place,
            f"{name!r} is not a valid name of a check",
            key=True,
            hint="choose an identifier that expressions can use and that is not already defined",
        )
    action, params = entries.named(document, item, place, "a check", tuple(Words.model_fields))
    kind = entries.find_class(document, action, (*place, action), Action)
    changes = document.error(
        (*place, action),
        f"{action} may make changes, but a check of a diagnosis must be read-only",
        key=True,
        hint="use a read-only action; see `invoke actions`",
    )
    if not issubclass(kind, Read):
        raise changes
    words = document.validate(Words, {key: value for key, value in item.items() if key != action}, place)
    _kinds(document, words.needs, (*place, "needs"))
    entries.check_params(document, kind, params, _dynamic(params), (*place, action))
    if _changes(kind, params):
        raise changes
    return Check(id=name, action=action, params=params, words=words)


def _changes(kind: type[Action], params: Mapping[str, Any]) -> bool:
    """Return True unless the known parameters prove that the action is read-only."""
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
    """Checks every expression of a tree for unknown names."""

    def __init__(self, document: Document, tree: Tree) -> None:
        self.document, self.tree, self.mistakes = document, tree, Mistakes()
        self.static = (*NAMES, *(("peer",) if tree.peers else ()))
        self.known = (*self.static, *(check.id for check in tree.checks))

    def check(self) -> None:
        """Raise SpecError if an expression has an unknown name. The error contains all unknown names."""
        for number, check in enumerate(self.tree.checks):
            place: Place = ("checks", check.id)
            before = (*self.static, *(earlier.id for earlier in self.tree.checks[:number]))
            self._value(check.params, (*place, check.action), before)
            if check.words.when is not None:
                self.mistakes.of(self._text, check.words.when, (*place, "when"), before, bare=True)
        for number, text in enumerate(self.tree.healthy):
            self.mistakes.of(self._text, text, ("healthy", number), self.known, bare=True)
        for name, cause in self.tree.causes.items():
            self._value(cause.title, ("causes", name, "title"), self.known)
            self._value(cause.remedy.text, ("causes", name, "remedy", "text"), self.known)
            self._value(cause.remedy.step, ("causes", name, "remedy", "step"), self.known)
            for side, observations in (("for", cause.supports), ("against", cause.against)):
                for number, observation in enumerate(observations):
                    self.mistakes.of(
                        self._text, observation.when, ("causes", name, side, number, "when"), self.known, bare=True
                    )
                    self._value(observation.says, ("causes", name, side, number, "says"), self.known)
        self.mistakes.report()

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
            raise self.document.error(place, f"not an expression: {error}") from None
        for name in sorted(names - set(known)):
            later = " yet: a check can use only checks above it" if name in self.known else ""
            raise self.document.error(
                place,
                f"the name {name!r} is not defined{later}",
                hint=(f"{strict.did_you_mean(name, known)}names known here: {', '.join(known)}"),
            )

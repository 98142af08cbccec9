"""Reads those parts of a drill's faulty entries (steps, probes and conditions) that are readable in spite of the
mistakes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Self

from drillbook.errors import SourceError
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Document, Place, did_you_mean
from drillbook.sdk import entries
from drillbook.sdk.action import Action
from drillbook.sdk.probe import Probe


@dataclass(frozen=True, slots=True)
class Unread:
    """One entry that has a mistake. Nothing in it is validated.

    ``kind``: class of its action or probe, or None if it is unknown. ``words``: its known keywords. ``odd``: its unknown
    keys. A key with a dot is left out of ``odd``, because the names of actions and probes have a dot.
    """

    place: Place
    name: str
    kind: type[Action] | type[Probe] | None
    params: dict[str, Any]
    words: dict[str, Any]
    odd: dict[str, Any]

    @classmethod
    def of(cls, item: Any, place: Place, keywords: Collection[str]) -> Self:
        """Read only the keywords of an entry. The fields for its name and its parameters stay empty."""
        written = item if isinstance(item, dict) else {}
        words = {key: value for key, value in written.items() if key in keywords}
        odd = {key: value for key, value in written.items() if key not in keywords and "." not in key}
        return cls(place, "", None, {}, words, odd)

    @property
    def service(self) -> str:
        """Name of the service in the parameters. It is empty if the parameters name no service as text."""
        return _text(self.params.get("service"))

    @property
    def saves(self) -> str:
        """Name under which the entry saves its result. It is empty if the entry saves nothing."""
        misspelt = (
            value for key, value in self.odd.items() if did_you_mean(key, (*self.words, "save")).endswith("'save'? ")
        )
        return _text(self.words.get("save", next(misspelt, "")))

    @property
    def may_save(self) -> frozenset[str]:
        """Texts that the author may have meant as the value of the keyword `save`.

        They are the values of unknown keys, because these may be misspelt, and the value of a parameter `save`, because this
        may be a misplaced keyword.
        """
        return frozenset(map(_text, (*self.odd.values(), self.params.get("save")))) - {""}

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the texts at the keyword ``key``: one text or a list of texts. The result is empty for any other value."""
        value = self.words.get(key)
        listed: list[Any] = value if isinstance(value, list) else [value]
        return tuple(listed) if all(isinstance(text, str) and text for text in listed) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def names_in(unread: Iterable[Unread], own: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return two sets of names from the entries in ``unread``, which have mistakes. The first set contains the names under
    which the entries certainly save their results. The second set contains other texts in the entries that may be meant as
    such names.

    ``own``: names under which other steps save their results. Both sets leave out these names.
    """
    listed = list(unread)
    saved = frozenset(entry.saves for entry in listed) - {"", *own}
    return saved, frozenset[str]().union(*(entry.may_save for entry in listed)) - saved - {*own}


def saved_elsewhere(document: Document, phases: Collection[str]) -> frozenset[str]:
    """Return the names under which steps in lists outside ``phases`` would save their results. Such a list is often a phase
    with a misspelt name.
    """
    lists = [value for key, value in document.value.items() if key not in phases and isinstance(value, list)]
    steps = [step for listed in lists for item in listed for step in _in_group(item)]
    return frozenset(_text(step.get("save")) for step in steps if isinstance(step, dict)) - {""}


def _in_group(item: Any) -> list[Any]:
    group = item.get("parallel") if isinstance(item, dict) else None
    return group if isinstance(group, list) else [item]


def known_part(
    document: Document, item: Any, place: Place, keywords: tuple[str, ...], mistakes: Mistakes
) -> tuple[Any, Unread]:
    """Return two values: the entry ``item`` without its unknown keywords, and an ``Unread`` made from the whole entry. An
    error for each unknown keyword is added to ``mistakes``.
    """
    unknown = entries.unknown_keywords(document, item, place, keywords)
    mistakes.errors += list[SourceError](unknown.values())
    right = {key: value for key, value in item.items() if key not in unknown} if isinstance(item, dict) else item
    return right, Unread.of(item, place, keywords)

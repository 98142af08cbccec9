"""Finds the class of an availability probe or action by its name in a condition of a drill."""

from __future__ import annotations

import contextlib
from typing import Any

from drillbook.errors import UnknownName
from drillbook.language import strict
from drillbook.language.strict import Document, Place
from drillbook.sdk import discovery
from drillbook.sdk.action import Action, find, known_names
from drillbook.sdk.probe import Probe


def condition_class(document: Document, name: str, place: Place, *, acting: bool) -> type[Any]:
    """Return the class of the availability probe or action ``name``. Raises SpecError when ``name`` is a probe of another
    kind, which a condition must not use, or when no probe or action has this name.

    A probe and an action may both have this name. If ``acting`` is True, the action is returned, and otherwise the probe.
    """
    classes: dict[bool, type[Any]] = {}
    for acts, kind in ((False, Probe), (True, Action)):
        with contextlib.suppress(UnknownName):
            classes[acts] = find(name, kind)
    if not classes:
        known = [*known_names(Probe), *known_names()]
        near = [candidate for candidate in known if candidate.startswith(name.partition(".")[0] + ".")]
        hint = f"available names: {', '.join(dict.fromkeys(near))}" if near else "see `invoke actions`"
        hint = discovery.hint(strict.did_you_mean(name, known) + hint)
        raise document.error(place, f"there is no action or probe {name!r}", key=True, hint=hint)
    chosen = classes.get(acting) or next(iter(classes.values()))
    if issubclass(chosen, Probe) and chosen.KIND != "availability":
        raise document.error(
            place,
            f"{name} makes changes, but a condition must be read-only",
            key=True,
            hint="use an availability probe, such as http.available, or a read-only action",
        )
    return chosen

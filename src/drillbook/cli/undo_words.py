"""Words about the undo of an action, for plans, runbooks and the reference on the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from drillbook.sdk.action import Action, Effect

KINDS = {
    "commands": "commands",
    "restore": "the drill's restore phase",
    "nothing": "nothing",
}
PREAMBLE = re.compile(r"^Return (an undo that (changes nothing(: |, because ))?|the undo: it )")
"""Pattern of the words with which the docstring of an action's method ``undo`` begins. These words are removed before
the docstring is shown to users. The words after them describe the effect of the undo.
"""


def effect_line(action: type[Action]) -> str:
    """Return a line with the effect of an action. If the action changes something, the line also describes its undo."""
    undo = "" if action.EFFECT is Effect.READ else f"; undo: {undo_words(action, action.undo_kinds())}"
    return f"Effect: {action.EFFECT}{undo}"


def undo_words(action: type[Action], kinds: Sequence[str]) -> str:
    """Return a text about the undo of ``action``. ``kinds``: the possible kinds of this undo."""
    said = "" if action.undo.__module__ == Action.__module__ else _described(action.undo.__doc__ or "")
    named = {**KINDS, "action": " or ".join(action.UNDO_ACTIONS) or "another action"}
    words = " or ".join(named[kind] for kind in kinds) or "known only when the step begins"
    if not said or tuple(kinds) == ("nothing",):
        return f"{words}: {said}" if said else words
    # a sentence about an undo that may be nothing has a condition
    return f"{said}; otherwise nothing" if "nothing" in kinds else f"{said} (by {words})"


def _described(docstring: str) -> str:
    """Return the effect of an undo. It is taken from the first sentence in the docstring of the action's method ``undo``."""
    sentence = " ".join(docstring.split()).partition(". ")[0].rstrip(".")
    effect = PREAMBLE.sub("", sentence)
    return effect[:1].lower() + effect[1:]

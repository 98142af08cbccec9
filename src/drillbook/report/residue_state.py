"""Words for changes that are not recorded as undone: the heading above them, and their state."""

from __future__ import annotations

from drillbook.judge import residue
from drillbook.judge.result import Residue, RunView
from drillbook.report.figures import count

FAILED, UNRECORDED = "could not be undone", "no undo recorded"
"""States of a change. ``UNRECORDED``: the controller died before an undo, so the target may have undone the change by itself."""
NOT_AS_FOUND = "The system is not as the drill found it."
NOT_KNOWN = (
    "The controller died before it recorded an undo, so it is not known if the system is as the drill found it. A target "
    "whose lease expired undoes the changes by itself."
)


def failed(view: RunView, one: Residue) -> bool:
    """Return True when the journal proves that the change could not be undone."""
    return residue.tried(one, view.steps, finished=view.finished)


def state(view: RunView, one: Residue) -> str:
    """Return words for the state of one change that is not recorded as undone."""
    return FAILED if failed(view, one) else UNRECORDED


def heading(view: RunView) -> str:
    """Return the heading above the changes, such as ``2 changes could not be undone``."""
    left, closed = view.result.residue, view.result.settled
    number = sum(failed(view, one) for one in left)
    text = f"{count(number, 'change')} {FAILED}" if number or not left else ""
    if number < len(left):
        rest = f"no undo of {count(len(left) - number, 'change')} was recorded"
        text = f"{text}, and {rest}" if text else f"{rest[0].upper()}{rest[1:]}"
    return f"{text}; closed later by a person" if closed else text


def meaning(view: RunView) -> str:
    """Return a sentence that tells if the system is still changed, or that this is unknown."""
    return NOT_AS_FOUND if any(failed(view, one) for one in view.result.residue) else NOT_KNOWN

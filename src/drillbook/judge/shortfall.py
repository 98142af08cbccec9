"""Data that a fault removed and that no restore brought back, by the counts of the steps themselves.

A canary sees only a loss of its own writes. So this loss may be in no RPO.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.events.event import Event, each
from drillbook.events.steps import Done
from drillbook.findings import Finding, finding
from drillbook.sdk.action import REMOVED, RESTORED


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Kind of data of which less came back than was removed, with both counts, and the last step that restored it."""

    what: str
    removed: int
    restored: int
    step: str

    @property
    def text(self) -> str:
        """Clause about the loss, with the numbers. More may be lost, because the counts may include restored older data."""
        return f"at least {self.removed - self.restored} of the {self.removed} {self.what} that the fault removed did not come back"


def shortfalls(done: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Shortfall]:
    """Return the kinds of data of which less came back than was removed.

    ``done``: ids and facts of the finished steps, in order. Kinds that no step restored or counted are left out.
    """
    removed: Counter[str] = Counter()
    restored: Counter[str] = Counter()
    last: dict[str, str] = {}
    for step, facts in done:
        removed.update(_counts(facts.get(REMOVED)))
        back = _counts(facts.get(RESTORED))
        restored.update(back)
        last |= dict.fromkeys(back, step)
    return [
        Shortfall(what, removed[what], restored[what], step) for what, step in last.items() if restored[what] < removed[what]
    ]


def findings(events: Sequence[Event]) -> list[Finding]:
    """Make a finding for each kind of data of which less came back than was removed."""
    return [
        finding(
            "removed-data-missing",
            wanted=f"all {one.removed} {one.what}",
            measured=f"{one.restored} came back: {one.text}",
            step=one.step,
        )
        for one in shortfalls((event.step or "", what.facts) for event, what in each(events, Done))
    ]


def _counts(fact: object) -> dict[str, int]:
    told = fact.items() if isinstance(fact, Mapping) else ()
    return {str(what): count for what, count in told if isinstance(count, int)}

"""Finds data that a fault removed and that a restore did not bring back. It compares the numbers of rows that the steps
counted.

The comparison is needed because a canary sees only a loss of its own writes. An RPO that a canary measured says nothing
about a loss of other data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from drillbook.findings import Finding, finding
from drillbook.sdk.fact_names import BROKEN, NARROWED, REMOVED, REPLACED, RESTORED

REPLACING = "the restore replaced a table that had more rows than the backup"
"""Text in the title of a finding about data that the restore itself removed."""
OLDER = "more are missing if the restore also brought back data that was deleted before the fault"
"""Clause for data that came back only in part. More data may be missing than the difference of the two counts: the restore may
also have brought back data that was deleted before the fault.
"""


class Outcome(Protocol):
    """Protocol of the outcome of a step, as a ``result.json`` stores it. The finding about missing data, the headline of the
    report and the mark beside the RPO are all derived from it, so that they agree.
    """

    @property
    def id(self) -> str:
        """ID of the step."""

    @property
    def status(self) -> str:
        """Status of the step. Only the facts of a step that is done count."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Facts of the step."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Data of one kind that a restore did not bring back completely. The fields are the number of removed items, the number
    of restored items, and the step that restored them.
    """

    what: str
    removed: int
    restored: int
    step: str
    replaced: bool = False
    """True when the restoring step itself removed the data, in order to replace it by the data of the backup."""

    @property
    def text(self) -> str:
        """Clause about the missing data, with the numbers. If a part was restored, the clause says `at least`: perhaps the
        fault had not removed some of the restored rows, so that more of the removed rows are missing.
        """
        missing = self.removed - self.restored
        if self.replaced:
            others = f"the other {missing} or more" if self.restored else f"these {missing}"
            return (
                f"{self.step} removed {self.removed} {self.what} and restored {self.restored}; {others} are not in the "
                "backup, unless the fault had added them"
            )
        data = f"the {self.removed} {self.what} that the fault removed"
        if not self.restored:
            return f"none of {data} came back in {self.step}"
        return f"at least {missing} of {data} did not come back in {self.step}"

    @property
    def counts(self) -> str:
        """Text for the finding: the number of removed items, the number of restored items, and how many are missing."""
        if self.replaced:
            return f"{self.restored} came back: {self.text}"
        removed = f"{self.removed} {self.what} were removed"
        if not self.restored:
            return f"{removed}, and none came back in {self.step}"
        missing = self.removed - self.restored
        return f"{removed}, {self.restored} came back in {self.step}: {missing} or more are missing ({OLDER})"

    @property
    def kind(self) -> str:
        """Name of the kind of data that did not come back completely: ``restored tables``, or ``restored data``."""
        return "restored tables" if self.what.partition(" ")[0] == "rows" else "restored data"

    @property
    def lost(self) -> str:
        """Short clause about the loss, shown in place of a figure, such as ``at least 6 rows lost``."""
        number = f"{self.removed - self.restored} {self.what.partition(' ')[0]}"
        if self.replaced:
            return f"{number} not in the backup"
        return f"at least {number} lost" if self.restored else f"{number} lost"


@dataclass(frozen=True, slots=True)
class _Count:
    number: int
    step: str
    what: str
    rows: int


def shortfalls(steps: Iterable[Outcome]) -> list[Shortfall]:
    """Find data that was removed and did not come back completely. Return one entry for each kind of data. ``steps``: all
    steps of the run, in order.

    One removal is compared with one later restore of the same kind. A table is left out if several steps removed or restored
    rows of it, because it is unknown which rows these steps have in common.
    """
    done = [(number, outcome) for number, outcome in enumerate(steps) if outcome.status == "done"]
    removed, restored = _by_data(done, REMOVED), _by_data(done, RESTORED)
    candidates = []
    for data, back in restored.items():
        gone = removed.get(data, [])
        if len(gone) == len(back) == 1 and gone[0].what == back[0].what and gone[0].number < back[0].number:
            candidates.append(Shortfall(back[0].what, gone[0].rows, back[0].rows, back[0].step))
    candidates += [shortfall for _, step in done for shortfall in _replaced(step)]
    return [shortfall for shortfall in candidates if shortfall.restored < shortfall.removed]


def has_uncounted(steps: Iterable[Outcome]) -> bool:
    """Return True when a step removed or restored data that no canary counts. A loss of such data may go unnoticed."""
    return any(step.status == "done" and (step.facts.get(REMOVED) or step.facts.get(RESTORED)) for step in steps)


def findings(steps: Iterable[Outcome]) -> list[Finding]:
    """Make findings about missing data. A kind of data has a finding if less of it was restored than was removed. A restore
    has a finding if rows refer to missing rows afterwards.
    """
    steps = list(steps)
    broken = [
        finding(
            "references-broken",
            wanted="every row to which another row refers",
            measured=f"foreign keys that were restored without a check of existing rows (NOT VALID): {', '.join(map(str, names))}",
            step=step.id,
        )
        for step in steps
        if step.status == "done" and isinstance(names := step.facts.get(BROKEN), list | tuple) and names
    ]
    return broken + [
        finding(
            "removed-data-missing",
            wanted=f"all {shortfall.removed} {shortfall.what}",
            measured=shortfall.counts,
            title=REPLACING if shortfall.replaced else "",
            step=shortfall.step,
        )
        for shortfall in shortfalls(steps)
    ]


def _replaced(step: Outcome) -> Iterator[Shortfall]:
    """Compare the amount of data that a restore removed with the amount that it brought back."""
    restored = dict(_counts(step.facts.get(RESTORED)))
    for what, rows in _counts(step.facts.get(REPLACED)):
        if what in restored:
            yield Shortfall(what, rows, restored[what], step.id, replaced=True)


def _by_data(done: Iterable[tuple[int, Outcome]], fact: str) -> dict[str, list[_Count]]:
    """Group the counts in ``fact`` by kind of data. A count of only a part of a table belongs to the group of the whole
    table.
    """
    counts_by_data: dict[str, list[_Count]] = {}
    for number, outcome in done:
        for what, rows in _counts(outcome.facts.get(fact)):
            counts_by_data.setdefault(what.partition(NARROWED)[0], []).append(_Count(number, outcome.id, what, rows))
    return counts_by_data


def _counts(fact: object) -> Iterator[tuple[str, int]]:
    told = fact.items() if isinstance(fact, Mapping) else ()
    yield from ((str(what), count) for what, count in told if isinstance(count, int))

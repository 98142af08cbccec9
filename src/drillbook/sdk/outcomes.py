"""Counts the attempts of a repeated step, or of a repeated check, by their outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from drillbook.language.lists import listed
from drillbook.sdk.host import excerpt

MOST = 12
"""Largest number of different outcomes that are counted separately."""
MOST_TOLD = 2
"""Maximum number of other outcomes that are listed in a message."""
LENGTH, SHORT = 400, 160
"""Greatest length of the text of an outcome, in the journal and in a message."""
OTHER = "other outcomes"


@dataclass(slots=True)
class Tally:
    """Number of attempts with each outcome. The key of each entry is the outcome in words."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: str) -> None:
        """Count an attempt. The lines of ``outcome`` after the first line are ignored."""
        text = _text(outcome)
        key = text if text in self.counts or len(self.counts) < MOST else OTHER
        self.counts[key] = self.counts.get(key, 0) + 1

    @property
    def total(self) -> int:
        """Number of all attempts that were counted."""
        return sum(self.counts.values())

    def entries(self) -> tuple[dict[str, Any], ...]:
        """Return the numbers as the journal stores them, in the order in which the outcomes first occurred."""
        return tuple({"outcome": outcome, "count": count} for outcome, count in self.counts.items())

    def times(self, outcome: str, seconds: float) -> str:
        """Return a text that is appended to ``outcome`` in a message. It has two parts: how often this outcome occurred, such
        as ``, 42 times in 10 s``, and the most frequent other outcomes with their numbers. The text is empty after a single
        attempt. ``seconds``: duration of all attempts.
        """
        if self.total < 2 or _text(outcome) not in self.counts:
            return ""
        return f", {self.number(outcome)} in {seconds:.{0 if seconds >= 10 else 1}f} s{self.others(outcome)}"

    def number(self, outcome: str) -> str:
        """Return the number of attempts with ``outcome`` in words, such as ``42 times``, or ``40 of 42 times``."""
        count = self.counts.get(_text(outcome), 0)
        return f"{count} times" if count == self.total else f"{count} of {self.total} times"

    def others(self, outcome: str) -> str:
        """Return a clause with the most frequent outcomes other than ``outcome``. The result is empty if there are none."""
        ranked = sorted(self.counts.items(), key=lambda entry: -entry[1])
        texts = [f"{number} × {text[:SHORT]}" for text, number in ranked if text != _text(outcome)]
        return f"; the other attempts: {listed(texts, MOST_TOLD, '; ')}" if texts else ""


def _text(outcome: str) -> str:
    return excerpt(outcome.partition("\n")[0], limit=LENGTH)

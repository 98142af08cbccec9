"""Report rows about the phases of a run, including the phases that ran after the early end of the run in order to undo
changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from drillbook.judge.result import PhaseResult, RunView, Span, StepView
from drillbook.report.figures import took
from drillbook.report.wording import NO_STEPS, PHASES, STOPPED

UNDO = "undo"
"""Prefix for the name of a phase that ran after the early end of a run. Such a phase undid changes."""
CHECKS = "checks"
"""Name under which a report shows the time between the end of the phase `ready` and the start of the next phase."""
SHORTEST_S = 0.5
"""Shortest duration, in seconds, of the time with the name ``CHECKS`` that a report explains. A shorter time is not
mentioned.
"""


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """One phase and the steps in it."""

    phase: str
    status: str
    seconds: float | None
    steps: tuple[StepView, ...]
    later: bool = False
    """True for a phase, or a part of one, that ran only to undo changes after the run had ended early."""
    repeated: bool = False
    """True for the first of the two rows of a phase that ran twice. The second row is about the time after the early end of the
    run, when the phase ran again to undo changes.
    """

    @property
    def name(self) -> str:
        """Name of the phase, with ``undo:`` before it if the phase ran after the early end of the run."""
        return f"{UNDO}: {self.phase}" if self.later else self.phase

    @property
    def state(self) -> str:
        """Status as the reports show it. For a phase that is done and had no steps, the reports show `no steps`."""
        return NO_STEPS if self.status == "done" and not self.steps else self.status

    @property
    def took(self) -> str:
        """Duration as text. It is empty when the duration is not known.

        A phase without steps may take time, because it may wait for probes. If it took no time, the text is empty, too.
        """
        text = "" if self.seconds is None or self.status == "interrupted" else took(self.seconds)
        return "" if not self.steps and text == took(0.0) else text


def phase_rows(view: RunView) -> list[PhaseRow]:
    """Return the phases in order, with their steps. A phase that did not begin has the status `skipped`.

    Phases that ran after the early end of the run come last. If such a phase ran before the end, too, it has two rows.
    """
    end = view.early_end
    later = end.later if end else ()
    results: dict[str, PhaseResult] = {phase.phase: phase for phase in view.result.phases}
    before = {phase.phase: phase for phase in end.phases} if end else {}
    known = results | before
    steps, repeated = _by_phase(view.steps), _by_phase(end.steps if end else ())
    names = [name for name in PHASES if name in results or name in steps]
    names += sorted((set(results) | set(steps)) - set(names))
    rows = [
        _phase_row(
            name, known.get(name), repeated.get(name, ()) if name in later else steps.get(name, ()), STOPPED if end else ""
        )
        for name in names
        if name in before or name not in later
    ]
    rows = [replace(row, repeated=row.phase in later) for row in rows]
    return rows + [replace(_phase_row(name, results.get(name), steps.get(name, ()), STOPPED), later=True) for name in later]


def checks(view: RunView) -> Span | None:
    """Return the time between the phase `ready` and the next phase. During this time, the run checked its steps and waited for
    its probes. The result is None if this time is short, or if the run ended before the next phase."""
    early = math.inf if view.early_end is None else view.early_end.at
    for ready, after in pairwise(view.timeline.phases):
        if ready.label == "ready" and ready.end is not None and after.start < early:
            return Span(start=ready.end, end=after.start, label=CHECKS) if after.start - ready.end >= SHORTEST_S else None
    return None


def checked(view: RunView) -> str:
    """Return a text that tells what the run did in the time between `ready` and the next phase; see ``checks``."""
    return "the run checked all its steps" + (", and waited until every probe was good" if view.timeline.probes else "")


def phase_row_at(rows: Sequence[PhaseRow], span: Span, view: RunView) -> PhaseRow | None:
    """Return the row of the phase that the timeline shows as ``span``, or None if there is none. ``rows``: rows of all
    phases."""
    later = view.early_end is not None and span.start >= view.early_end.at
    return next((row for row in rows if row.phase == span.label and row.later == later), None)


def _by_phase(step_views: Iterable[StepView]) -> dict[str, tuple[StepView, ...]]:
    steps: dict[str, list[StepView]] = {}
    for step in step_views:
        steps.setdefault(step.phase, []).append(step)
    return {phase: tuple(views) for phase, views in steps.items()}


def _phase_row(name: str, result: PhaseResult | None, steps: tuple[StepView, ...], stopped: str) -> PhaseRow:
    """Make the row of a phase. ``stopped``: status for a phase that was interrupted; empty to keep its own status."""
    if result is None:
        return PhaseRow(name, "skipped", None, steps)
    return PhaseRow(name, stopped if stopped and result.status == "interrupted" else result.status, result.seconds, steps)

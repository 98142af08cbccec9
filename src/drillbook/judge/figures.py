"""Figures of a run: each clock with its error, or with the reason why it has no value.

This module also reads the times of the phases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from drillbook.events.event import Event, Events, each
from drillbook.events.runs import PhaseEnded, PhaseStarted, RecoveryStarted, Stamped
from drillbook.findings import Finding
from drillbook.judge.result import FaultResult, ProbeTrack, Span

SLEEP_S = 0.1
"""Shortest suspension of the controller, in seconds, that is taken into account.

A suspension is measured with two clocks, one of which stops while the controller is suspended. The clocks are read one
after the other, so a shorter difference may come from the time between the two readings.
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement in seconds with its error, or the reason why there is no measurement."""

    seconds: float | None
    error: float | None
    reason: str | None = None
    missed: bool = False
    """True when the awaited event never came. The objective is then missed, although no time was measured."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """A suspension of the controller. ``seconds``: its duration. ``before`` and ``after``: moments on the run's clock between
    which it happened; the exact moment is unknown."""

    before: float
    after: float
    seconds: float


@dataclass(slots=True)
class Figures:
    """All measurements of a run."""

    end: float
    clocks: dict[str, float | None] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)
    objectives: dict[str, Figure] = field(default_factory=dict)
    marks: dict[str, float] = field(default_factory=dict)
    tracks: tuple[ProbeTrack, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    rpo_clock: str = ""
    """Source of the RPO. It is empty when the RPO is computed from rows that canaries wrote and the service acknowledged."""
    lost_writes: int | None = None
    acknowledged: int | None = None
    lost_numbers: list[tuple[int, int]] = field(default_factory=list)
    lost_spans: list[tuple[int, int]] = field(default_factory=list)
    faults: tuple[FaultResult, ...] = ()
    sleeps: tuple[Sleep, ...] = ()
    slept: float = 0.0
    """Time, in seconds, for which the controller was suspended while a figure was measured. If this concerns several figures,
    it is the longest of these times.
    """

    def keep(self, clock: str, figure: Figure, span: tuple[float, float] | None = None) -> Figure:
        """Store ``figure`` under ``clock``, with its error or with the reason why it is missing. Return the stored figure.

        If the controller was suspended during ``span``, a reason replaces the figure. ``span``: first and last moment of the
        measurement, on the run's clock.
        """
        asleep = [sleep for sleep in self.sleeps if span and sleep.before < span[1] and sleep.after > span[0]]
        if asleep and (figure.seconds is not None or figure.missed):
            seconds = sum(sleep.seconds for sleep in asleep)
            figure = Figure(None, None, f"the controller was suspended for {seconds:.3f} s")
            self.slept = max(self.slept, seconds)
        self.clocks[clock] = _round(figure.seconds)
        self.clocks[clock.removesuffix("_s") + "_error_s"] = _round(figure.error)
        if figure.seconds is None:
            self.unmeasured[clock] = figure.reason or "not measured"
        return figure


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def sleeps(events: Sequence[Event]) -> tuple[Sleep, ...]:
    """Return the suspensions of the controller. During a suspension the run's clock stops.

    The result is empty for older journals, because they record no suspensions.
    """
    told = [(event.clock, what.slept_s) for event, what in each(events, Stamped) if what.slept_s is not None]
    return tuple(
        Sleep(stamp[0], following[0], following[1] - stamp[1])
        for stamp, following in pairwise(told)
        if following[1] - stamp[1] > SLEEP_S
    )


def session(events: Sequence[Event]) -> Events:
    """Return the events of the run itself, before its first recovery. Events of a recovery use another clock."""
    whole = events if isinstance(events, Events) else Events(events)
    first = next(iter(whole.of(RecoveryStarted)), None)
    return whole if first is None else Events(whole[: next(index for index, event in enumerate(whole) if event is first)])


def phase_spans(events: Sequence[Event]) -> tuple[Span, ...]:
    """Return the start and the end of each phase, on the run's clock."""
    spans: dict[str, Span] = {}
    for event in session(events).of((PhaseStarted, PhaseEnded)):
        match event.what:
            case PhaseStarted(phase=phase):
                spans[phase] = Span(start=event.clock, end=None, label=phase)
            case PhaseEnded(phase=phase) if phase in spans:
                spans[phase] = spans[phase].model_copy(update={"end": event.clock})
    return tuple(spans.values())


def zero(first: Event) -> str:
    """Return the date and time at which the clock of a run, or of a recovery, showed 0 s. It is computed from its first event,
    which was written a little later.

    The result is empty when this time cannot be computed.
    """
    try:
        at = datetime.fromisoformat(first.at) - timedelta(seconds=first.clock)
    except (ValueError, OverflowError):
        return ""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")

"""The figures of a run: each clock with its error, or the reason why there is none; and when its phases were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from drillbook.findings import Finding
from drillbook.journal import Event
from drillbook.result import ProbeTrack, Span


@dataclass(frozen=True, slots=True)
class Figure:
    """A measurement in seconds with its error, or the reason why there is none."""

    seconds: float | None
    error: float | None
    reason: str | None = None
    missed: bool = False
    """True when what was waited for did not come: the objective is missed, although there is no time to tell."""


@dataclass(slots=True)
class Figures:
    """Everything that was measured."""

    end: float
    clocks: dict[str, float | None] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)
    objectives: dict[str, Figure] = field(default_factory=dict)
    marks: dict[str, float] = field(default_factory=dict)
    tracks: tuple[ProbeTrack, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    lost_writes: int | None = None
    acknowledged: int | None = None
    lost_numbers: list[tuple[int, int]] = field(default_factory=list)

    def keep(self, clock: str, figure: Figure) -> Figure:
        """Note ``figure`` under ``clock`` with its error, or with the reason why it is missing."""
        self.clocks[clock] = _round(figure.seconds)
        self.clocks[clock.removesuffix("_s") + "_error_s"] = _round(figure.error)
        if figure.seconds is None:
            self.unmeasured[clock] = figure.reason or "not measured"
        return figure


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def session(events: Sequence[Event]) -> list[Event]:
    """Events of the run itself: those of a later recovery tick on another clock."""
    later = next((index for index, event in enumerate(events) if event.kind == "recovery.started"), len(events))
    return list(events[:later])


def phase_spans(events: Sequence[Event]) -> tuple[Span, ...]:
    """When each phase began and ended."""
    spans: dict[str, Span] = {}
    for event in session(events):
        if event.kind == "phase.started":
            spans[event.data["phase"]] = Span(start=event.clock, end=None, label=event.data["phase"])
        elif event.kind == "phase.ended" and event.data["phase"] in spans:
            spans[event.data["phase"]] = spans[event.data["phase"]].model_copy(update={"end": event.clock})
    return tuple(spans.values())

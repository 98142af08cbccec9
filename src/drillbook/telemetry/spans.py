"""Converts the events of a journal to the spans of a trace. All functions are pure: they read and write no files.

The time of an event is the wall clock time at the start of the run plus the elapsed time by the monotonic clock.
Therefore no span has a negative duration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drillbook.events.event import Event
from drillbook.events.first_event import opening
from drillbook.events.probes import OfProbe, ProbeEnded, ProbeStarted
from drillbook.events.runs import PhaseEnded, PhaseStarted, RecoveryStarted, RunStarted
from drillbook.events.steps import Done, Failed, StepStarted
from drillbook.telemetry.ids import ROOT, step_key

Value = str | bool | int | float
LONGEST = 500
_LEFT_OUT = {
    "plan",
    "stdout",
    "stderr",
    "facts",
    "samples",
    "acknowledged",
    "in_doubt",
    "lost",
    "ranges",
    "findings",
    "params",
    "undo",
    "points",
    "residue",
}
_BAD = ("failed", "interrupted")
PASSED = "passed"


@dataclass(slots=True)
class Moment:
    """An event inside a span. ``at``: time of the event, in nanoseconds since 1970."""

    name: str
    at: int
    attributes: dict[str, Value]


@dataclass(slots=True)
class Span:
    """One span. Times are in nanoseconds since 1970. ``end``: 0 while the span is open. ``error``: description of a
    failure, or an empty text.
    """

    key: str
    parent: str
    name: str
    start: int
    end: int = 0
    error: str = ""
    attributes: dict[str, Value] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)


def of_run(events: Sequence[Event], verdict: str = "") -> list[Span]:
    """Return the spans of a run. The first span is the span of the drill. A later recovery is not included."""
    maker = _Maker(events[0])
    for event in events:
        if isinstance(event.what, RecoveryStarted):
            break
        maker.take(event)
    return maker.finish(verdict)


def of_suite(run: str, suite: str, began_ns: int, seconds: float, verdict: str) -> list[Span]:
    """Return the span of a suite's run. It is the parent of the spans of the suite's drills. ``began_ns``: start of the
    span, in nanoseconds since 1970.
    """
    return [
        Span(
            ROOT,
            "",
            f"suite {suite}",
            began_ns,
            began_ns + round(seconds * 1e9),
            "" if verdict == PASSED else verdict,
            {"drillbook.run": run, "drillbook.suite": suite, "drillbook.verdict": verdict},
        )
    ]


class _Maker:
    """Builds spans from the events of a journal. The events must be passed in their order."""

    def __init__(self, first: Event) -> None:
        self._begun, self._origin = round(datetime.fromisoformat(first.at).timestamp() * 1e9), first.clock
        self._now, self._phase = self._begun, ""
        begun = opening((first,))
        plan = begun.plan
        self._root = Span(
            ROOT,
            "",
            f"drill {plan.get('drill', '')}".strip(),
            self._begun,
            attributes={
                "drillbook.run": begun.run,
                "drillbook.drill": str(plan.get("drill")),
                "drillbook.service": str(plan.get("service")),
                "drillbook.plan_digest": begun.plan_digest,
                "drillbook.environment": str(plan.get("inventory", {}).get("environment")),
            },
        )
        self._spans = {ROOT: self._root}

    def take(self, event: Event) -> None:
        self._now = self._begun + round((event.clock - self._origin) * 1e9)
        match event.what:
            case PhaseStarted(phase=phase):
                self._phase = f"phase {phase}"
                self._open(Span(self._phase, ROOT, phase, self._now))
            case PhaseEnded(phase=phase, status=status):
                self._close(f"phase {phase}", "" if status not in _BAD else f"the phase {status}")
                self._phase = ""
            case StepStarted() as what:
                self._begin(event, what)
            case Done() | Failed() as what if event.step and event.host:
                self._end(event, what)
            case ProbeStarted(probe=probe, name=name):
                self._open(Span(step_key(probe), ROOT, f"probe {name}", self._now, attributes={"drillbook.step": probe}))
            case ProbeEnded(probe=probe, error=error):
                self._close(step_key(probe), error or "")
            case RunStarted():
                pass  # the span of the drill represents the whole run
            case _:
                self._place(event).moments.append(Moment(event.kind, self._now, _attributes(event.data)))

    def _open(self, span: Span) -> None:
        self._spans.setdefault(span.key, span)

    def _close(self, key: str, error: str = "") -> None:
        if span := self._spans.get(key):
            span.end, span.error = self._now, error or span.error

    def _begin(self, event: Event, what: StepStarted) -> None:
        step, host = str(event.step), str(event.host)
        known: dict[str, Value] = {"drillbook.step": step, "drillbook.action": what.action, "drillbook.effect": what.effect}
        parent = self._phase or ROOT
        self._open(Span(step_key(step), parent, what.name or what.action, self._now, attributes=dict(known)))
        self._open(
            Span(
                step_key(step, host),
                step_key(step),
                f"{what.action} on {host}",
                self._now,
                attributes={**known, "drillbook.host": host},
            )
        )

    def _end(self, event: Event, what: Done | Failed) -> None:
        step, host = str(event.step), str(event.host)
        error = _short(what.message) if isinstance(what, Failed) else ""
        self._close(step_key(step, host), error)
        self._close(step_key(step), error)
        if span := self._spans.get(step_key(step, host)):
            span.attributes["drillbook.outcome"] = what.outcome if isinstance(what, Failed) else "done"
            span.attributes["drillbook.attempts"] = what.attempts

    def _place(self, event: Event) -> Span:
        """Return the innermost span to which the event belongs."""
        step = event.step or (event.what.probe if isinstance(event.what, OfProbe) else "")
        keys = [step_key(step, event.host or ""), step_key(step)] if step else []
        return next((self._spans[key] for key in (*keys, self._phase) if key in self._spans), self._root)

    def finish(self, verdict: str) -> list[Span]:
        if verdict:
            self._root.attributes["drillbook.verdict"] = verdict
            self._root.error = "" if verdict == PASSED else verdict
        for span in self._spans.values():
            if not span.end:
                span.end = self._now
                span.error = span.error or ("" if span is self._root else "unfinished at the end of the run")
        return list(self._spans.values())


def _attributes(data: dict[str, Any]) -> dict[str, Value]:
    """Return the data of an event as attributes for a trace. Keys in ``_LEFT_OUT`` and keys without a value are left out.
    Long values are shortened. A list, such as a command, becomes one text.
    """
    attributes: dict[str, Value] = {}
    for key, value in data.items():
        if key in _LEFT_OUT or value is None:
            continue
        if isinstance(value, bool | int | float):
            attributes[key] = value
        else:
            attributes[key] = _short(" ".join(map(str, value)) if isinstance(value, list) else str(value))
    return attributes


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"

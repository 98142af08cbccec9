"""Present state of a run, updated by its events: phase, running steps, probes, and the outage with its duration.

It is only for display during the run. The final report measures everything again from the whole journal.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drillbook.events.content import Content
from drillbook.events.event import Event
from drillbook.events.probes import (
    CanaryWrites,
    ProbeSamples,
    ProbeStarted,
    Sample,
    SettleEnded,
    SettleStarted,
)
from drillbook.events.runs import Begun, PhaseEnded, PhaseStarted, RecoveryStarted, RunEndedEarly, RunStarted, SignalReceived
from drillbook.events.steps import Done, Failed, IntentRecorded, StepStarted, TransferProgress, Undone, UndoStarted
from drillbook.report.figures import one_line

STOPPING = "stopping "
"""Prefix for the name of the current phase, after a signal has asked the run to stop."""


@dataclass(slots=True)
class OnHost:
    """A step on one host, with the progress of its transfer in bytes. Times are on the run's clock."""

    started: float
    ended: float | None = None
    outcome: str = ""
    moved: int = 0
    total: int = 0
    moving_since: float = 0.0
    moved_at: float = 0.0

    def rate(self) -> float | None:
        """Return the average bytes per second from the transfer's start to its newest progress event.

        The result is None before the first progress event.
        """
        span = self.moved_at - self.moving_since
        return self.moved / span if self.moved and span > 0 else None


@dataclass(slots=True)
class RunningStep:
    """A step that has begun, and its hosts."""

    name: str
    hosts: tuple[str, ...]
    on: dict[str, OnHost] = field(default_factory=dict)

    def over(self) -> bool:
        """True when the step has ended on every host."""
        return all(host in self.on and self.on[host].ended is not None for host in self.hosts)


@dataclass(slots=True)
class Watched:
    """State of one probe up to the present moment, for the live view."""

    name: str
    kind: str
    good: bool | None = None
    last_bad: float = -math.inf
    again: float | None = None
    """End of the first good sample after the last bad sample, on the run's clock. It is None if no good sample followed."""
    acknowledged: int = 0
    refused: int = 0
    in_doubt: int = 0

    def sampled(self, samples: Sequence[Sample]) -> None:
        """Update from samples of an availability probe."""
        for start, end, good, _ in samples:
            self.good = good
            if not good:
                self.last_bad, self.again = max(self.last_bad, end), None
            elif self.again is None and start > self.last_bad:
                self.again = end

    def writes(self) -> str:
        """Counts of a canary's writes, as text. A write that the service refused does not count as lost."""
        doubt = f", {self.in_doubt} in doubt" if self.in_doubt else ""
        return f"{self.acknowledged} acknowledged, {self.refused} refused{doubt}"

    def wrote(self, what: CanaryWrites) -> None:
        """Update the counts of a canary's writes from the service's answers to the writes."""
        self.acknowledged += len(what.acknowledged)
        self.refused += len(what.lost)
        self.in_doubt += len(what.in_doubt)
        newest = [
            (rows[-1][0], good)
            for rows, good in ((what.acknowledged, True), (what.in_doubt, False), (what.lost, False))
            if rows
        ]
        self.good = max(newest)[1] if newest else self.good


@dataclass(slots=True)
class Board:
    """Displayed state of one run. Call ``see`` for every event."""

    drill: str = ""
    run: str = ""
    phase: str = ""
    phase_started: float = 0.0
    last_s: Mapping[str, float] = field(default_factory=dict)
    """Durations of the phases in the drill's last passed run, in seconds."""
    about_s: float | None = None
    """Duration that the present phase had in the last passed run. It is set only while this run undoes its changes."""
    waits_for: str = ""
    """Sentence that tells what the run waits for while no step runs. It is empty before the run."""
    targets: dict[str, float] = field(default_factory=dict)
    steps: dict[str, RunningStep] = field(default_factory=dict)
    probes: dict[str, Watched] = field(default_factory=dict)
    disruption: float | None = None
    _zero: float = math.inf
    _planned: dict[str, dict[str, Any]] = field(default_factory=dict)
    _sandboxes: frozenset[str] = frozenset()
    """Names of the services of the plan that are sandboxes."""
    _undoes: bool = False
    """True after the early end of the run. The phases that follow undo changes."""
    _between: bool = False
    """True from the end of a phase to the start of the next. After the last phase, the run undoes its changes."""

    def see(self, event: Event) -> None:
        """Update the state from one event."""
        if isinstance(event.what, Begun):
            self._zero = math.inf
        self._zero = min(self._zero, time.monotonic() - event.clock)
        match event.what:
            case RunStarted() as what:
                self._on_run_started(what)
            case PhaseStarted(phase=phase):
                self.phase = f"undo: {phase}" if self._undoes else phase
                self.about_s = self.last_s.get(phase) if self._undoes else None
                self.phase_started, self._between = event.clock, False
                self.waits_for = f"waiting for the first step of {phase}: locks, leases and hosts are prepared first"
                self.steps.clear()
            case RecoveryStarted():
                self.phase, self.phase_started, self._between = "recovery", event.clock, False
                self.waits_for = "waiting for the hosts of the run, in order to undo its changes"
            case SignalReceived() | RunEndedEarly():
                self._on_stop(event.what)
            case SettleStarted() | SettleEnded() | PhaseEnded() | UndoStarted() | Undone():
                self._on_wait(event)
            case StepStarted() as what:
                self._on_step_started(event, what)
            case IntentRecorded(effect="fault") if self.disruption is None:
                self.disruption = event.clock
            case Done():
                self._end(event, "done")
            case Failed(allowed=allowed, outcome=outcome):
                self._end(event, "allowed" if allowed else outcome)
            case TransferProgress() as what:
                self._on_progress(event, what)
            case _:
                self._see_probe(event.what)

    def _see_probe(self, what: Content) -> None:
        match what:
            case ProbeStarted(probe=probe, name=name, kind=kind):
                self.probes[probe] = Watched(name, kind)
            case ProbeSamples(probe=probe, samples=samples) if probe in self.probes:
                self.probes[probe].sampled(samples)
            case CanaryWrites(probe=probe) if probe in self.probes:
                self.probes[probe].wrote(what)

    def now(self) -> float:
        """Present time on the run's clock, in seconds."""
        return time.monotonic() - self._zero if math.isfinite(self._zero) else 0.0

    def down(self) -> tuple[float, bool] | None:
        """Return the seconds of outage, and True while the outage lasts.

        The outage counts from the disruption to the recovery, or until now. Return None before the disruption, or when no
        probe has seen a failure since the disruption.
        """
        seen = [probe for probe in self.probes.values() if probe.kind == "availability"]
        seen = [probe for probe in seen if self.disruption is not None and probe.last_bad > self.disruption]
        if self.disruption is None or not seen:
            return None
        if any(probe.again is None for probe in seen):
            return self.now() - self.disruption, True
        return max(probe.again or 0.0 for probe in seen) - self.disruption, False

    def _on_run_started(self, what: RunStarted) -> None:
        plan = what.plan
        self.drill, self.run, self.targets = plan["drill"], what.run, dict(plan["objectives"])
        self._planned = {step["id"]: step for step in plan["steps"]}
        services = plan["inventory"].get("services") or {}
        self._sandboxes = frozenset(name for name, service in services.items() if service.get("sandbox"))
        self.phase, self.disruption, self._between = "", None, False
        self._undoes, self.about_s = False, None
        self.waits_for = "waiting for hosts, locks and probes"
        self.steps.clear()
        self.probes.clear()

    def _on_stop(self, what: Content) -> None:
        """Update the state after a request to stop the run, or after the early end of the run."""
        if isinstance(what, RunEndedEarly):
            self._undoes = True
        elif self.phase and not self._undoes:
            self.phase = STOPPING + self.phase.removeprefix(STOPPING)

    def _on_wait(self, event: Event) -> None:
        """Update the text that tells what the run waits for while no step runs."""
        match event.what:
            case SettleStarted(after="early end"):
                self.waits_for = "checking if the service is good again"
            case SettleStarted(after=after):
                self.waits_for = f"waiting until every probe has been good for long enough, after {after}"
            case SettleEnded():
                self.waits_for = "waiting for the end of " + ("the run" if self._between else "this phase")
            case PhaseEnded(phase=phase):
                self.phase, self.phase_started, self._between, self.about_s = f"after {phase}", event.clock, True, None
                self.waits_for = "waiting for what follows this phase"
            case _:
                if self._between and self.phase != "undo":
                    self.phase, self.phase_started = "undo", event.clock
                self.waits_for = f"undo: {self._undone(event)}"

    def _undone(self, event: Event) -> str:
        if isinstance(event.what, Undone):
            return "waiting for the undo of the next change, or for probes"
        planned = self._planned.get(str(event.step), {})
        if planned.get("action") == "backup.restore" and planned.get("params", {}).get("service") in self._sandboxes:
            return "removing the sandbox"
        return f"undoing “{one_line(planned.get('name') or planned.get('action') or event.step)}” on {event.host}"

    def _on_step_started(self, event: Event, what: StepStarted) -> None:
        planned = self._planned.get(str(event.step), {})
        hosts = tuple(planned.get("hosts") or (event.host,))
        step = self.steps.setdefault(str(event.step), RunningStep(what.name or what.action, hosts))
        step.on[str(event.host)] = OnHost(event.clock)

    def _end(self, event: Event, outcome: str) -> None:
        step = self.steps.get(str(event.step))
        if step is None or event.host not in step.on:
            return
        here = step.on[str(event.host)]
        here.ended, here.outcome = event.clock, outcome
        if step.over():
            del self.steps[str(event.step)]
            self.waits_for = f"the step “{one_line(step.name)}” has ended: waiting for the next step, or for probes"

    def _on_progress(self, event: Event, what: TransferProgress) -> None:
        step = self.steps.get(str(event.step))
        here = step.on.get(str(event.host)) if step else None
        if here is not None:
            if not what.bytes:
                here.moving_since = event.clock
            here.moved, here.total, here.moved_at = what.bytes, what.total, event.clock

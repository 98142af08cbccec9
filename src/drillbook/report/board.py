"""What is going on in a run at this moment, from its events: phase, running steps, probes, the outage and its clock.

The closing report measures again from the whole journal; this only shows what is known so far.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from drillbook.events.event import Event


@dataclass(slots=True)
class OnHost:
    """A step on one host; times on the run's clock."""

    started: float
    ended: float | None = None
    outcome: str = ""
    moved: int = 0
    total: int = 0
    moving_since: float = 0.0
    moved_at: float = 0.0

    def rate(self) -> float | None:
        """Bytes a second up to the newest word on the transfer."""
        span = self.moved_at - self.moving_since
        return self.moved / span if self.moved and span > 0 else None


@dataclass(slots=True)
class RunningStep:
    """A step that has begun, and its hosts."""

    name: str
    hosts: tuple[str, ...]
    on: dict[str, OnHost] = field(default_factory=dict)

    def over(self) -> bool:
        """Has it ended on every host?"""
        return all(host in self.on and self.on[host].ended is not None for host in self.hosts)


@dataclass(slots=True)
class Watched:
    """One probe as seen so far."""

    name: str
    kind: str
    good: bool | None = None
    last_bad: float = -math.inf
    again: float | None = None
    """End of the first good sample after the last bad one."""
    kept: int = 0
    lost: int = 0


@dataclass(slots=True)
class Board:
    """The state of one run; ``see`` every event of it."""

    drill: str = ""
    run: str = ""
    phase: str = ""
    phase_started: float = 0.0
    targets: dict[str, float] = field(default_factory=dict)
    steps: dict[str, RunningStep] = field(default_factory=dict)
    probes: dict[str, Watched] = field(default_factory=dict)
    disruption: float | None = None
    _zero: float = math.inf
    _planned: dict[str, dict[str, Any]] = field(default_factory=dict)

    def see(self, event: Event) -> None:
        """Take in one event."""
        if event.kind in ("run.started", "recovery.started"):
            self._zero = math.inf
        self._zero = min(self._zero, time.monotonic() - event.clock)
        take = getattr(self, "_on_" + event.kind.replace(".", "_"), None)
        if take is not None:
            take(event)

    def now(self) -> float:
        """The run's clock now."""
        return time.monotonic() - self._zero if math.isfinite(self._zero) else 0.0

    def down(self) -> tuple[float, bool] | None:
        """Time from the disruption until the service was good again, or until now; True while it is down.

        ``None`` before anything was broken, and while no probe saw anything bad.
        """
        seen = [probe for probe in self.probes.values() if probe.kind == "availability"]
        seen = [probe for probe in seen if self.disruption is not None and probe.last_bad > self.disruption]
        if self.disruption is None or not seen:
            return None
        if any(probe.again is None for probe in seen):
            return self.now() - self.disruption, True
        return max(probe.again or 0.0 for probe in seen) - self.disruption, False

    def _on_run_started(self, event: Event) -> None:
        plan = event.data["plan"]
        self.drill, self.run, self.targets = plan["drill"], event.data["run"], dict(plan["objectives"])
        self._planned = {step["id"]: step for step in plan["steps"]}
        self.phase, self.disruption = "", None
        self.steps.clear()
        self.probes.clear()

    def _on_phase_started(self, event: Event) -> None:
        self.phase, self.phase_started = event.data["phase"], event.clock
        self.steps.clear()

    def _on_recovery_started(self, event: Event) -> None:
        self.phase, self.phase_started = "recovery", event.clock

    def _on_step_started(self, event: Event) -> None:
        planned = self._planned.get(str(event.step), {})
        hosts = tuple(planned.get("hosts") or (event.host,))
        name = event.data["name"] or event.data["action"]
        step = self.steps.setdefault(str(event.step), RunningStep(name, hosts))
        step.on[str(event.host)] = OnHost(event.clock)

    def _on_intent(self, event: Event) -> None:
        if event.data["effect"] == "fault" and self.disruption is None:
            self.disruption = event.clock

    def _on_done(self, event: Event) -> None:
        self._end(event, "done")

    def _on_failed(self, event: Event) -> None:
        self._end(event, "allowed" if event.data["allowed"] else event.data["outcome"])

    def _end(self, event: Event, outcome: str) -> None:
        step = self.steps.get(str(event.step))
        if step is None or event.host not in step.on:
            return
        here = step.on[str(event.host)]
        here.ended, here.outcome = event.clock, outcome
        if step.over():
            del self.steps[str(event.step)]

    def _on_progress(self, event: Event) -> None:
        step = self.steps.get(str(event.step))
        here = step.on.get(str(event.host)) if step else None
        if here is not None:
            if not event.data["bytes"]:
                here.moving_since = event.clock
            here.moved, here.total, here.moved_at = event.data["bytes"], event.data["total"], event.clock

    def _on_probe_started(self, event: Event) -> None:
        self.probes[event.data["probe"]] = Watched(event.data["name"], event.data["kind"])

    def _on_probe_samples(self, event: Event) -> None:
        probe = self.probes.get(event.data["probe"])
        for start, end, good, _ in event.data["samples"] if probe else ():
            assert probe is not None  # noqa: S101
            probe.good = good
            if not good:
                probe.last_bad, probe.again = max(probe.last_bad, end), None
            elif probe.again is None and start > probe.last_bad:
                probe.again = end

    def _on_canary_writes(self, event: Event) -> None:
        probe = self.probes.get(event.data["probe"])
        if probe is not None:
            bad = len(event.data["lost"]) + len(event.data["in_doubt"])
            probe.kept += len(event.data["acknowledged"])
            probe.lost += bad
            newest = [(rows[-1][0], kind) for kind, rows in event.data.items() if kind != "probe" and rows]
            probe.good = max(newest)[1] == "acknowledged" if newest else probe.good

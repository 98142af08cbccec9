"""What the judge says of a run: the contract of ``result.json``, and the view that reports are rendered from.

All ``_s`` and timeline figures are seconds on the controller's monotonic clock; timeline points count from the
start of the run.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.judge.outlook import Outlook

SCHEMA = "drillbook/result/1"


class Verdict(StrEnum):
    """What a run showed; see ``EXIT`` for the exit status of each."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"
    ABORTED = "aborted"
    NOT_RUN = "not run here"
    """A service that it needs is not there; nothing was touched."""


EXIT = {
    Verdict.PASSED: Exit.OK,
    Verdict.FAILED: Exit.FAILED,
    Verdict.INCONCLUSIVE: Exit.UNVERIFIED,
    Verdict.REFUSED: Exit.REFUSED,
    Verdict.ABORTED: Exit.REFUSED,
    Verdict.NOT_RUN: Exit.UNVERIFIED,
}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Objective(_Value):
    """One objective against its measurement; ``met`` is None when it could not be verified, and ``reason`` says why."""

    target_s: float
    measured_s: float | None
    error_s: float | None
    met: bool | None
    reason: str | None = None
    clock: str = ""
    lost_writes: int | None = None
    acknowledged_writes: int | None = None
    lost_numbers: tuple[tuple[int, int], ...] | None = None
    """The lost writes as ranges of their numbers, first and last."""


class Injection(StrEnum):
    """State of a fault's injection."""

    NOT = "not injected"
    NEVER = "never happened"
    """It was announced, and proves that it changed nothing."""
    UNKNOWN = "unknown"
    """It was announced, did not end well, and was not proven active."""
    UNPROVEN = "unproven"
    """It was carried out, and not proven active."""
    INJECTED = "injected"


class FaultResult(_Value):
    """The state of one fault on one host: every sentence and every figure of a report follows it."""

    step: str
    host: str
    injection: Injection
    why: str = ""
    """Why it is not proven that it was injected."""
    since_s: float | None = None
    """When it was announced; None: never."""
    ended: str = ""
    """Way in which it was put back; ``open``, ``residue`` or ``closed`` where it was not."""


class PhaseResult(_Value):
    """One phase of the drill."""

    phase: str
    status: Literal["done", "failed", "skipped", "interrupted"]
    seconds: float


class StepResult(_Value):
    """One step on one host."""

    id: str
    action: str
    host: str
    status: Literal["done", "failed", "unverified", "error", "skipped", "cancelled", "unknown", "allowed"]
    seconds: float | None
    facts: dict[str, Any] = Field(default_factory=dict)


class Residue(_Value):
    """Something that could not be put back: where, what, why, and what to do by hand."""

    step: str
    host: str
    what: str
    why: str
    by_hand: str


class SettledChange(_Value):
    """One change that was closed: where it is, and what its own proof said then."""

    step: str
    host: str
    what: str
    proof: Literal["gone", "active", "unknown"]
    detail: str


class Settled(_Value):
    """The residue of a run was closed by a named person: ``approval`` is that of a second one, where a proof was unknown."""

    at: str
    by: str
    reason: str
    changes: tuple[SettledChange, ...]
    approval: dict[str, Any] | None
    kept: tuple[str, ...] = ()
    """Locks and leases left on hosts that did not answer."""


class DiagnosisResult(_Value):
    """What the drill diagnosed: ``found`` is None when it did not get there, ``ranked`` the causes with what was seen."""

    service: str
    expected: str
    found: str | None
    correct: bool
    seconds: float | None
    error_s: float | None
    ranked: tuple[dict[str, Any], ...] = ()
    why: tuple[str, ...] = ()
    """What could not be known, and what kept it from being called healthy."""


class Result(_Value):
    """``result.json`` of one drill; keys are added, never renamed."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    run: str
    drill: str
    title: str
    service: str
    environment: str
    operator: str
    tool: str
    verdict: Verdict
    reason: str
    residue: tuple[Residue, ...]
    exit: int
    started: str
    finished: str | None
    plan_digest: str
    objectives: dict[str, Objective]
    clocks: dict[str, float | None]
    unmeasured: dict[str, str] = Field(default_factory=dict)
    phases: tuple[PhaseResult, ...]
    steps: tuple[StepResult, ...]
    faults: tuple[FaultResult, ...] = ()
    findings: tuple[Finding, ...]
    diagnosis: DiagnosisResult | None = None
    """None: the drill plans no diagnosis."""
    capacity: tuple[Outlook, ...] = ()
    settled: Settled | None = None
    """Closing of the residue; None: not closed. ``residue`` and ``exit`` stay as they were."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def open_residue(self) -> tuple[Residue, ...]:
        """Residue that is not closed."""
        return () if self.settled else self.residue


class Span(_Value):
    """A stretch of time; ``end`` is None when it was still going on at the end of the run."""

    start: float
    end: float | None
    label: str = ""
    count: int | None = None


class ProbeTrack(_Value):
    """What one probe saw: for availability ``good`` and ``bad`` stretches; for a canary acknowledged and lost ones."""

    probe: str
    name: str
    kind: Literal["availability", "canary"]
    every_s: float
    timeout_s: float
    samples: int
    bad: int
    late: int
    stretches: tuple[Span, ...]
    """Back to back; label is ``good``, ``bad``, ``kept`` (acknowledged and survived), ``lost`` (acknowledged, gone),
    ``unproven`` (acknowledged, never read back),
    ``refused`` (not acknowledged); ``count`` is the number of samples or writes in it."""
    latency_p50_s: float | None = None
    latency_p99_s: float | None = None
    error: str | None = None


class Timeline(_Value):
    """Everything that the timeline draws."""

    seconds: float
    phases: tuple[Span, ...]
    probes: tuple[ProbeTrack, ...]
    marks: dict[str, float]
    """``disruption``, ``first_bad``, ``recovered``, ``verified``, ``recovery_point`` (ack of the newest surviving
    write, may be before the disruption), ``last_acknowledged``; only those that were measured."""


class CommandView(_Value):
    """One command of a step."""

    argv: tuple[str, ...]
    exit: int | None
    signal: str | None
    seconds: float
    stdout: str
    stderr: str
    stdout_bytes: int
    stderr_bytes: int
    error: str | None = None


class StepView(_Value):
    """One step on one host with all that it did, for the report."""

    result: StepResult
    name: str
    phase: str
    effect: str
    start: float | None
    params: dict[str, Any]
    undo: str
    undone: str
    message: str
    commands: tuple[CommandView, ...]


class Note(_Value):
    """What a run noted of its locks, leases, guards and stops; ``loud`` ones must not be overlooked."""

    at: float
    kind: str
    host: str
    step: str
    text: str
    loud: bool


class RunView(_Value):
    """One run as reports show it."""

    result: Result
    plan: dict[str, Any]
    contacts: dict[str, dict[str, str]]
    owner: str
    timeline: Timeline
    steps: tuple[StepView, ...]
    journal_events: int
    journal_head: str
    torn: bool
    controller: str
    notes: tuple[Note, ...] = ()


class SuiteResult(_Value):
    """``result.json`` of a suite; its verdict is its worst."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: str = Field(default=SCHEMA, alias="schema")
    run: str
    suite: str
    title: str
    environment: str
    verdict: Verdict
    exit: int
    started: str
    finished: str | None
    drills: tuple[str, ...] = ()
    """Names of all its drills, in order, those that did not run too."""
    runs: tuple[dict[str, Any], ...]
    """One a drill, in order: ``run``, ``drill``, ``folder`` (relative), ``verdict``, ``exit``, ``objectives``."""

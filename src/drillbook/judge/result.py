"""Result of a run: the model of ``result.json``, and the view from which reports are rendered.

All fields ``*_s`` and all figures of the timeline are seconds on the controller's monotonic clock. The times in the timeline
are measured from the moment ``RunView.zero``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.findings import Finding
from drillbook.judge.changes import Comparison
from drillbook.judge.lock_state import LockState
from drillbook.judge.outlook import Outlook
from drillbook.judge.recovery_record import OwnPart, Recovery
from drillbook.judge.verdicts import Verdict

SCHEMA = "drillbook/result/1"


class _Value(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class Objective(_Value):
    """One objective with its measurement. If it could not be verified, ``met`` is None, and ``reason`` says why."""

    target_s: float
    measured_s: float | None
    error_s: float | None
    met: bool | None
    reason: str | None = None
    clock: str = ""
    lost_writes: int | None = None
    acknowledged_writes: int | None = None
    lost_numbers: tuple[tuple[int, int], ...] | None = None
    """Numbers of the lost writes as ranges. Each range has its first and its last number."""
    lost_spans: tuple[tuple[int, int], ...] | None = Field(default=None, exclude=True)
    """The same ranges, not divided by numbers that were never sent. Not in ``result.json``. None if these are not different."""


class Injection(StrEnum):
    """State of a fault's injection."""

    NOT = "not injected"
    NEVER = "never happened"
    """The fault was announced in the journal. It is proven that the fault changed nothing."""
    UNKNOWN = "unknown"
    """The fault was announced, but its injection failed, and the fault was not proven active."""
    UNPROVEN = "unproven"
    """The injection succeeded, but the fault was not proven active."""
    INJECTED = "injected"


class FaultResult(_Value):
    """State of one fault on one host. Everything that reports say about the fault is derived from this state."""

    step: str
    host: str
    injection: Injection
    why: str = ""
    """Reason why the injection is not proven."""
    since_s: float | None = None
    """Time at which the fault was announced, on the run's clock; None if it was not announced."""
    ended: str = ""
    """Outcome of the undo. There are three words for a fault that was not undone: ``open`` (no event reports an undo),
    ``residue`` (the undo failed), and ``closed`` (a person declared later that the residue needs no undo).
    """


class PhaseResult(_Value):
    """Outcome and duration of one phase of the drill."""

    phase: str
    status: Literal["done", "failed", "skipped", "interrupted"]
    seconds: float


class StepResult(_Value):
    """Outcome and duration of one step on one host."""

    id: str
    action: str
    host: str
    status: Literal["done", "failed", "unverified", "error", "skipped", "cancelled", "unknown", "allowed"]
    seconds: float | None
    facts: dict[str, Any] = Field(default_factory=dict)


class Residue(_Value):
    """A change that could not be undone: step, host, change, reason, and instructions for a manual undo."""

    step: str
    host: str
    what: str
    why: str
    by_hand: str


class ByHand(_Value):
    """Instructions to undo one change by hand, with everything that the journal knows. ``place``: host of the changed data."""

    step: str
    host: str
    place: str
    text: str


class SettledChange(_Value):
    """One change that a person declared to need no undo. ``proof``: state of the change in a check right before this."""

    step: str
    host: str
    what: str
    proof: Literal["gone", "active", "unknown"]
    detail: str


class Settled(_Value):
    """Record of the closing of residue: a named person declared that the remaining changes no longer need an undo.

    ``approval``: signed consent of a second person, which is required when the state of a change is unknown.
    """

    at: str
    by: str
    reason: str
    changes: tuple[SettledChange, ...]
    approval: dict[str, Any] | None
    kept: tuple[str, ...] = ()
    """Locks and leases that remain on hosts that did not answer."""


class DiagnosisResult(_Value):
    """Result of the phase `diagnose`.

    ``found`` is None when no cause was recorded. ``ranked`` contains the causes with their evidence.
    """

    service: str
    expected: str
    found: str | None
    correct: bool
    seconds: float | None
    error_s: float | None
    ranked: tuple[dict[str, Any], ...] = ()
    why: tuple[str, ...] = ()
    """Reasons why the result of the diagnosis is not `healthy`, such as checks that could not run."""


class Result(_Value):
    """``result.json`` of one drill. Keys may be added but are never renamed."""

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
    capacity: tuple[Outlook, ...] = ()
    settled: Settled | None = None
    """Statement of a person that the remaining changes need no further work. ``residue`` and ``exit`` do not depend on it."""
    later_steps: tuple[StepResult, ...] = Field(default=(), exclude=True)
    """Last outcome of each step that recoveries of the run carried out. Not in ``result.json``: a recovery does not change it."""
    later_findings: tuple[Finding, ...] = Field(default=(), exclude=True)
    """Findings about data that recoveries did not bring back. All reports show them. ``result.json`` has this key only if there are
    such findings."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", populate_by_name=True)

    @property
    def every_finding(self) -> tuple[Finding, ...]:
        """All findings, also those in ``later_findings``."""
        return (*self.findings, *self.later_findings)

    @property
    def last_steps(self) -> tuple[StepResult, ...]:
        """Steps of the run. Those that a recovery carried out again have the outcome of the recovery."""
        return tuple({(step.id, step.host): step for step in (*self.steps, *self.later_steps)}.values())

    @property
    def open_residue(self) -> tuple[Residue, ...]:
        """Changes that were neither undone nor closed with `drill.recover --settled`."""
        return () if self.settled else self.residue


class Span(_Value):
    """A span of time. ``end`` is None when the span was still open at the end of the run."""

    start: float
    end: float | None
    label: str = ""
    count: int | None = None


class ProbeTrack(_Value):
    """Observations of one probe over the run, with its settings, counts and latencies."""

    probe: str
    name: str
    kind: Literal["availability", "canary"]
    every_s: float
    timeout_s: float
    samples: int
    bad: int
    late: int
    stretches: tuple[Span, ...]
    """Consecutive spans. The label of a span describes its samples or writes, and ``count`` is the number of these.

    Labels: ``good``, ``bad``, ``kept`` (acknowledged and survived), ``lost`` (acknowledged, but gone), ``unproven``
    (acknowledged, but never read back), ``refused`` (not acknowledged), ``unheard`` (missed because the controller stalled).
    """
    latency_p50_s: float | None = None
    latency_p99_s: float | None = None
    error: str | None = None


class Timeline(_Value):
    """Data of the timeline of a run."""

    seconds: float
    phases: tuple[Span, ...]
    probes: tuple[ProbeTrack, ...]
    marks: dict[str, float]
    """Time of each measured moment, in seconds on the run's clock. The key is the name of the moment: ``disruption``,
    ``first_bad``, ``recovered``, ``verified``, ``alerted``, ``recovery_point`` (acknowledgement of the newest write that
    survived, which may be before the disruption), ``last_acknowledged``, or a name in ``notes.MARK_OF``.
    """
    zero: str = ""
    """Date and time in UTC at which the run's clock shows 0 s. The first event is written a little later."""


class CommandView(_Value):
    """One command of a step, with its outcome and the stored part of its output."""

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
    """One step on one host with all details for the report."""

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
    attempts: int = 1
    """Number of attempts after which the step had this outcome."""
    every_s: float | None = None
    """Seconds between attempts of a step that waits for a condition. It is None for a step that only retries after an error."""
    outcomes: tuple[tuple[str, int], ...] = ()
    """Outcomes of the attempts, each with its number. It is empty for one attempt, and in older journals."""
    allowed: str = ""
    """Reason, written in the drill, why the failure of this step is allowed; empty when no failure was allowed."""
    undone_later: bool = False
    """True when not the run itself, but a later recovery recorded the outcome in ``undone``."""

    @property
    def retried(self) -> bool:
        """True when the step failed at least once and was tried again. Waiting for a condition is not a retry."""
        return self.attempts > 1 and self.every_s is None


class Note(_Value):
    """A note about locks, leases, guards, stops, alerts or contacts. ``loud`` is True if it needs attention."""

    at: float
    kind: str
    host: str
    step: str
    text: str
    loud: bool


class StoredLog(_Value):
    """Log that a host wrote about its lease, copied into the folder of the run."""

    host: str
    file: str
    sha256: str
    bytes: int | None


class EarlyEnd(_Value):
    """The early end of a run: its time, and the phases and steps that ran before it. The phases in ``later`` ran after the
    early end, in order to undo changes.
    """

    at: float
    phases: tuple[PhaseResult, ...]
    spans: tuple[Span, ...]
    steps: tuple[StepView, ...]
    """First executions of the steps in phases that ran twice: before the early end of the run, and again after it."""
    later: tuple[str, ...]


class RunView(_Value):
    """One run with all data for its reports."""

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
    program: str = "invoke"
    """Name of the program that the user called. Commands in reports use it."""
    inventory: str = ""
    """Inventory as the user named it, for commands in reports; empty when the journal does not record it."""
    routine: tuple[str, ...] | None = None
    notes: tuple[Note, ...] = ()
    lease_logs: tuple[StoredLog, ...] = ()
    """Copies of the logs that targets wrote about their leases, including leases that a later recovery ended."""
    comparison: Comparison | None = None
    """Differences since the last run; None when the journal records no earlier run."""
    first_run: bool = False
    """True when the journal records that there was no earlier run to compare with."""
    finished: bool = True
    """True when the journal contains the end of the run itself. False when the controller died before the end."""
    recovered: bool = False
    """True when a later recovery came to its end."""
    own: OwnPart = OwnPart()
    """Part of the journal that the run itself wrote, before any recovery."""
    recoveries: tuple[Recovery, ...] = ()
    """Recoveries that continued the journal after the run, oldest first."""
    faults_at_end: tuple[FaultResult, ...] = ()
    """State of each fault at the end of the run itself, before any recovery."""
    others_at_end: int = 0
    """Number of other changes that were not undone at the same time."""
    locks_at_end: tuple[LockState, ...] = ()
    """State of each of the run's locks at the same time."""
    early_end: EarlyEnd | None = None
    """Early end of the run. It is None if the run reached its last phase, or its controller died."""
    stalls: tuple[tuple[float, float], ...] = ()
    by_hand: tuple[ByHand, ...] = ()
    """Instructions for those changes whose undo is an action or a restore. Reports show them instead of those in ``result``."""
    places: dict[str, str] = Field(default_factory=dict)
    """Host of the data of each step that reaches a service from the controller. The key of each entry is the step."""

    @property
    def zero(self) -> str:
        """Date and time, in UTC, of the moment that is 0 s in the timeline."""
        return self.timeline.zero or self.result.started


class SuiteResult(_Value):
    """``result.json`` of a suite. Its verdict is the worst verdict of its drills."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", populate_by_name=True)

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
    """Names of all drills of the suite in order, including those that did not run."""
    runs: tuple[dict[str, Any], ...]
    """One entry for each drill, in order: ``run``, ``drill``, ``folder`` (relative), ``verdict``, ``exit``, ``objectives``."""

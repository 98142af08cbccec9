"""The probes of a run, and the alerts that its steps waited for; all seconds are on the run's clock."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.events.content import Content
from drillbook.events.runs import Stamped

Probe = Annotated[str, Field(description="Id of the probe.")]
Sample = tuple[float, float, bool, str | None]
Write = tuple[int, float, float]
Lost = tuple[int, float, str, float] | tuple[int, float, str]
Alert = Annotated[str, Field(description="Name of the alert.")]
AgoSeconds = Annotated[float, Field(description="Since when, in seconds before this event.")]
AlertError = Annotated[
    float | None, Field(description=("Error of that time, in seconds; null: it may have been so for any time."))
]


class OfProbe(Content):
    """Base of the events of a probe."""

    probe: Probe


class ProbePrepared(OfProbe):
    """A canary is about to prepare its table: from now on it may be there."""

    KIND: ClassVar[str] = "probe.prepared"


class ProbeStarted(OfProbe):
    """A probe began to sample."""

    KIND: ClassVar[str] = "probe.started"

    name: Annotated[str, Field(description="Name of the kind of probe, as in [probes](probes.md).")]
    kind: Annotated[str, Field(description="`availability` or `canary`.")]
    every_s: Annotated[float, Field(description="Seconds from one sample to the next.")]
    timeout_s: Annotated[float, Field(description="Seconds after which a sample without an answer is bad.")]


class ProbeSamples(OfProbe, Stamped):
    """Samples that an availability probe took since the last such event."""

    KIND: ClassVar[str] = "probe.samples"
    BULK: ClassVar[bool] = True

    samples: Annotated[tuple[Sample, ...], Field(description="`[start, end, ok, why]`, in seconds on the run's clock.")]
    late: Annotated[int, Field(description="How many were started more than one interval late.")] = 0


class CanaryWrites(OfProbe, Stamped):
    """Numbers that a canary wrote since the last such event."""

    KIND: ClassVar[str] = "canary.writes"
    BULK: ClassVar[bool] = True

    acknowledged: Annotated[
        tuple[Write, ...], Field(description=("`[number, sent, acknowledged]`, times in seconds on the run's clock."))
    ] = ()
    in_doubt: Annotated[
        tuple[Lost, ...],
        Field(
            description=(
                "Not acknowledged, and perhaps there: `[number, sent, why, ended]`; without `ended` in older journals."
            )
        ),
    ] = ()
    lost: Annotated[
        tuple[Lost, ...],
        Field(description="Not written: the same."),
    ] = ()


class CanarySurvivors(OfProbe):
    """Numbers of a canary that were there when it was read back."""

    KIND: ClassVar[str] = "canary.survivors"

    ranges: Annotated[tuple[tuple[int, int], ...] | None, Field(description="`[first, last]` of what is there.")] = None
    count: Annotated[int | None, Field(description="How many are there.")] = None
    error: Annotated[str, Field(description="Why it could not be read back; absent when it was.")] = ""


class ProbeEnded(OfProbe):
    """A probe ended."""

    KIND: ClassVar[str] = "probe.ended"

    error: Annotated[str | None, Field(description="What broke it, or null.")]


After = Annotated[str, Field(description="After what: `verify`, `undo` or `early end`.")]


class SettleStarted(Content):
    """The probes are waited for until each was good for long enough."""

    KIND: ClassVar[str] = "settle.started"

    after: After


class SettleEnded(Content):
    """The wait for the probes ended."""

    KIND: ClassVar[str] = "settle.ended"

    after: After
    good: Annotated[bool, Field(description="True when each was good for long enough.")]
    interrupted: Annotated[bool, Field(description="True when a stop ended it; at the end of a run, a second one.")]
    seconds: Annotated[float, Field(description="How long it took, on the run's clock.")]


class OfAlert(Content):
    """Base of the events of an alert that a step waits for."""

    PLACE: ClassVar[str] = "step and host"

    alert: Alert


class AlertFiring(OfAlert):
    """The expected alert fires."""

    KIND: ClassVar[str] = "alert.firing"

    ago_s: AgoSeconds
    error_s: AlertError
    evaluation_s: Annotated[float | None, Field(description="Seconds between two evaluations of its rule.")] = None
    scrape_s: Annotated[float | None, Field(description="Seconds between two scrapes.")] = None


class AlertReceived(OfAlert):
    """The expected alert arrived at Alertmanager."""

    KIND: ClassVar[str] = "alert.received"

    ago_s: AgoSeconds
    error_s: AlertError
    receivers: Annotated[tuple[str, ...], Field(description="Receivers that it is sent to.")] = ()


class AlertAbsent(OfAlert):
    """The expected alert did not fire, or not arrive, within its time."""

    KIND: ClassVar[str] = "alert.absent"

    message: Annotated[str, Field(description="What was seen of it instead.")]


class AlertRemains(OfAlert):
    """The alert did not clear within its time."""

    KIND: ClassVar[str] = "alert.remains"

    message: Annotated[str, Field(description="What was seen of it instead.")]


class AlertCleared(OfAlert):
    """The alert has cleared."""

    KIND: ClassVar[str] = "alert.cleared"

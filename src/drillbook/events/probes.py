"""Events about probes, and about alerts that a step waits for.

Times in seconds are on the run's clock.
"""

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
AgoSeconds = Annotated[float, Field(description="Seconds between the firing or arrival of the alert and this event.")]
AlertError = Annotated[
    float | None, Field(description=("Maximum error of `ago_s` in seconds; null when the true age is unknown."))
]


class OfProbe(Content):
    """Base of the events of a probe."""

    probe: Probe


class ProbePrepared(OfProbe):
    """A canary is about to create its table. From now on, the table may exist."""

    KIND: ClassVar[str] = "probe.prepared"


class ProbeStarted(OfProbe):
    """A probe began to sample."""

    KIND: ClassVar[str] = "probe.started"

    name: Annotated[str, Field(description="Name of the kind of probe, as on the page [probes](probes.md).")]
    kind: Annotated[str, Field(description="`availability` or `canary`.")]
    every_s: Annotated[float, Field(description="Seconds from one sample to the next.")]
    timeout_s: Annotated[float, Field(description="Seconds after which a sample without an answer counts as bad.")]


class ProbeSamples(OfProbe, Stamped):
    """Samples that an availability probe took since its previous event `probe.samples`."""

    KIND: ClassVar[str] = "probe.samples"
    BULK: ClassVar[bool] = True

    samples: Annotated[
        tuple[Sample, ...],
        Field(description=("Each sample as `[start, end, ok, why]`. `start` and `end` are seconds on the run's clock.")),
    ]
    late: Annotated[int, Field(description="Number of samples that started more than one interval late.")] = 0


class CanaryWrites(OfProbe, Stamped):
    """Rows that a canary wrote, or tried to write, since its previous event `canary.writes`."""

    KIND: ClassVar[str] = "canary.writes"
    BULK: ClassVar[bool] = True

    acknowledged: Annotated[
        tuple[Write, ...],
        Field(
            description=(
                "Acknowledged writes, each as `[number, sent, acknowledged]`. `sent` and `acknowledged` "
                "are seconds on the run's clock."
            )
        ),
    ] = ()
    in_doubt: Annotated[
        tuple[Lost, ...],
        Field(
            description=(
                "Writes that were not acknowledged but may have happened, each as `[number, sent, why, ended]`. `sent` and "
                "`ended` are the start and the end of the attempt, in seconds on the run's clock, and `why` is the reason. "
                "Older journals do not have `ended`."
            )
        ),
    ] = ()
    lost: Annotated[
        tuple[Lost, ...],
        Field(description="Writes that certainly did not happen, each in the form of `in_doubt`."),
    ] = ()


class CanarySurvivors(OfProbe):
    """The rows of a canary were read back. The event contains the numbers of the rows that were found."""

    KIND: ClassVar[str] = "canary.survivors"

    ranges: Annotated[
        tuple[tuple[int, int], ...] | None,
        Field(description=("Numbers of the rows that were read back, as ranges `[first, last]`.")),
    ] = None
    count: Annotated[int | None, Field(description="Number of rows that were read back.")] = None
    error: Annotated[
        str, Field(description="Reason why the rows could not be read back. Absent when they were read back.")
    ] = ""


class ProbeEnded(OfProbe):
    """A probe stopped sampling."""

    KIND: ClassVar[str] = "probe.ended"

    error: Annotated[str | None, Field(description="Error that ended the probe; null when there was none.")]


After = Annotated[str, Field(description="Part of the run that came before the wait: `verify`, `undo` or `early end`.")]


class SettleStarted(Content):
    """The run begins to wait until each probe has been good for long enough."""

    KIND: ClassVar[str] = "settle.started"

    after: After


class SettleEnded(Content):
    """The run stopped waiting for the probes."""

    KIND: ClassVar[str] = "settle.ended"

    after: After
    good: Annotated[
        bool,
        Field(
            description=(
                "True when each probe was good for long enough, and after that all probes were good at the same time; "
                "otherwise false."
            )
        ),
    ]
    interrupted: Annotated[
        bool,
        Field(
            description=(
                "True when a request to stop ended the wait. If `after` is `undo` or `early end`, only a second request to "
                "stop ends the wait."
            )
        ),
    ]
    seconds: Annotated[float, Field(description="Duration of the wait in seconds, on the run's clock.")]


class OfAlert(Content):
    """Base of the events of an alert that a step waits for."""

    PLACE: ClassVar[str] = "step and host"

    alert: Alert


class AlertFiring(OfAlert):
    """The expected alert fires in Prometheus."""

    KIND: ClassVar[str] = "alert.firing"

    ago_s: AgoSeconds
    error_s: AlertError
    evaluation_s: Annotated[float | None, Field(description="Seconds between two evaluations of the alert's rule.")] = None
    scrape_s: Annotated[
        float | None, Field(description="Seconds between two scrapes of the metrics that the rule uses.")
    ] = None


class AlertReceived(OfAlert):
    """The expected alert arrived at Alertmanager."""

    KIND: ClassVar[str] = "alert.received"

    ago_s: AgoSeconds
    error_s: AlertError
    receivers: Annotated[tuple[str, ...], Field(description="Receivers to which Alertmanager sends the alert.")] = ()


class AlertAbsent(OfAlert):
    """The expected alert did not fire, or did not arrive at Alertmanager, within the step's time limit."""

    KIND: ClassVar[str] = "alert.absent"

    message: Annotated[str, Field(description="State of the alert at the end of the time limit.")]


class AlertRemains(OfAlert):
    """The alert did not clear within the step's time limit."""

    KIND: ClassVar[str] = "alert.remains"

    message: Annotated[str, Field(description="State of the alert at the end of the time limit.")]


class AlertCleared(OfAlert):
    """The alert cleared."""

    KIND: ClassVar[str] = "alert.cleared"

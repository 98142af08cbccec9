"""Actions on Prometheus: querying its measurements, and waiting for its alerts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.events.probes import AlertAbsent, AlertCleared, AlertFiring, AlertRemains
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.outcomes import Tally
from drillbook.systems.prometheus import alerts, series
from drillbook.systems.prometheus.alerts import Alert
from drillbook.systems.prometheus.client import ANSWER_S, LATE, LEAST_S, Api
from drillbook.systems.prometheus.service import Prometheus
from drillbook.values import Duration

POLL_S = 0.25
AWHILE_S = 86400.0
CALM_S = 20.0
"""Longest time, in seconds, that the check before a drill waits for an active alert to end."""
MOST_ALERTS = 200

ServiceName = Annotated[str, Field(description="Prometheus service in the inventory.")]
Promql = Annotated[str, Field(min_length=1, description="Query in PromQL.")]
AlertName = Annotated[str, Field(min_length=1, description="Name of the alerting rule.")]
Labels = Annotated[dict[str, str], Field(description="Labels that the alert must have.")]
Within = Annotated[Duration, Field(gt=0, description="Time limit, measured from the beginning of the step.")]


def _api(ctx: Context, service: str) -> Api:
    return Api(ctx.service(service, Prometheus), ctx.deadline)


def _askable(ask: Callable[[], object]) -> None:
    """Call ``ask`` once as a test. Raises NotReady when the server does not answer, or when its answer is an error."""
    try:
        ask()
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from None


class _Asking(Read):
    """Base of actions that run one PromQL query."""

    SERVICE = Prometheus
    PLACE = Place.CONTROLLER

    service: ServiceName
    query: Promql

    def ready(self, ctx: Context) -> None:
        """Check that the server answers the query."""
        if self.known("query"):
            _askable(lambda: series.instant(_api(ctx, self.service), self.query))


class Query(_Asking):
    """Query the present value of an expression.

    To put a condition on the value, write it into the step's `expect`, such as `result.value < 0.05`.
    """

    TIMEOUT = 30.0

    def run(self, ctx: Context) -> Facts:
        """Facts: ``value`` (null unless the query returns exactly one value), ``count`` (number of series), ``series`` (the
        first 200 series), ``type`` (type of the result).
        """
        kind, rows = series.instant(_api(ctx, self.service), self.query)
        return {
            "value": rows[0]["value"] if len(rows) == 1 else None,
            "count": len(rows),
            "type": kind,
            "series": rows[: series.MOST_SERIES],
        }


class Range(_Asking):
    """Query the values of an expression over a recent period. Every point is stored as evidence."""

    TIMEOUT = 60.0

    over: Annotated[Duration, Field(gt=0, description="Length of the period to query. The period ends when the step runs.")]
    step: Annotated[Duration, Field(gt=0, description="Time between two points.")] = Duration(15.0)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``series`` (``labels``, ``count``, ``first``, ``last``, ``min``, ``max`` and ``mean`` of each of the first
        200 series), ``count`` (number of series), ``points`` (evidence file with all points).
        """
        if self.over / self.step > series.MOST_POINTS:
            raise CouldNotVerify(
                f"{self.over} in steps of {self.step} are more than {series.MOST_POINTS} points",
                hint="choose a longer `step`",
            )
        end = time.time()
        rows = series.over_time(_api(ctx, self.service), self.query, end - self.over, end, float(self.step))
        points = ctx.evidence("points.json", json.dumps(series.finite(rows), ensure_ascii=False, allow_nan=False) + "\n")
        return {
            "series": [{"labels": row["labels"], **series.summary(row["points"])} for row in rows[: series.MOST_SERIES]],
            "count": len(rows),
            "points": points,
        }


class Alerts(Read):
    """List the alerts that are firing or pending at this moment."""

    SERVICE = Prometheus
    PLACE = Place.CONTROLLER
    TIMEOUT = 30.0

    service: ServiceName
    labels: Annotated[dict[str, str], Field(description="List only alerts with these labels.")] = Field(default_factory=dict)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``firing`` and ``pending`` (names of the alerts in each state), ``count`` (number of alerts), ``alerts``
        (``alert``, ``state``, ``labels``, ``since`` and ``value`` of each of the first 200).
        """
        listed = self._active(ctx)
        told = [alert for alert in map(_told, listed) if self.labels.items() <= alert["labels"].items()]
        names = {
            state: sorted({alert["alert"] for alert in told if alert["state"] == state}) for state in ("firing", "pending")
        }
        return {**names, "count": len(told), "alerts": told[:MOST_ALERTS]}

    def ready(self, ctx: Context) -> None:
        """Check that the server lists its alerts."""
        _askable(lambda: self._active(ctx))

    def _active(self, ctx: Context) -> list[dict[str, Any]]:
        return list(series.mappings(_api(ctx, self.service).get("/api/v1/alerts"), "alerts"))


def _told(alert: dict[str, Any]) -> Facts:
    labels = alert.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    return {
        "alert": str(labels.get("alertname", "")),
        "state": str(alert.get("state", "")),
        "since": alert.get("activeAt"),
        "labels": {key: value for key, value in labels.items() if key != "alertname"},
        "value": alert.get("value"),
    }


class _OfAlert(Read):
    """Base of the actions that wait for an alert to fire or to clear."""

    SERVICE = Prometheus
    PLACE = Place.CONTROLLER
    TIMEOUT = AWHILE_S

    service: ServiceName
    alert: AlertName
    labels: Labels = Field(default_factory=dict)
    within: Within

    def ready(self, ctx: Context) -> None:
        """Check that the alert's rule exists, that the alert is inactive, and that the scrape interval is known. The
        interval limits the precision of the detection time.
        """
        if not all(self.known(name) for name in ("alert", "labels")):
            return
        try:
            alert = self._calm(ctx)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None
        if alert.state != "inactive":
            raise NotReady(
                f"the alert {self.alert!r} is already {alert.state}, so it would not show that the fault was detected",
                hint="find out why the alert fires, and correct that first",
            )

    def _calm(self, ctx: Context) -> Alert:
        """Wait until the alert is inactive, and return it.

        There are two reasons to wait. A Prometheus that has just started needs some seconds to discover its targets. An
        alert about the fault of a previous drill stays active while the query of the alert still covers the time of that
        fault. After ``CALM_S`` seconds the alert is returned even if it is active.
        """
        api, until = _api(ctx, self.service), min(ctx.deadline.remaining() - LEAST_S, CALM_S) + time.monotonic()
        while True:
            last = time.monotonic() >= until
            alert = alerts.state_of(api, self.alert, self.labels)
            try:
                alerts.scrape_s(api)
                if alert.state == "inactive" or last:
                    return alert
            except CouldNotVerify:
                if last:
                    raise
            ctx.deadline.wait(POLL_S)

    def _wait(self, ctx: Context, wanted: str) -> tuple[Alert, float | None, float]:
        """Poll until the alert's state is ``wanted``. Return the alert, and two times between which the state changed. The
        second time is the end of the final poll, which saw the state ``wanted``. The first time is the start of the newest
        earlier poll that was answered, or None if no earlier poll was answered. When `within` has passed, raises StepFailed if
        the alert still has another state, and CouldNotVerify if Prometheus does not answer. The last poll is ignored if it was
        cut off by the end of `within`.
        """
        api, until = _api(ctx, self.service), time.monotonic() + self.within
        first: Alert | None = None
        before: float | None = None
        known: tuple[Alert | None, str] | None = None
        tally = Tally()
        while True:
            asked = time.monotonic()
            seen, doubt = self._look(replace(api, patience_s=max(LEAST_S, min(ANSWER_S, until - asked))))
            first = first or seen
            if first and seen and self._settled(first, seen, wanted):
                return seen, before, time.monotonic()
            late = known is not None and seen is None and until - asked < LEAST_S
            if known is None or not late:
                known = seen, doubt
                tally.add(_words(*known))
            if time.monotonic() >= until:
                raise self._ended(ctx, known, wanted, tally, LATE if late else "")
            before = asked if seen else before
            ctx.deadline.wait(POLL_S)

    def _ended(
        self, ctx: Context, known: tuple[Alert | None, str], wanted: str, tally: Tally, late: str
    ) -> StepFailed | CouldNotVerify:
        """Return the error for an alert that does not have the ``wanted`` state at the end of `within`. ``known``: the last
        complete answer, as ``_look`` returns it. ``late``: text to add if one more request was sent after that answer, and was
        not answered.
        """
        seen, doubt = known
        outcome = _words(seen, doubt)
        error: StepFailed | CouldNotVerify
        if seen is None:
            error = CouldNotVerify(f"{doubt}{tally.times(outcome, float(self.within))}{late}")
        else:
            number = f"; it was {seen.state} {tally.number(outcome)}" if tally.total > 1 else ""
            error = self._missed(ctx, seen, wanted, f"{number}{tally.others(outcome)}{late}")
        error.outcomes = tally.entries()
        return error

    def _look(self, api: Api) -> tuple[Alert | None, str]:
        """Return the alert and an empty text. When Prometheus does not answer, perhaps because of the fault, return None and
        the reason.
        """
        try:
            return alerts.state_of(api, self.alert, self.labels), ""
        except CouldNotVerify as error:
            return None, error.message

    @staticmethod
    def _settled(first: Alert, seen: Alert, wanted: str) -> bool:
        """Return True when an alert is in the required state. ``seen``: the alert. ``wanted``: the required state. ``first``:
        the alert as it was first read in this step.

        If ``wanted`` is `inactive`, the alert's rule must also have been evaluated again after ``first`` was read. Without
        a new evaluation, Prometheus would report an old state.
        """
        fresh = wanted == "firing" or all(moment not in first.evaluated for moment in seen.evaluated)
        return seen.state == wanted and fresh

    def _missed(self, ctx: Context, seen: Alert, wanted: str, note: str) -> StepFailed | CouldNotVerify:
        """Return the error for an alert that did not reach the state ``wanted`` in time, or for which this could not be
        confirmed. ``seen``: the alert as it was last read. ``note``: end of the message, about the answers of the server.
        """
        if seen.state == wanted:
            return CouldNotVerify(
                f"the rule {self.alert} was not evaluated within {self.within}, so it is unknown if the alert is {wanted}{note}",
                hint="check that Prometheus still evaluates its rules",
            )
        code = "alert-missing" if wanted == "firing" else "alert-remains"
        message = f"the alert {self.alert} is {seen.state} after {self.within}, not {wanted}{note}"
        missed = AlertAbsent if wanted == "firing" else AlertRemains
        ctx.note(missed(alert=self.alert, message=message))
        return StepFailed(
            message, findings=[finding(code, title=self.alert, wanted=f"{wanted} within {self.within}", measured=seen.state)]
        )


def _words(seen: Alert | None, doubt: str) -> str:
    return doubt if seen is None else f"the alert is {seen.state}"


class AlertFires(_OfAlert):
    """Wait until an alert fires.

    In the phase `detect`, this step measures the time that is compared with the objective `detect`.
    """

    def run(self, ctx: Context) -> Facts:
        """Facts: ``ago_s`` (time since the alert began to fire, in seconds), ``error_s`` (measurement error of this time),
        ``evaluation_s``, ``scrape_s``, ``alerts``.

        ``evaluation_s`` is the interval at which Prometheus evaluates the rule, and ``scrape_s`` the interval at which it
        reads its targets, both in seconds.
        """
        seen, before, answered = self._wait(ctx, "firing")
        api = _api(ctx, self.service)
        scrape = alerts.scrape_s(api)
        fired = alerts.fired(api, seen, self.labels, AWHILE_S)
        at, grid = (fired.at, fired.error_s) if fired else (answered, None if before is None else answered - before)
        times: Facts = {
            "ago_s": round(time.monotonic() - at, 6),
            "evaluation_s": seen.evaluation_s,
            "scrape_s": scrape,
            "error_s": None if grid is None else round(grid + seen.evaluation_s + scrape, 6),
        }
        ctx.note(AlertFiring(alert=self.alert, **times))
        return {**times, "alerts": [_told(alert) for alert in seen.active[:MOST_ALERTS]]}


class AlertClears(_OfAlert):
    """Wait until a firing alert is inactive again. Only an evaluation of the rule after the beginning of the step counts."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``seconds`` (time from the beginning of the step), ``evaluation_s`` (interval between two evaluations of
        the rule, in seconds).
        """
        begun = time.monotonic()
        seen, _, answered = self._wait(ctx, "inactive")
        ctx.note(AlertCleared(alert=self.alert))
        return {"seconds": round(answered - begun, 3), "evaluation_s": seen.evaluation_s}

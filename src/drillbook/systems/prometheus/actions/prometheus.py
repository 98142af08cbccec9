"""Prometheus: what it measured, and whether it noticed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.events.probes import AlertAbsent, AlertCleared, AlertFiring, AlertRemains
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.systems.prometheus import alerts, series
from drillbook.systems.prometheus.alerts import Alert
from drillbook.systems.prometheus.client import ANSWER_S, Api
from drillbook.systems.prometheus.service import Prometheus
from drillbook.values import Duration

POLL_S = 0.25
LEAST_S = 1.0
"""Prometheus is given so long for an answer, even where `within` is over before."""
AWHILE_S = 86400.0
CALM_S = 20.0
"""How long an alert may take to become inactive before a drill begins."""
MOST_ALERTS = 200

ServiceName = Annotated[str, Field(description="The Prometheus in the inventory.")]
Promql = Annotated[str, Field(min_length=1, description="The query, in PromQL.")]
AlertName = Annotated[str, Field(min_length=1, description="Name of the alerting rule.")]
Labels = Annotated[dict[str, str], Field(description="Labels that the alert must have.")]
Within = Annotated[Duration, Field(gt=0, description="How long it may take, from the beginning of the step.")]


def _api(ctx: Context, service: str) -> Api:
    return Api(ctx.service(service, Prometheus), ctx.deadline)


def _askable(ctx: Context, service: str, query: str) -> None:
    """Ask once. Raises NotReady when the server does not answer, or the query is wrong."""
    try:
        series.instant(_api(ctx, service), query)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from None


class _Asking(Read):
    """An action that asks one question of PromQL."""

    SERVICE = Prometheus
    PLACE = Place.CONTROLLER

    service: ServiceName
    query: Promql

    def ready(self, ctx: Context) -> None:
        """The server must answer the query."""
        if self.known("query"):
            _askable(ctx, self.service, self.query)


class Query(_Asking):
    """Ask for a value now; what it must be stands in the step's `expect`, such as `result.value < 0.05`."""

    TIMEOUT = 30.0

    def run(self, ctx: Context) -> Facts:
        """Facts: ``value`` (null unless there is exactly one), ``count``, ``series`` (the first 200), ``type``."""
        kind, found = series.instant(_api(ctx, self.service), self.query)
        return {
            "value": found[0]["value"] if len(found) == 1 else None,
            "count": len(found),
            "type": kind,
            "series": found[: series.MOST_SERIES],
        }


class Range(_Asking):
    """Ask how a value went over the last while; every point goes to the evidence."""

    TIMEOUT = 60.0

    over: Annotated[Duration, Field(gt=0, description="How far back, from now.")]
    step: Annotated[Duration, Field(gt=0, description="Time between two points.")] = Duration(15.0)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``series`` (``labels count first last min max mean`` of the first 200), ``count``, ``points`` (file)."""
        if self.over / self.step > series.MOST_POINTS:
            raise CouldNotVerify(
                f"{self.over} in steps of {self.step} are more than {series.MOST_POINTS} points",
                hint="choose a longer `step`",
            )
        end = time.time()
        found = series.over_time(_api(ctx, self.service), self.query, end - self.over, end, float(self.step))
        points = ctx.evidence("points.json", json.dumps(series.finite(found), ensure_ascii=False, allow_nan=False) + "\n")
        return {
            "series": [{"labels": one["labels"], **series.summary(one["points"])} for one in found[: series.MOST_SERIES]],
            "count": len(found),
            "points": points,
        }


class Alerts(Read):
    """List the alerts that are firing or pending now."""

    SERVICE = Prometheus
    PLACE = Place.CONTROLLER
    TIMEOUT = 30.0

    service: ServiceName
    labels: Annotated[dict[str, str], Field(description="Only alerts that have these labels.")] = Field(default_factory=dict)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``firing`` and ``pending`` (names), ``alerts`` (``alert state labels since value`` of the first 200)."""
        found = list(series.mappings(_api(ctx, self.service).get("/api/v1/alerts"), "alerts"))
        told = [one for one in map(_told, found) if self.labels.items() <= one["labels"].items()]
        names = {state: sorted({one["alert"] for one in told if one["state"] == state}) for state in ("firing", "pending")}
        return {**names, "count": len(told), "alerts": told[:MOST_ALERTS]}


def _told(one: dict[str, Any]) -> Facts:
    labels = one.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    return {
        "alert": str(labels.get("alertname", "")),
        "state": str(one.get("state", "")),
        "since": one.get("activeAt"),
        "labels": {key: value for key, value in labels.items() if key != "alertname"},
        "value": one.get("value"),
    }


class _OfAlert(Read):
    """What the two actions that wait for an alert share."""

    SERVICE = Prometheus
    PLACE = Place.CONTROLLER
    TIMEOUT = AWHILE_S

    service: ServiceName
    alert: AlertName
    labels: Labels = Field(default_factory=dict)
    within: Within

    def ready(self, ctx: Context) -> None:
        """The rule must be there, not firing yet, and its intervals known: they are part of the error of the detection."""
        if not all(self.known(name) for name in ("alert", "labels")):
            return
        try:
            found = self._calm(ctx)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None
        if found.state != "inactive":
            raise NotReady(
                f"the alert {self.alert!r} is {found.state} already: it could not show that the fault was noticed",
                hint="see what it fires for, and put that right first",
            )

    def _calm(self, ctx: Context) -> Alert:
        """The alert, once it is inactive or has been given the time to become so.

        A Prometheus that has just started needs some seconds until it knows its targets, and an alert needs some until
        what the drill before this one broke has left its window.
        """
        api, until = _api(ctx, self.service), min(ctx.deadline.remaining() - LEAST_S, CALM_S) + time.monotonic()
        while True:
            last = time.monotonic() >= until
            found = alerts.state_of(api, self.alert, self.labels)
            try:
                alerts.scrape_s(api)
                if found.state == "inactive" or last:
                    return found
            except CouldNotVerify:
                if last:
                    raise
            ctx.deadline.wait(POLL_S)

    def _wait(self, ctx: Context, wanted: str) -> tuple[Alert, float | None, float]:
        """Look until the state is ``wanted``; returns it, the start of the last look before, and the end of this one.

        Raises StepFailed when ``within`` is over, and CouldNotVerify when Prometheus does not tell then.
        """
        api, until = _api(ctx, self.service), time.monotonic() + self.within
        first: Alert | None = None
        before: float | None = None
        while True:
            asked = time.monotonic()
            seen, doubt = self._look(replace(api, patience_s=max(LEAST_S, min(ANSWER_S, until - asked))))
            first = first or seen
            if first and seen and self._settled(first, seen, wanted):
                return seen, before, time.monotonic()
            if time.monotonic() >= until:
                if seen is None:
                    raise CouldNotVerify(doubt)
                raise self._missed(ctx, seen, wanted)
            before = asked if seen else before
            ctx.deadline.wait(POLL_S)

    def _look(self, api: Api) -> tuple[Alert | None, str]:
        """The alert now; or None and why it cannot be seen: what is being broken may be on the way to Prometheus."""
        try:
            return alerts.state_of(api, self.alert, self.labels), ""
        except CouldNotVerify as error:
            return None, error.message

    @staticmethod
    def _settled(first: Alert, seen: Alert, wanted: str) -> bool:
        """An alert counts as cleared only by an evaluation that took place since: a stopped Prometheus clears nothing."""
        fresh = wanted == "firing" or all(one not in first.evaluated for one in seen.evaluated)
        return seen.state == wanted and fresh

    def _missed(self, ctx: Context, seen: Alert, wanted: str) -> StepFailed | CouldNotVerify:
        if seen.state == wanted:
            return CouldNotVerify(
                f"the rule {self.alert} was not evaluated within {self.within}, so whether it is {wanted} is not known",
                hint="see whether Prometheus still evaluates its rules",
            )
        code = "alert-missing" if wanted == "firing" else "alert-remains"
        message = f"the alert {self.alert} is {seen.state} after {self.within}, not {wanted}"
        missed = AlertAbsent if wanted == "firing" else AlertRemains
        ctx.note(missed(alert=self.alert, message=message))
        return StepFailed(
            message, findings=[finding(code, title=self.alert, wanted=f"{wanted} within {self.within}", measured=seen.state)]
        )


class AlertFires(_OfAlert):
    """Wait until an alert fires. In the phase `detect` it is what the objective `detect` is measured by."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``ago_s`` and ``error_s`` (since when it fires), ``evaluation_s``, ``scrape_s``, ``alerts``."""
        seen, before, answered = self._wait(ctx, "firing")
        api = _api(ctx, self.service)
        scrape = alerts.scrape_s(api)
        found = alerts.fired(api, seen, self.labels, AWHILE_S)
        at, grid = (found.at, found.error_s) if found else (answered, None if before is None else answered - before)
        times: Facts = {
            "ago_s": round(time.monotonic() - at, 6),
            "evaluation_s": seen.evaluation_s,
            "scrape_s": scrape,
            "error_s": None if grid is None else round(grid + seen.evaluation_s + scrape, 6),
        }
        ctx.note(AlertFiring(alert=self.alert, **times))
        return {**times, "alerts": [_told(one) for one in seen.active[:MOST_ALERTS]]}


class AlertClears(_OfAlert):
    """Wait until an alert that fired is inactive again, by an evaluation that took place since the step began."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``seconds`` that it took from the beginning of the step, ``evaluation_s``."""
        begun = time.monotonic()
        seen, _, answered = self._wait(ctx, "inactive")
        ctx.note(AlertCleared(alert=self.alert))
        return {"seconds": round(answered - begun, 3), "evaluation_s": seen.evaluation_s}

"""Action `alertmanager.received`, which waits until an alert has arrived and is routed to a receiver."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.events.probes import AlertAbsent, AlertReceived
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.outcomes import Tally
from drillbook.systems.prometheus.alerts import quoted
from drillbook.systems.prometheus.client import ANSWER_S, LATE, LEAST_S, Api
from drillbook.systems.prometheus.service import Alertmanager
from drillbook.values import Duration

POLL_S = 0.25
MOST = 50
CALM_S = 20.0
"""Longest time, in seconds, that the check before a drill waits for an active alert to end."""


class Received(Read):
    """Wait until an alert has arrived at Alertmanager and is routed to a receiver.

    The alert must be neither silenced nor inhibited.
    """

    SERVICE = Alertmanager
    PLACE = Place.CONTROLLER
    TIMEOUT = 86400.0

    service: Annotated[str, Field(description="Alertmanager service in the inventory.")]
    alert: Annotated[str, Field(min_length=1, description="Name of the alert.")]
    labels: Annotated[dict[str, str], Field(description="Labels that the alert must have.")] = Field(default_factory=dict)
    within: Annotated[Duration, Field(gt=0, description="Time limit, measured from the beginning of the step.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``seconds`` (time from the beginning of the step), ``error_s`` (measurement error of this time, in
        seconds), ``receivers``, ``alerts``.

        Each entry of ``alerts`` has the labels of an alert, and the time at which the alert became active.
        """
        begun = time.monotonic()
        before: float | None = None
        known: tuple[list[dict[str, Any]] | None, str] | None = None
        tally = Tally()
        while True:
            asked = time.monotonic()
            left = begun + self.within - asked
            alerts, doubt = self._look(ctx, max(LEAST_S, min(ANSWER_S, left)))
            answered = time.monotonic()
            if on_its_way := [alert for alert in alerts or () if _status(alert, "state") == "active"]:
                error_s = None if before is None else round(answered - before, 6)
                return self._arrived(ctx, on_its_way, answered, error_s) | {"seconds": round(answered - begun, 3)}
            late = known is not None and alerts is None and left < LEAST_S
            if known is None or not late:
                known = alerts, doubt
                tally.add(doubt if alerts is None else _why(alerts))
            if answered - begun >= self.within:
                raise self._ended(ctx, known, tally, LATE if late else "")
            before = before if alerts is None else asked
            ctx.deadline.wait(POLL_S)

    def _arrived(self, ctx: Context, alerts: list[dict[str, Any]], answered: float, error_s: float | None) -> Facts:
        """Record that the alert was received, and return the facts about it."""
        receivers = sorted({str(to.get("name")) for alert in alerts for to in alert.get("receivers", [])})
        ago_s = round(time.monotonic() - answered, 6)
        ctx.note(AlertReceived(alert=self.alert, ago_s=ago_s, error_s=error_s, receivers=tuple(receivers)))
        told = [{"labels": alert.get("labels"), "since": alert.get("startsAt")} for alert in alerts[:MOST]]
        return {"error_s": error_s, "receivers": receivers, "alerts": told}

    def _ended(
        self, ctx: Context, known: tuple[list[dict[str, Any]] | None, str], tally: Tally, late: str
    ) -> StepFailed | CouldNotVerify:
        """Return the error for an alert that was not received within `within`. ``known``: the last complete answer, as
        ``_look`` returns it. ``late``: text to add if one more request was sent after that answer, and was not answered.
        """
        alerts, doubt = known
        outcome = doubt if alerts is None else _why(alerts)
        note = f"{tally.times(outcome, float(self.within))}{late}"
        error = CouldNotVerify(f"{doubt}{note}") if alerts is None else self._missed(ctx, outcome, note)
        error.outcomes = tally.entries()
        return error

    def _look(self, ctx: Context, patience_s: float) -> tuple[list[dict[str, Any]] | None, str]:
        """Return ``(instances, "")`` with the instances of the alert in Alertmanager, or ``(None, reason)`` when they
        are unknown.
        """
        try:
            return self._found(ctx, patience_s), ""
        except CouldNotVerify as error:
            return None, error.message

    def ready(self, ctx: Context) -> None:
        """Check that the server answers, and that the alert is not active already."""
        if not all(self.known(name) for name in ("alert", "labels")):
            return
        until = min(ctx.deadline.remaining() - 1.0, CALM_S) + time.monotonic()
        try:
            while (held := self._found(ctx)) and time.monotonic() < until:
                ctx.deadline.wait(POLL_S)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None
        if held:
            raise NotReady(
                f"{self.service} already has the alert {self.alert!r}, so the alert would not show that the fault was detected",
                hint="find out why the alert fires, and remove the cause first",
            )

    def _found(self, ctx: Context, patience_s: float = ANSWER_S) -> list[dict[str, Any]]:
        wanted = {"alertname": self.alert, **self.labels}
        api = replace(Api(ctx.service(self.service, Alertmanager), ctx.deadline), patience_s=patience_s)
        alerts = api.get("/api/v2/alerts", [("filter", f"{key}={quoted(value)}") for key, value in wanted.items()])
        if not isinstance(alerts, list):
            raise CouldNotVerify(f"{self.service} did not answer in the format of Alertmanager's API")
        return [alert for alert in alerts if isinstance(alert, dict)]

    def _missed(self, ctx: Context, why: str, note: str) -> StepFailed:
        """Record that the alert did not reach a receiver, and return the error. ``why``: reason, from the last answer.
        ``note``: end of the message, about the answers of the server.
        """
        message = f"the alert {self.alert} was not received within {self.within}: {why}{note}"
        ctx.note(AlertAbsent(alert=self.alert, message=message))
        return StepFailed(
            message,
            findings=[finding("alert-missing", title=self.alert, measured=why, wanted=f"received within {self.within}")],
        )


def _why(alerts: list[dict[str, Any]]) -> str:
    """Return the reason why no receiver is notified of ``alerts``, the instances of the alert in Alertmanager."""
    if not alerts:
        return "the alert did not arrive"
    by = sorted(
        {
            f"{word} by {', '.join(map(str, _status(alert, key)))}"
            for alert in alerts
            for word, key in (("silenced", "silencedBy"), ("inhibited", "inhibitedBy"))
            if _status(alert, key)
        }
    )
    return f"the alert arrived, but no receiver is notified, because the alert is {'; '.join(by) or 'not processed yet'}"


def _status(alert: dict[str, Any], key: str) -> Any:
    status = alert.get("status")
    return status.get(key) if isinstance(status, dict) else None

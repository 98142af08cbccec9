"""Action `alertmanager.received`, which waits until an alert has arrived and is routed to a receiver."""

from __future__ import annotations

import time
from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.events.probes import AlertAbsent, AlertReceived
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.systems.prometheus.alerts import quoted
from drillbook.systems.prometheus.client import Api
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
        while True:
            asked = time.monotonic()
            alerts, doubt = self._look(ctx)
            answered = time.monotonic()
            if on_its_way := [alert for alert in alerts or () if _status(alert, "state") == "active"]:
                facts: Facts = {
                    "seconds": round(answered - begun, 3),
                    "error_s": None if before is None else round(answered - before, 6),
                    "receivers": sorted({str(to.get("name")) for alert in on_its_way for to in alert.get("receivers", [])}),
                    "alerts": [
                        {"labels": alert.get("labels"), "since": alert.get("startsAt")} for alert in on_its_way[:MOST]
                    ],
                }
                ctx.note(
                    AlertReceived(
                        alert=self.alert,
                        ago_s=round(time.monotonic() - answered, 6),
                        error_s=facts["error_s"],
                        receivers=tuple(facts["receivers"]),
                    )
                )
                return facts
            if answered - begun >= self.within:
                if alerts is None:
                    raise CouldNotVerify(doubt)
                raise self._missed(ctx, alerts)
            before = before if alerts is None else asked
            ctx.deadline.wait(POLL_S)

    def _look(self, ctx: Context) -> tuple[list[dict[str, Any]] | None, str]:
        """Return ``(instances, "")`` with the instances of the alert in Alertmanager, or ``(None, reason)`` when they
        are unknown.
        """
        try:
            return self._found(ctx), ""
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

    def _found(self, ctx: Context) -> list[dict[str, Any]]:
        wanted = {"alertname": self.alert, **self.labels}
        alerts = Api(ctx.service(self.service, Alertmanager), ctx.deadline).get(
            "/api/v2/alerts", [("filter", f"{key}={quoted(value)}") for key, value in wanted.items()]
        )
        if not isinstance(alerts, list):
            raise CouldNotVerify(f"{self.service} did not answer in the format of Alertmanager's API")
        return [alert for alert in alerts if isinstance(alert, dict)]

    def _missed(self, ctx: Context, alerts: list[dict[str, Any]]) -> StepFailed:
        why = "the alert did not arrive"
        if alerts:
            by = sorted(
                {
                    f"{word} by {', '.join(map(str, _status(alert, key)))}"
                    for alert in alerts
                    for word, key in (("silenced", "silencedBy"), ("inhibited", "inhibitedBy"))
                    if _status(alert, key)
                }
            )
            why = f"the alert arrived, but no receiver is notified, because the alert is {'; '.join(by) or 'not processed yet'}"
        message = f"the alert {self.alert} was not received within {self.within}: {why}"
        ctx.note(AlertAbsent(alert=self.alert, message=message))
        return StepFailed(
            message,
            findings=[finding("alert-missing", title=self.alert, measured=why, wanted=f"received within {self.within}")],
        )


def _status(alert: dict[str, Any], key: str) -> Any:
    status = alert.get("status")
    return status.get(key) if isinstance(status, dict) else None

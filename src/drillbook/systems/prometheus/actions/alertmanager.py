"""Alertmanager: whether an alert came to those who are to be told."""

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
"""How long an alert may take to be resolved before a drill begins."""


class Received(Read):
    """Wait until an alert has come to Alertmanager and is on its way to a receiver, neither silenced nor inhibited."""

    SERVICE = Alertmanager
    PLACE = Place.CONTROLLER
    TIMEOUT = 86400.0

    service: Annotated[str, Field(description="The Alertmanager in the inventory.")]
    alert: Annotated[str, Field(min_length=1, description="Name of the alert.")]
    labels: Annotated[dict[str, str], Field(description="Labels that it must have.")] = Field(default_factory=dict)
    within: Annotated[Duration, Field(gt=0, description="How long it may take, from the beginning of the step.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``seconds`` from the beginning of the step, ``error_s``, ``receivers``, ``alerts`` (labels, since)."""
        begun = time.monotonic()
        before: float | None = None
        while True:
            asked = time.monotonic()
            found, doubt = self._look(ctx)
            answered = time.monotonic()
            if on_its_way := [one for one in found or () if _status(one, "state") == "active"]:
                facts: Facts = {
                    "seconds": round(answered - begun, 3),
                    "error_s": None if before is None else round(answered - before, 6),
                    "receivers": sorted({str(to.get("name")) for one in on_its_way for to in one.get("receivers", [])}),
                    "alerts": [{"labels": one.get("labels"), "since": one.get("startsAt")} for one in on_its_way[:MOST]],
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
                if found is None:
                    raise CouldNotVerify(doubt)
                raise self._missed(ctx, found)
            before = before if found is None else asked
            ctx.deadline.wait(POLL_S)

    def _look(self, ctx: Context) -> tuple[list[dict[str, Any]] | None, str]:
        """What Alertmanager holds of the alert now; or None and why it does not tell."""
        try:
            return self._found(ctx), ""
        except CouldNotVerify as error:
            return None, error.message

    def ready(self, ctx: Context) -> None:
        """The server must answer, and not hold the alert already."""
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
                f"{self.service} holds the alert {self.alert!r} already: it could not show that the fault was noticed",
                hint="see what it fires for, and put that right first",
            )

    def _found(self, ctx: Context) -> list[dict[str, Any]]:
        wanted = {"alertname": self.alert, **self.labels}
        found = Api(ctx.service(self.service, Alertmanager), ctx.deadline).get(
            "/api/v2/alerts", [("filter", f"{key}={quoted(value)}") for key, value in wanted.items()]
        )
        if not isinstance(found, list):
            raise CouldNotVerify(f"{self.service} does not answer as an Alertmanager does")
        return [one for one in found if isinstance(one, dict)]

    def _missed(self, ctx: Context, found: list[dict[str, Any]]) -> StepFailed:
        why = "it did not arrive"
        if found:
            by = sorted(
                {
                    f"{word} by {', '.join(map(str, _status(one, key)))}"
                    for one in found
                    for word, key in (("silenced", "silencedBy"), ("inhibited", "inhibitedBy"))
                    if _status(one, key)
                }
            )
            why = f"it arrived, and nobody is told: {'; '.join(by) or 'it is not processed yet'}"
        message = f"the alert {self.alert} was not received within {self.within}: {why}"
        ctx.note(AlertAbsent(alert=self.alert, message=message))
        return StepFailed(
            message,
            findings=[finding("alert-missing", title=self.alert, measured=why, wanted=f"received within {self.within}")],
        )


def _status(alert: dict[str, Any], key: str) -> Any:
    status = alert.get("status")
    return status.get(key) if isinstance(status, dict) else None

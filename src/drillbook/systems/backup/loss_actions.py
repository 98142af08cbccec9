"""Action `loss.measure`: it measures the time from the newest data in a restored copy to the time of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context, Facts, Place, Read, find, known_names
from drillbook.sdk.backup_source import parsed_moment, stamp
from drillbook.sdk.moments import MeasuresLoss
from drillbook.sdk.service import Service, kind_of


def _until(text: str) -> str:
    if text and parsed_moment(text) is None:
        raise ValueError(f"{text!r} is not a time in ISO 8601")
    return text


class Measure(Read):
    """Measure the data loss of a restored copy: the time from the newest data in the copy to the time of the loss.

    The action `*.newest_moment` for the kind of service finds the newest data, for example `postgres.newest_moment`.
    """

    PLACE = Place.SERVICE
    TIMEOUT = 300.0

    service: Annotated[str, Field(description="Service with the restored copy, usually a sandbox.")]
    until: Annotated[
        str,
        AfterValidator(_until),
        Field(description="Time of the loss in ISO 8601 with offset from UTC; empty: now, by the controller's clock."),
    ] = ""
    by: Annotated[
        Mapping[str, Any],
        Field(
            description="Parameters of the action `*.newest_moment` for this kind of service, such as `tables: {orders: created_at}`."
        ),
    ] = {}

    def run(self, ctx: Context) -> Facts:
        """Facts: ``newest_moment`` (time of the newest data), ``until`` (time of the loss), ``loss_s`` (seconds from
        ``newest_moment`` to ``until``, or 0 if the newest data is later), ``ahead_s`` (seconds by which the newest data is
        later than ``until``, or 0).

        ``error_s``: the last write may be later than ``newest_moment``, but by no more than these seconds. The true loss may
        be smaller than ``loss_s``, but by no more than these seconds. ``basis`` is the place where ``newest_moment`` was
        found. ``moments`` lists all places where a newest moment was found, each with this moment and its error.
        """
        until = parsed_moment(self.until) if self.until else datetime.now(UTC)
        facts = self._action(ctx.services.get(self.service)).run(ctx)
        newest = parsed_moment(str(facts["newest_moment"]))
        if until is None or newest is None:
            raise CouldNotVerify(f"the fact `newest_moment` of {self.service} is not a time: {facts['newest_moment']}")
        loss = (until - newest).total_seconds()
        told = {key: facts[key] for key in ("newest_moment", "basis", "error_s", "moments")}
        return {"loss_s": round(max(0.0, loss), 3), "until": stamp(until), "ahead_s": round(max(0.0, -loss), 3), **told}

    def _action(self, service: Service | None) -> Read:
        """Return the action that finds the newest data in ``service``. Raises NotReady when there is no such action for the
        kind of the service.
        """
        names = [name for name in known_names() if issubclass(find(name), MeasuresLoss)]
        for name in names:
            action: type[Read] = find(name)
            if service is not None and action.SERVICE is not None and isinstance(service, action.SERVICE):
                return action.model_validate({"service": self.service, **self.by})
        kind = kind_of(service) if service else "none"
        raise NotReady(
            f"the newest data of a service of kind {kind} cannot be measured", hint=f"use one of {', '.join(names)}"
        )

    def ready(self, ctx: Context) -> None:
        """Check that there is an action that finds the newest data in this kind of service."""
        if self.known("service") and self.known("by"):
            self._action(ctx.services.get(self.service))

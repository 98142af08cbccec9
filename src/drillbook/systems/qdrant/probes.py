"""Probe `qdrant.available`: request a collection or a point."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, Field

from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt
from drillbook.sdk.probe import Availability
from drillbook.sdk.web import ask
from drillbook.systems.qdrant.points import Id, id_of
from drillbook.systems.qdrant.service import Qdrant

ServiceName = Annotated[str, Field(description="Name of the Qdrant service in the inventory.")]


class Available(Availability):
    """Request the collection.

    When `point` is set, also check that this point exists, since a server without data still answers.
    """

    service: ServiceName
    point: Annotated[
        Annotated[Id, AfterValidator(id_of)] | None,
        Field(
            description="Id of a point that must always exist. By default the probe only checks that the collection exists."
        ),
    ] = None

    def check(self, ctx: Context) -> str | None:
        """Send one request on a new connection."""
        service = ctx.service(self.service, Qdrant)
        path = f"/collections/{quote(service.collection, safe='')}"
        if self.point is not None:
            path += f"/points/{self.point}"
        headers = {"api-key": service.api_key.reveal()} if service.api_key else {}
        try:
            answer = ask(service.url.rstrip("/") + path, timeout=float(self.timeout), headers=headers)
        except TimeoutError:
            return f"no answer within {self.timeout}"
        except OSError as error:
            return error.strerror or str(error)
        return None if answer.status == 200 else f"status {answer.status}: {excerpt(answer.body, limit=200)}"

"""Action `http.serve`: start a service for the duration of a drill."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.host import excerpt
from drillbook.sdk.manager import manager_of
from drillbook.sdk.service import Http
from drillbook.sdk.temporary_unit import TemporaryUnit
from drillbook.systems.http.actions.fields import requested
from drillbook.systems.http.exchange import SHOWN

ANSWER_S, LEAST_S = 2.0, 0.2
"""Two times in seconds. ``ANSWER_S``: time limit of a request. ``LEAST_S``: no further request is sent when the step has less
time left.
"""
NOTHING = "no request was sent"


class Serve(TemporaryUnit):
    """Start the unit of a service for the duration of this drill, and wait until the service answers.

    The undo stops the unit.
    """

    SERVICE = Http

    service: Annotated[str, Field(description="HTTP service in the inventory. It must have a `unit`.")]
    path: Annotated[str, Field(pattern=r"^/", description="URL path of the test request, below the URL of the service.")] = (
        "/"
    )
    status: Annotated[int, Field(ge=100, le=599, description="Status that counts as a good answer.")] = 200

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid``, ``url``, ``seconds`` (time from the start of the unit until the service gave the
        expected answer). When the service did not answer as expected, ``body`` is the beginning of its last answer.
        """
        service, manager, begun = ctx.service(self.service, Http), manager_of(ctx.host), ctx.deadline.remaining()
        seen = manager.ensure(ctx.host, service.unit, "running", ctx.deadline)
        url, last, body = f"{service.url}{self.path}", NOTHING, ""
        while (left := ctx.deadline.remaining()) > LEAST_S:
            try:
                answer = requested(ctx, url, limit=ANSWER_S)
                if answer.status == self.status:
                    return {
                        "unit": service.unit,
                        "pid": seen.pid,
                        "url": url,
                        "seconds": round(begun - ctx.deadline.remaining(), 3),
                    }
                last, body = f"answered {answer.status}, expected {self.status}", excerpt(answer.body, limit=SHOWN)
            except OSError as error:
                cut = isinstance(error, TimeoutError) and left < ANSWER_S  # the rest of the time was too short to tell
                last, body = (last, body) if cut and last != NOTHING else (str(error), "")
            if ctx.deadline.remaining() > LEAST_S:
                ctx.deadline.wait(0.1)
        raise StepFailed(
            f"{url} does not give the expected answer: {last}",
            facts={"unit": service.unit, "url": url, "body": body},
            findings=[finding("http-unexpected", title=url, wanted=f"status {self.status}", measured=last)],
        )

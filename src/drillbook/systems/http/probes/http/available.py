"""Probe `http.available`: request a URL."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt
from drillbook.sdk.probe import Availability
from drillbook.sdk.web import ask


class Available(Availability):
    """Request a URL and compare the status. Choose a URL for which the service must do real work, and not a static page."""

    ANY_SERVICE = True

    url: Annotated[str, Field(pattern=r"^https?://", description="URL, as seen from the controller.")]
    status: Annotated[int, Field(ge=100, le=599, description="Status that counts as available.")] = 200

    def check(self, ctx: Context) -> str | None:
        """Send one request over a new connection."""
        try:
            answer = ask(self.url, timeout=float(self.timeout), limit=4096)
        except TimeoutError:
            return f"no answer within {self.timeout}"
        except OSError as error:
            return error.strerror or str(error)
        if answer.status != self.status:
            return f"status {answer.status}: {excerpt(answer.body, limit=200)}"
        return None

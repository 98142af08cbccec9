"""Probe `content.unchanged`: compare the content of a URL."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field, PrivateAttr

from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt
from drillbook.sdk.probe import Availability
from drillbook.sdk.web import BODY_LIMIT, ask


class Unchanged(Availability):
    """Check that a URL always returns the same bytes as in its first good answer.

    Detects damaged content sent with status 200.
    """

    url: Annotated[str, Field(pattern=r"^https?://", description="URL, as seen from the controller.")]
    _first: dict[str, str] = PrivateAttr(default_factory=dict)

    def check(self, ctx: Context) -> str | None:
        """Send one request over a new connection, and compare the answer with the first answer that had the status 200."""
        try:
            answer = ask(self.url, timeout=float(self.timeout))
        except TimeoutError:
            return f"no answer within {self.timeout}"
        except OSError as error:
            return error.strerror or str(error)
        if answer.status != 200:
            return f"status {answer.status}: {excerpt(answer.body, limit=200)}"
        if not answer.complete:
            return f"the answer is longer than the {BODY_LIMIT} bytes that are compared"
        digest = hashlib.sha256(answer.body).hexdigest()
        first = self._first.setdefault("sha256", digest)
        return None if digest == first else f"different content: sha256 {digest}; of the first answer: {first}"

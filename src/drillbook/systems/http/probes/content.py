"""Probes of what a service gives, not only that it answers."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field, PrivateAttr

from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt
from drillbook.sdk.probe import Availability
from drillbook.sdk.web import BODY_LIMIT, ask


class Unchanged(Availability):
    """Does a URL go on giving the bytes that it gave when the probe began? Sees damage that a status hides."""

    url: Annotated[str, Field(pattern=r"^https?://", description="URL, as the controller reaches it.")]
    _first: dict[str, str] = PrivateAttr(default_factory=dict)

    def check(self, ctx: Context) -> str | None:
        """One request on a new connection; the first answer with status 200 is what all others are compared with."""
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
        return None if digest == first else f"other content: sha256 {digest}, at first {first}"

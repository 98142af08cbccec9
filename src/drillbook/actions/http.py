"""HTTP as a client sees it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from drillbook.action import Context, Facts, Place, Read
from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.host import printable
from drillbook.web import BODY_LIMIT, Answer, ask

Url = Annotated[str, Field(pattern=r"^https?://", description="URL, as the controller reaches it.")]


class Responds(Read):
    """Send one request and compare the answer."""

    PLACE = Place.CONTROLLER
    TIMEOUT = 30.0

    url: Url
    method: Annotated[str, Field(pattern=r"^[A-Z]+$", description="Method.")] = "GET"
    headers: Annotated[dict[str, str], Field(description="Request headers.")] = Field(default_factory=dict)
    body: Annotated[str, Field(description="Request body.")] = ""
    status: Annotated[int, Field(ge=100, le=599, description="The wanted status.")] = 200
    contains: Annotated[str | None, Field(description="Text that the answer must contain.")] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``status``, ``seconds``, ``bytes``, ``body`` (the first 2,000 characters), ``json`` when it is JSON."""
        try:
            answer = ask(self.url, timeout=max(0.1, min(10.0, ctx.deadline.remaining())), method=self.method,
                         headers=self.headers, body=self.body.encode())
        except OSError as error:
            raise StepFailed(f"{self.url} does not answer: {error}", findings=[finding(
                "http-unexpected", title=self.url, wanted=f"status {self.status}", measured=str(error))]) from None
        facts = _facts(answer)
        if answer.status != self.status:
            raise StepFailed(f"{self.url} answered {answer.status}, not {self.status}: {facts['body'][:200]}", facts=facts,
                             findings=[finding("http-unexpected", title=self.url, wanted=f"status {self.status}",
                                               measured=f"status {answer.status}: {facts['body'][:200]}")])
        if self.contains is not None and self.contains.encode() not in answer.body:
            if not answer.complete:
                raise CouldNotVerify(f"the answer of {self.url} is longer than {BODY_LIMIT} bytes; its rest was not read")
            raise StepFailed(f"the answer of {self.url} does not contain {self.contains!r}", facts=facts, findings=[finding(
                "http-unexpected", title=self.url, wanted=f"contains {self.contains!r}", measured=facts["body"][:200])])
        return facts


def _facts(answer: Answer) -> Facts:
    facts: dict[str, Any] = {"status": answer.status, "seconds": round(answer.seconds, 6), "bytes": len(answer.body),
                             "body": printable(answer.body[:2000], limit=2000)}
    try:
        if answer.complete and len(answer.body) <= 65536:
            facts["json"] = json.loads(answer.body)
    except (ValueError, RecursionError):
        pass
    return facts

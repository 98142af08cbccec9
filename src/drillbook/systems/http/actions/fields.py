"""Field types that several HTTP actions share, and functions that send a request and report its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from drillbook.sdk.action import Context, Facts
from drillbook.sdk.host import excerpt
from drillbook.sdk.web import BODY_LIMIT, Answer, ask

Url = Annotated[str, Field(pattern=r"^https?://", description="URL, as seen from the controller.")]
Method = Annotated[str, Field(pattern=r"^[A-Z]+$", description="HTTP method.")]
Headers = Annotated[dict[str, str], Field(description="Request headers.")]
Status = Annotated[int, Field(ge=100, le=599, description="Expected status of the answer.")]
Contains = Annotated[str | None, Field(description="Text that the answer must contain.")]
ANSWER_S = 10.0
"""Seconds within which a request must be answered."""


def requested(
    ctx: Context,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    limit: float = ANSWER_S,
    ca: str = "",
    size: int = BODY_LIMIT,
) -> Answer:
    """Send one request, and wait for its answer for at most ``limit`` seconds, but not longer than the step's deadline.

    ``size``: largest number of bytes of the body to keep. Raises OSError when there is no answer.
    """
    timeout = max(0.1, min(limit, ctx.deadline.remaining()))
    return ask(url, timeout=timeout, method=method, headers=headers, body=body, ca=ca, limit=size)


def facts_of(answer: Answer) -> Facts:
    """Return facts about an answer: ``status``, ``seconds``, ``bytes`` (size), ``body`` (its beginning), ``json`` (if
    valid).
    """
    facts: dict[str, Any] = {
        "status": answer.status,
        "seconds": round(answer.seconds, 6),
        "bytes": len(answer.body),
        "body": excerpt(answer.body, limit=2000),
    }
    try:
        if answer.complete and len(answer.body) <= 65536:
            facts["json"] = json.loads(answer.body)
    except (ValueError, RecursionError):
        pass
    return facts

"""One request of `http.flow` or of a canary. This module fills in the placeholders of the request, sends it, and compares
the answer with the answer that the drill expects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drillbook.errors import CouldNotVerify
from drillbook.language import placeholders
from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt
from drillbook.sdk.web import BODY_LIMIT, Answer
from drillbook.systems.http.actions.fields import Contains, Headers, Method, Status, Url, requested

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
SHOWN = 200
"""Maximum number of characters that are kept from an unexpected answer."""


def _path(text: str) -> str:
    if not all(text.split(".")):
        raise ValueError(f"{text!r} is not a path to a value in an answer; write it as `documents.0.id`")
    return text


class FlowRequest(BaseModel):
    """One request of a flow. ``${name}`` stands for a value that was saved from the answer to an earlier request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(description="Name of the request in the report. Empty: its method and its URL.")] = ""
    url: Url
    method: Method = "GET"
    headers: Headers = Field(default_factory=dict)
    body: Annotated[
        str | dict[str, Any] | list[Any],
        Field(description="Body of the request. A value that is not a text is sent as JSON."),
    ] = ""
    status: Status = 200
    save: Annotated[
        dict[Name, Annotated[str, AfterValidator(_path)]],
        Field(
            description=(
                "Values to save from an answer in JSON. Each has a name, and the path of the value in the "
                "answer, such as `id: documents.0.id`."
            )
        ),
    ] = Field(default_factory=dict)
    contains: Contains = None

    @property
    def called(self) -> str:
        """Name of the request. A request without a name is called by its method and its URL. Placeholders in the URL
        are not replaced.
        """
        return self.name or f"{self.method} {self.url}"


class Unexpected(Exception):
    """Error raised when an answer differs from the expected one, or when there is no answer."""

    def __init__(
        self, wanted: str, measured: str, *, status: int | None = None, refused: bool = False, body: str = ""
    ) -> None:
        """Create the error. ``status``: status of the answer, if it differs from the expected status.

        ``refused``: True when the request never reached a server. ``body``: beginning of the answer. The message does not
        contain the body, so that no report quotes the body in a sentence.
        """
        super().__init__(measured)
        self.wanted, self.measured, self.status, self.refused, self.body = wanted, measured, status, refused, body

    @property
    def with_body(self) -> str:
        """Text about the unexpected answer, followed by the beginning of its body."""
        return f"{self.measured}: {self.body}" if self.body else self.measured


def sent(
    ctx: Context,
    step: FlowRequest,
    values: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> Answer:
    """Send the request ``step``, with ``values`` in place of its placeholders and with the additional ``headers``.

    ``options`` are passed on to ``requested``. Raises Unexpected when there is no answer.
    """
    headers = dict(headers or {}) | {key: placeholders.text(value, values) for key, value in step.headers.items()}
    body = placeholders.fill(step.body, values)
    if not isinstance(step.body, str):
        headers = {"Content-Type": "application/json"} | headers
    try:
        return requested(
            ctx,
            placeholders.url(step.url, values),
            method=step.method,
            headers=headers,
            body=str(body).encode() if isinstance(step.body, str) else json.dumps(body).encode(),
            **options,
        )
    except (OSError, ValueError) as error:
        refused = isinstance(error, ConnectionRefusedError)
        raise Unexpected(f"status {step.status}", f"no answer: {error}", refused=refused) from None


def compare(step: FlowRequest, answer: Answer, values: Mapping[str, Any]) -> None:
    """Compare an answer with the expected status and text.

    Raises Unexpected when the answer differs. Raises CouldNotVerify when the answer is too long to be searched for the
    text.
    """
    said = excerpt(answer.body, limit=SHOWN)
    if answer.status != step.status:
        raise Unexpected(f"status {step.status}", f"status {answer.status}", status=answer.status, body=said)
    if step.contains is not None and placeholders.text(step.contains, values).encode() not in answer.body:
        if not answer.complete:
            raise CouldNotVerify(f"the answer of {step.called} is longer than {BODY_LIMIT} bytes; the rest was not read")
        raise Unexpected(f"contains {step.contains!r}", f"the answer does not contain {step.contains!r}", body=said)


def saved(step: FlowRequest, answer: Answer) -> dict[str, Any]:
    """Return the values that ``step`` saves from the answer. The key of each entry is the name under which the value is
    saved.

    Raises Unexpected when the answer is not JSON, or has no single value at one of the paths.
    """
    if not step.save:
        return {}
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = excerpt(answer.body, limit=SHOWN)
        raise Unexpected("an answer in JSON", "the answer is not JSON", body=said) from None
    value_by_name = {}
    for name, path in step.save.items():
        try:
            value_by_name[name] = placeholders.follow(data, path)
        except LookupError as error:
            raise Unexpected(f"a value at {path}", f"the answer has no single value at {path}: {error.args[0]}") from None
    return value_by_name

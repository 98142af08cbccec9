"""Action `http.flow`: send a sequence of requests like a client."""

from __future__ import annotations

import json
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.language import placeholders
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.host import excerpt
from drillbook.sdk.web import BODY_LIMIT, Answer
from drillbook.systems.http.actions.fields import Contains, Headers, Method, Status, Url, requested

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def _path(text: str) -> str:
    if not all(text.split(".")):
        raise ValueError(f"{text!r} is not a path to a value in an answer; write it as `documents.0.id`")
    return text


class FlowRequest(BaseModel):
    """One request of a flow; ``${name}`` is replaced by a value saved from the answer to an earlier request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(description="Name of the request in the report; empty: method and URL.")] = ""
    url: Url
    method: Method = "GET"
    headers: Headers = Field(default_factory=dict)
    body: Annotated[str | dict[str, Any] | list[Any], Field(description="Request body; if not text, sent as JSON.")] = ""
    status: Status = 200
    save: Annotated[
        dict[Name, Annotated[str, AfterValidator(_path)]],
        Field(description="Values to save from a JSON answer: name and path of each, such as `id: documents.0.id`."),
    ] = Field(default_factory=dict)
    contains: Contains = None

    @property
    def called(self) -> str:
        """Name of the request; if empty, its method and its URL with the placeholders."""
        return self.name or f"{self.method} {self.url}"


class Flow(Read):
    """Send several requests one after another, like a client; a request can use values from earlier answers."""

    PLACE = Place.CONTROLLER
    TIMEOUT = 60.0

    steps: Annotated[tuple[FlowRequest, ...], Field(min_length=1, description="Requests to send, in this order.")]
    show: Annotated[tuple[Name, ...], Field(description="Saved values that the report shows.")] = ()

    @model_validator(mode="after")
    def _saved_before(self) -> Self:
        saved: set[str] = set()
        for step in self.steps:
            used = placeholders.names([step.url, step.headers, step.body, step.contains])
            if unknown := sorted(used - saved):
                raise ValueError(f"{step.called}: no earlier request saves {unknown[0]!r}")
            saved |= step.save.keys()
        if unknown := sorted(set(self.show) - saved):
            raise ValueError(f"`show` contains {unknown[0]!r}, which no request saves")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``requests`` (name, status, seconds, bytes of each), ``saved`` (values listed in `show`), ``seconds``."""
        values: dict[str, Any] = {}
        done: list[Facts] = []
        for number, step in enumerate(self.steps, 1):
            before = self._facts(done, values)
            try:
                values |= self._taken(ctx, step, values, done)
            except _Unexpected as error:
                hidden = [str(value) for name, value in values.items() if name not in self.show]
                measured = placeholders.hide(error.measured, hidden)
                raise StepFailed(
                    f"request {number} of {len(self.steps)}, {step.called}: {measured}",
                    facts=before,
                    findings=[finding("http-unexpected", title=step.called, wanted=error.wanted, measured=measured)],
                ) from None
        return self._facts(done, values)

    def _facts(self, done: list[Facts], values: dict[str, Any]) -> Facts:
        return {
            "requests": done,
            "seconds": round(sum(one["seconds"] for one in done), 6),
            "saved": {name: value if name in self.show else None for name, value in values.items()},
        }

    @staticmethod
    def _taken(ctx: Context, step: FlowRequest, values: dict[str, Any], done: list[Facts]) -> dict[str, Any]:
        """Send one request, append its result to ``done``, and return the values that the step saves. Raises _Unexpected."""
        answer = _sent(ctx, step, values)
        done.append(
            {
                "name": step.called,
                "status": answer.status,
                "seconds": round(answer.seconds, 6),
                "bytes": len(answer.body),
            }
        )
        _compare(step, answer, values)
        return _saved(step, answer)


class _Unexpected(Exception):
    """Raised when an answer differs from the expected one."""

    def __init__(self, wanted: str, measured: str) -> None:
        super().__init__(measured)
        self.wanted, self.measured = wanted, measured


def _sent(ctx: Context, step: FlowRequest, values: dict[str, Any]) -> Answer:
    headers = {key: placeholders.text(value, values) for key, value in step.headers.items()}
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
        )
    except (OSError, ValueError) as error:
        raise _Unexpected(f"status {step.status}", f"no answer: {error}") from None


def _compare(step: FlowRequest, answer: Answer, values: dict[str, Any]) -> None:
    said = excerpt(answer.body, limit=200)
    if answer.status != step.status:
        raise _Unexpected(f"status {step.status}", f"status {answer.status}: {said}")
    if step.contains is not None and placeholders.text(step.contains, values).encode() not in answer.body:
        if not answer.complete:
            raise CouldNotVerify(f"the answer of {step.called} is longer than {BODY_LIMIT} bytes; the rest was not read")
        raise _Unexpected(f"contains {step.contains!r}", f"it does not contain {step.contains!r}: {said}")


def _saved(step: FlowRequest, answer: Answer) -> dict[str, Any]:
    """Return the values of ``answer`` that ``step`` saves, by name. Raises _Unexpected."""
    if not step.save:
        return {}
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise _Unexpected("an answer in JSON", f"the answer is not JSON: {excerpt(answer.body, limit=200)}") from None
    found = {}
    for name, path in step.save.items():
        try:
            found[name] = placeholders.follow(data, path)
        except LookupError as error:
            raise _Unexpected(f"a value at {path}", f"the answer has no single value at {path}: {error.args[0]}") from None
    return found

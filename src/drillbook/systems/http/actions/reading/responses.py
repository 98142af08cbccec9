"""Actions that send a request and check the answer, or read a service's report about its health."""

from __future__ import annotations

import ssl
from statistics import median
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.health import HealthRequest
from drillbook.sdk.host import excerpt, printable
from drillbook.sdk.service import Http
from drillbook.sdk.web import BODY_LIMIT, Answer
from drillbook.systems.http.actions.fields import Contains, Headers, Method, Status, Url, facts_of, requested
from drillbook.values import Secret


class Responds(Read):
    """Send one request and check the status of the answer.

    If `contains` is set, also check that the body contains this text.
    """

    PLACE = Place.CONTROLLER
    TIMEOUT = 30.0

    url: Url
    method: Method = "GET"
    headers: Headers = Field(default_factory=dict)
    body: Annotated[str, Field(description="Request body.")] = ""
    status: Status = 200
    contains: Contains = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``status``, ``seconds``, ``bytes``, ``body`` (its first 2,000 characters), ``json`` if the body is valid
        JSON.
        """
        try:
            answer = requested(ctx, self.url, method=self.method, headers=self.headers, body=self.body.encode())
        except OSError as error:
            raise _unexpected(self.url, f"does not answer: {error}", f"status {self.status}", str(error), {}) from None
        facts = facts_of(answer)
        if answer.status != self.status:
            what, measured = f"answered {answer.status}, expected {self.status}", f"status {answer.status}"
            raise _unexpected(self.url, what, f"status {self.status}", measured, facts)
        if self.contains is not None and self.contains.encode() not in answer.body:
            if not answer.complete:
                raise CouldNotVerify(f"the answer of {self.url} is longer than {BODY_LIMIT} bytes; the rest was not read")
            raise _without(self.url, self.contains, f"contains {self.contains!r}", facts)
        return facts


def _unexpected(url: str, what: str, wanted: str, measured: str, facts: Facts) -> StepFailed:
    """Return the error for an unexpected answer. Its message consists of the URL and the text ``what``."""
    return StepFailed(
        f"{url} {what}",
        facts=facts,
        findings=[finding("http-unexpected", title=url, wanted=wanted, measured=measured)],
    )


def _without(url: str, text: str, wanted: str, facts: Facts) -> StepFailed:
    """Return the error for an answer whose body does not contain ``text``. The body itself is in ``facts``."""
    return _unexpected(url, f"answers without {text!r}", wanted, f"status {facts['status']}, a body without {text!r}", facts)


class Health(Read):
    """Request the health report of a service, compare it with a healthy report, and find failing dependencies.

    Set either `service` or `url`. In the inventory, the field `health` of a service describes the request and the healthy
    answer. Two forms of reports are supported. In the first form, the mapping `failing` has the name of each failing
    dependency as the key, and a message as the value. In the second form, one of the mappings `dependencies`, `checks`,
    `components`, `services` and `details` has the name of each dependency as the key, and its state as the value. A
    state is a text, or a mapping with `status` or `state`.
    """

    PLACE = Place.CONTROLLER
    TIMEOUT = 15.0

    service: Annotated[str | None, Field(description="HTTP service in the inventory. Set either `service` or `url`.")] = None
    url: Annotated[Url | None, Field(description="URL, as seen from the controller. Set either `url` or `service`.")] = None
    times: Annotated[
        int,
        Field(
            ge=1,
            le=20,
            description=("Number of requests to send. All must be answered, and the last answer must be healthy."),
        ),
    ] = 1

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if (self.service is None) == (self.url is None):
            raise ValueError("name either `service` or `url`")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``answered``, ``status``, ``seconds``, ``state``, ``failing``, ``reasons``, ``why``, ``median_s``.

        ``median_s`` is the median time of all answers. All other facts describe the last answer. ``failing`` lists the
        failing dependencies. ``reasons`` has the name of each failing dependency as the key, and its message as the
        value. ``why`` is the reason when there was no answer. When the body lacks the expected text, ``body`` is its
        beginning.
        """
        request, url = self._request(ctx)
        headers = {name: value.reveal() if isinstance(value, Secret) else value for name, value in request.headers.items()}
        try:
            answers = [requested(ctx, url, headers=headers, ca=request.ca) for _ in range(self.times)]
        except OSError as error:
            why = printable(str(error), limit=300)
            raise _unexpected(url, f"does not answer: {why}", "an answer", why, _unanswered(why)) from None
        answer = answers[-1]
        body = facts_of(answer).get("json")
        reasons = _failing(body) if isinstance(body, dict) else {}
        state = excerpt(str(body.get("status", "")), limit=60) if isinstance(body, dict) else ""
        facts = {
            "answered": True,
            "status": answer.status,
            "seconds": round(answer.seconds, 6),
            "state": state,
            "failing": sorted(reasons),
            "reasons": reasons,
            "why": "",
            "median_s": round(median(reply.seconds for reply in answers), 6),
        }
        if not _has_status(answer, request) or reasons:
            said = f"status {answer.status} {state}; failing: {', '.join(sorted(reasons)) or 'none was named'}"
            raise _unexpected(url, f"reports that it is not healthy: {said}", _healthy(request), said, facts)
        if request.contains.encode() not in answer.body:
            raise _without(url, request.contains, _healthy(request), {**facts, "body": facts_of(answer)["body"]})
        return facts

    def ready(self, ctx: Context) -> None:
        """Check that the CA certificates of the service's field `health` can be read."""
        if not (self.known("service") and self.known("url")):
            return
        request, url = self._request(ctx)
        try:
            if request.ca and url.startswith("https:"):
                ssl.create_default_context(cafile=request.ca)
        except OSError as error:
            ctx.lacking(
                NotReady(
                    f"{self.service}: the CA certificates in {request.ca} cannot be read: {error}",
                    hint="correct `health.ca` of the service in the inventory; the file is on the controller",
                )
            )

    def _request(self, ctx: Context) -> tuple[HealthRequest, str]:
        """Return the health request, and the URL to which it is sent."""
        if self.service is None:
            return HealthRequest(), str(self.url)
        service = ctx.service(self.service, Http)
        request = service.health or HealthRequest()
        return request, request.url(service.url)


def _has_status(answer: Answer, request: HealthRequest) -> bool:
    return answer.status < 400 if request.status is None else answer.status == request.status


def _healthy(request: HealthRequest) -> str:
    """Describe in words the answer of a healthy service, for messages."""
    status = "a status below 400" if request.status is None else f"status {request.status}"
    return f"{status}{f' with {request.contains!r}' if request.contains else ''}, and no failing dependency"


def _unanswered(why: str) -> Facts:
    """Return the facts of ``Health`` for a service that does not answer. ``why``: the reason."""
    return {
        "answered": False,
        "status": None,
        "seconds": None,
        "state": "",
        "failing": [],
        "reasons": {},
        "why": why,
        "median_s": None,
    }


_GOOD = ("up", "ok", "healthy", "pass", "passing", "true", "connected", "alive", "green", "running")


def _failing(body: dict[str, Any]) -> dict[str, str]:
    """Return the failing dependencies in a health report. The key of each entry is the name of the dependency, and the value
    is its message.
    """
    message_by_name: dict[str, str] = {}
    for part in ("dependencies", "checks", "components", "services", "details"):
        for name, value in body[part].items() if isinstance(body.get(part), dict) else ():
            word = value.get("status", value.get("state", "")) if isinstance(value, dict) else value
            if word not in ("", None) and str(word).lower() not in _GOOD:
                message_by_name[str(name)] = str(word)
    failing = body.get("failing")
    message_by_name |= {str(name): str(why) for name, why in failing.items()} if isinstance(failing, dict) else {}
    return {printable(name, limit=80): printable(why, limit=200) for name, why in list(message_by_name.items())[:20]}

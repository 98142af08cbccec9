"""HTTP as a client sees it."""

from __future__ import annotations

import json
from statistics import median
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady, PlanError, StepFailed
from drillbook.findings import finding
from drillbook.language import placeholders
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.host import excerpt, printable
from drillbook.sdk.manager import manager_of
from drillbook.sdk.service import Http
from drillbook.sdk.web import BODY_LIMIT, Answer, ask
from drillbook.systems.http import load, requestlog
from drillbook.values import Duration

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
            answer = ask(
                self.url,
                timeout=max(0.1, min(10.0, ctx.deadline.remaining())),
                method=self.method,
                headers=self.headers,
                body=self.body.encode(),
            )
        except OSError as error:
            raise StepFailed(
                f"{self.url} does not answer: {error}",
                findings=[finding("http-unexpected", title=self.url, wanted=f"status {self.status}", measured=str(error))],
            ) from None
        facts = _facts(answer)
        if answer.status != self.status:
            raise StepFailed(
                f"{self.url} answered {answer.status}, not {self.status}: {facts['body'][:200]}",
                facts=facts,
                findings=[
                    finding(
                        "http-unexpected",
                        title=self.url,
                        wanted=f"status {self.status}",
                        measured=f"status {answer.status}: {facts['body'][:200]}",
                    )
                ],
            )
        if self.contains is not None and self.contains.encode() not in answer.body:
            if not answer.complete:
                raise CouldNotVerify(f"the answer of {self.url} is longer than {BODY_LIMIT} bytes; its rest was not read")
            raise StepFailed(
                f"the answer of {self.url} does not contain {self.contains!r}",
                facts=facts,
                findings=[
                    finding(
                        "http-unexpected", title=self.url, wanted=f"contains {self.contains!r}", measured=facts["body"][:200]
                    )
                ],
            )
        return facts


def _facts(answer: Answer) -> Facts:
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


class Health(Read):
    """Ask a service how it is, and read from its answer in JSON which of its dependencies fail.

    Understood are a mapping `failing`, and mappings `dependencies`, `checks`, `components`, `services` or `details` of
    name to state, a text or a mapping with `status`.
    """

    PLACE = Place.CONTROLLER
    TIMEOUT = 15.0

    url: Url
    times: Annotated[int, Field(ge=1, le=20, description="How often it is asked; what the last answer says counts.")] = 1

    def run(self, ctx: Context) -> Facts:
        """Facts: ``answered status seconds state failing`` (names), ``reasons`` (by name), ``why`` it does not answer, all
        of the last answer; ``median_s`` (of all answers).
        """
        took: list[float] = []
        try:
            for _ in range(self.times):
                answer = ask(self.url, timeout=max(0.1, min(10.0, ctx.deadline.remaining())))
                took.append(answer.seconds)
        except OSError as error:
            why = printable(str(error), limit=300)
            facts: Facts = {
                "answered": False,
                "status": None,
                "seconds": None,
                "state": "",
                "failing": [],
                "reasons": {},
                "why": why,
                "median_s": None,
            }
            raise StepFailed(
                f"{self.url} does not answer: {why}",
                facts=facts,
                findings=[finding("http-unexpected", title=self.url, wanted="an answer", measured=why)],
            ) from None
        body = _facts(answer).get("json")
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
            "median_s": round(median(took), 6),
        }
        if answer.status >= 400 or reasons:
            said = f"status {answer.status} {state}; failing: {', '.join(sorted(reasons)) or 'not said'}"
            raise StepFailed(
                f"{self.url} is not well: {said}",
                facts=facts,
                findings=[finding("http-unexpected", title=self.url, wanted="a healthy service", measured=said)],
            )
        return facts


_GOOD = ("up", "ok", "healthy", "pass", "passing", "true", "connected", "alive", "green", "running")


def _failing(body: dict[str, Any]) -> dict[str, str]:
    """Dependencies that fail by name, each with what is said of it."""
    found: dict[str, str] = {}
    for part in ("dependencies", "checks", "components", "services", "details"):
        for name, value in body[part].items() if isinstance(body.get(part), dict) else ():
            word = value.get("status", value.get("state", "")) if isinstance(value, dict) else value
            if word not in ("", None) and str(word).lower() not in _GOOD:
                found[str(name)] = str(word)
    failing = body.get("failing")
    found |= {str(name): str(why) for name, why in failing.items()} if isinstance(failing, dict) else {}
    return {printable(name, limit=80): printable(why, limit=200) for name, why in list(found.items())[:20]}


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def _path(text: str) -> str:
    if not all(text.split(".")):
        raise ValueError(f"{text!r} is no path into an answer; write it as `documents.0.id`")
    return text


class FlowRequest(BaseModel):
    """One request of a flow; ``${name}`` stands for a value of an earlier answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(description="What it is called in the report; empty: method and URL.")] = ""
    url: Url
    method: Annotated[str, Field(pattern=r"^[A-Z]+$", description="Method.")] = "GET"
    headers: Annotated[dict[str, str], Field(description="Request headers.")] = Field(default_factory=dict)
    body: Annotated[str | dict[str, Any] | list[Any], Field(description="Request body; if not text, sent as JSON.")] = ""
    status: Annotated[int, Field(ge=100, le=599, description="The wanted status.")] = 200
    save: Annotated[
        dict[Name, Annotated[str, AfterValidator(_path)]],
        Field(description="Values to take from the answer, which is JSON: name to path, such as `id: documents.0.id`."),
    ] = Field(default_factory=dict)
    contains: Annotated[str | None, Field(description="Text that the answer must contain.")] = None

    @property
    def called(self) -> str:
        """Its name; the URL as it is written, so that no value of an answer stands in it."""
        return self.name or f"{self.method} {self.url}"


class Flow(Read):
    """Send several requests one after another, as a client works; values of an answer are used in later requests."""

    PLACE = Place.CONTROLLER
    TIMEOUT = 60.0

    steps: Annotated[tuple[FlowRequest, ...], Field(min_length=1, description="The requests, in order.")]
    show: Annotated[tuple[Name, ...], Field(description="Saved values that may stand in the report.")] = ()

    @model_validator(mode="after")
    def _saved_before(self) -> Self:
        saved: set[str] = set()
        for step in self.steps:
            used = placeholders.names([step.url, step.headers, step.body, step.contains])
            if unknown := sorted(used - saved):
                raise ValueError(f"{step.called}: no earlier request saves {unknown[0]!r}")
            saved |= step.save.keys()
        if unknown := sorted(set(self.show) - saved):
            raise ValueError(f"`show` names {unknown[0]!r}, which no request saves")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``requests`` (``name status seconds bytes`` of each), ``saved`` (values only of `show`), ``seconds``."""
        values: dict[str, Any] = {}
        done: list[Facts] = []
        for number, step in enumerate(self.steps, 1):
            facts = {
                "requests": done,
                "seconds": round(sum(one["seconds"] for one in done), 6),
                "saved": {name: values[name] if name in self.show else None for name in values},
            }
            try:
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
                values |= _taken(step, answer)
            except _Unexpected as error:
                hidden = [str(value) for name, value in values.items() if name not in self.show]
                measured = placeholders.hide(error.measured, hidden)
                raise StepFailed(
                    f"request {number} of {len(self.steps)}, {step.called}: {measured}",
                    facts=facts,
                    findings=[finding("http-unexpected", title=step.called, wanted=error.wanted, measured=measured)],
                ) from None
        return {
            "requests": done,
            "seconds": round(sum(one["seconds"] for one in done), 6),
            "saved": {name: value if name in self.show else None for name, value in values.items()},
        }


class _Unexpected(Exception):
    """An answer is not the wanted one."""

    def __init__(self, wanted: str, measured: str) -> None:
        super().__init__(measured)
        self.wanted, self.measured = wanted, measured


def _sent(ctx: Context, step: FlowRequest, values: dict[str, Any]) -> Answer:
    headers = {key: placeholders.text(value, values) for key, value in step.headers.items()}
    body = placeholders.fill(step.body, values)
    if not isinstance(step.body, str):
        headers = {"Content-Type": "application/json"} | headers
    try:
        return ask(
            placeholders.url(step.url, values),
            timeout=max(0.1, min(10.0, ctx.deadline.remaining())),
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
            raise CouldNotVerify(f"the answer of {step.called} is longer than {BODY_LIMIT} bytes; its rest was not read")
        raise _Unexpected(f"contains {step.contains!r}", f"it does not contain {step.contains!r}: {said}")


def _taken(step: FlowRequest, answer: Answer) -> dict[str, Any]:
    """The values that ``step`` saves of its answer."""
    if not step.save:
        return {}
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise _Unexpected("an answer in JSON", f"the answer is no JSON: {excerpt(answer.body, limit=200)}") from None
    found = {}
    for name, path in step.save.items():
        try:
            found[name] = placeholders.follow(data, path)
        except LookupError as error:
            raise _Unexpected(f"a value at {path}", f"the answer has no single value at {path}: {error.args[0]}") from None
    return found


class Serve(Write):
    """Start the unit of a service for the time of this drill and wait until it answers; it is stopped at the end."""

    SERVICE = Http
    UNDO = ("commands",)

    service: Annotated[str, Field(description="The HTTP service in the inventory; it must name its unit.")]
    path: Annotated[str, Field(pattern=r"^/", description="What to ask for, below the URL of the service.")] = "/"
    status: Annotated[int, Field(ge=100, le=599, description="The status that counts as an answer.")] = 200

    def run(self, ctx: Context) -> Facts:
        """Facts: ``unit``, ``pid``, ``url``, ``seconds`` until the first good answer."""
        service, manager, begun = ctx.service(self.service, Http), manager_of(ctx.host), ctx.deadline.remaining()
        seen = manager.ensure(ctx.host, service.unit, "running", ctx.deadline)
        url, last = f"{service.url}{self.path}", "it was not asked"
        while ctx.deadline.remaining() > 0.2:
            try:
                answer = ask(url, timeout=max(0.1, min(2.0, ctx.deadline.remaining())))
                if answer.status == self.status:
                    return {
                        "unit": service.unit,
                        "pid": seen.pid,
                        "url": url,
                        "seconds": round(begun - ctx.deadline.remaining(), 3),
                    }
                last = f"status {answer.status}: {excerpt(answer.body, limit=200)}"
            except OSError as error:
                last = str(error)
            ctx.deadline.wait(0.1)
        raise StepFailed(
            f"{url} does not serve: {last}",
            findings=[finding("http-unexpected", title=url, wanted=f"status {self.status}", measured=last)],
        )

    def ready(self, ctx: Context) -> None:
        """The service manager must know the unit, and it must not run: it would be stopped at the end."""
        service = ctx.service(self.service, Http)
        if not service.unit:
            raise NotReady(f"the service {self.service!r} names no `unit` in the inventory", hint="add `unit:`")
        try:
            seen = manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None
        if seen.state == "running":
            raise NotReady(
                f"{ctx.host.name}: {service.unit} runs already; a drill would stop it at its end",
                hint="use `service.start` for a service that is to stay, or stop it",
            )

    def undo(self, ctx: Context) -> Undo:
        """Stop the unit; its end is what was before."""
        return Undo.by_commands(manager_of(ctx.host).stop(ctx.service(self.service, Http).unit))

    def active(self, ctx: Context) -> bool:
        """True while the unit runs."""
        state = manager_of(ctx.host).state(ctx.host, ctx.service(self.service, Http).unit, ctx.deadline).state
        return state not in ("stopped", "failed")


class Load(Read):
    """Send one request again and again at a fixed rate, open loop, as users do who do not wait for each other.

    A latency counts from when its request was due. A request without an answer, or with a status from 400 on, is an error
    and counts as never answered: `p95_s` is the time within which 95 % of all requests were answered well, and null when
    fewer were. What it must be stands in the step's `expect`, such as `result.p95_s < 0.5`.
    """

    PLACE = Place.CONTROLLER
    TIMEOUT = 900.0

    service: Annotated[str | None, Field(description="The HTTP service in the inventory; or give `url`.")] = None
    url: Annotated[Url | None, Field(description="Root URL, as the controller reaches it, in place of `service`.")] = None
    path: Annotated[str, Field(pattern=r"^/", description="What to ask for, below the URL.")] = "/"
    method: Annotated[Literal["GET", "HEAD"], Field(description="Method; only those that change nothing.")] = "GET"
    rate: Annotated[float, Field(gt=0, le=200, description="Requests a second.")] = 10.0
    seconds: Annotated[Duration, Field(gt=0, le=600, description="How long, such as `10s`.")] = Duration(10.0)
    patience: Annotated[Duration, Field(gt=0, le=60, description="Without an answer by then: an error.")] = Duration(1.0)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (self.service is None) == (self.url is None):
            raise ValueError("name either `service` or `url`")
        if self.rate * self.patience > load.MOST_AT_ONCE:
            raise ValueError(
                f"`rate` times `patience` is the number of requests that can be under way at once; "
                f"{self.rate * self.patience:.0f} are more than {load.MOST_AT_ONCE}"
            )
        if self.rate * self.seconds > load.MOST_REQUESTS:
            raise ValueError(f"{self.rate * self.seconds:.0f} requests are more than {load.MOST_REQUESTS}")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``requests answered good errors error_share p50_s p95_s p99_s`` (each share and latency with the 95 %
        interval ``_low`` ``_high``, null where the sample is too small), ``max_s``, ``late_s`` (the most by which the
        controller itself was late: part of the latencies), ``statuses``, ``problems``, ``url``, ``rate``, ``seconds``.
        """
        url = (self.url or ctx.service(str(self.service), Http).url) + self.path
        if ctx.deadline.remaining() < self.seconds:
            raise PlanError(f"the step's timeout is shorter than {self.seconds} of load", hint="give it a longer `timeout`")

        def send() -> int:
            return ask(url, timeout=float(self.patience), method=self.method).status

        samples = load.offer(send, rate=self.rate, seconds=float(self.seconds), deadline=ctx.deadline)
        return {"url": url, "rate": self.rate, "seconds": float(self.seconds), **load.summary(samples)}


class _OfLog(Read):
    """What the actions that read a service's access log share."""

    SERVICE = Http

    service: Annotated[str, Field(description="The HTTP service in the inventory.")]
    last: Annotated[Duration, Field(gt=0, le=86400, description="How far back, by the host's clock.")] = Duration(300.0)

    def ready(self, ctx: Context) -> None:
        """The log must be there and readable."""
        try:
            requestlog.readable(ctx, ctx.service(self.service, Http))
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None


class Slowest(_OfLog):
    """Which requests took longest of late, by the access log of the service: per endpoint count, median, p95, maximum.

    The log is `access_log` of the service, or what its service manager keeps of it. A line needs a time, the request, its
    status and its duration: `2026-03-01 10:20:30 GET /x status=200 duration=0.012` (or `took= elapsed= latency= rt=
    request_time= duration_ms=`), or the common or combined format with nginx's `$request_time` or `12ms` at its end.
    uvicorn's own has no duration. Times without a zone are the host's. Figures are those of the service's own clock.
    """

    def run(self, ctx: Context) -> Facts:
        """Facts: ``count p50_s p95_s p95_s_low p95_s_high max_s server_errors`` of all; ``slowest`` (an endpoint),
        ``endpoints`` (the same of each, slowest first), ``slowest_requests``; ``complete`` (false: only the newest part of
        the time was read), ``last_s``, ``resolution_s`` (of a logged figure), ``other_lines``.
        """
        return requestlog.slowest(ctx, ctx.service(self.service, Http), float(self.last))


class Errors(_OfLog):
    """Which requests failed of late by the server's fault (5xx), per endpoint, by the log that `http.slowest` reads."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``count server_errors statuses last_failed`` of all, ``broken`` (5xx but 502, 503 and 504, by which a
        service says that it is not available), ``broken_share`` of the count; ``endpoints`` that failed, the same of each.
        """
        return requestlog.errors(ctx, ctx.service(self.service, Http), float(self.last))

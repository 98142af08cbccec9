"""Action `http.load`: send requests at a fixed rate."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drillbook.errors import PlanError
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.service import Http
from drillbook.sdk.web import ask
from drillbook.systems.http import load
from drillbook.systems.http.actions.fields import Url
from drillbook.values import Duration


class Load(Read):
    """Send one request repeatedly at a fixed rate, as independent users would.

    No request waits for the answer to another request. A latency is measured from the time at which its request was
    due. A request without an answer, or with a status of 400 or above, is an error and counts as never answered. Thus
    `p95_s` is the time within which 95 % of all requests had a good answer. `p95_s` is null when fewer than 95 % of the
    requests had a good answer.
    Too many errors or high latencies do not fail the step by themselves. For this, write a condition in the step's
    `expect`, such as `result.p95_s < 0.5`.
    """

    PLACE = Place.CONTROLLER
    TIMEOUT = 900.0

    service: Annotated[str | None, Field(description="HTTP service in the inventory. Set either `service` or `url`.")] = None
    url: Annotated[
        Url | None, Field(description="Root URL, as seen from the controller. Set either `url` or `service`.")
    ] = None
    path: Annotated[str, Field(pattern=r"^/", description="Path of the requests, after the root URL.")] = "/"
    method: Annotated[
        Literal["GET", "HEAD"], Field(description="HTTP method. Only methods that change nothing are allowed.")
    ] = "GET"
    rate: Annotated[float, Field(gt=0, le=200, description="Requests per second.")] = 10.0
    seconds: Annotated[Duration, Field(gt=0, le=600, description="Duration of the load, such as `10s`.")] = Duration(10.0)
    patience: Annotated[
        Duration,
        Field(
            gt=0,
            le=60,
            description="Time within which a request must be answered. A request that has no answer by then is an error.",
        ),
    ] = Duration(1.0)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (self.service is None) == (self.url is None):
            raise ValueError("set either `service` or `url`")
        if self.rate * self.patience > load.MOST_AT_ONCE:
            raise ValueError(
                f"`rate` times `patience` is the number of requests that can be under way at once; "
                f"{self.rate * self.patience:.0f} are more than the maximum of {load.MOST_AT_ONCE}"
            )
        if self.rate * self.seconds > load.MOST_REQUESTS:
            raise ValueError(f"{self.rate * self.seconds:.0f} requests are more than the maximum of {load.MOST_REQUESTS}")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``requests`` (number of all requests), ``answered`` (number of answers), ``good`` (number of answers with
        a status below 400), ``errors`` (number of requests without a good answer), ``error_share`` (``errors`` divided by
        ``requests``).

        ``p50_s``, ``p95_s`` and ``p99_s`` are percentiles of the latency of all requests. In these percentiles, a request
        without a good answer counts as if its latency were infinite. ``max_s`` is the longest latency of a good answer. Each
        percentile and ``error_share`` have a 95 % interval. The bounds of this interval are facts with the suffixes
        ``_low`` and ``_high``, such as ``p50_s_low``. A bound is null when the sample is too small.

        The controller may send a request too late. ``late_s`` is the longest of these delays. Latencies include them.
        ``statuses`` has the number of answers with each status. ``problems`` has the most frequent errors, each with the
        number of its requests. The other facts are ``url``, ``rate``, ``seconds``.
        """
        url = (self.url or ctx.service(str(self.service), Http).url) + self.path
        if ctx.deadline.remaining() < self.seconds:
            raise PlanError(
                f"the step's timeout is shorter than the load, which lasts {self.seconds}",
                hint="set a longer `timeout` for the step",
            )

        def send() -> int:
            return ask(url, timeout=float(self.patience), method=self.method).status

        samples = load.offer(send, rate=self.rate, seconds=float(self.seconds), deadline=ctx.deadline)
        return {"url": url, "rate": self.rate, "seconds": float(self.seconds), **load.summary(samples)}

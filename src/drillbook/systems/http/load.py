"""Sends requests at a fixed rate (open loop). No request waits for the answer to another request. The latency of a request
counts from the time at which the request is due.

In a closed loop, each client waits for an answer before it sends its next request. Clients then send fewer requests to a
slow server, and this hides the latency (Gil Tene's "coordinated omission"). Times are from the controller's monotonic
clock.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from drillbook.sdk.host import Deadline
from drillbook.statistics.quantiles import quantile, share

MOST_AT_ONCE = 200
"""Maximum number of requests that may wait for an answer at the same time."""
MOST_REQUESTS = 100_000
KINDS = 5
"""Number of different failures to report. The most frequent failures are reported."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of the load.

    ``late``: seconds from the time when the request was due until it was sent. ``seconds``: seconds from the time when the
    request was due until its answer. ``status`` is None when there was no answer, and ``problem`` is then the error.
    """

    late: float
    seconds: float
    status: int | None
    problem: str = ""

    @property
    def good(self) -> bool:
        """True when the request was answered with a status below 400."""
        return self.status is not None and self.status < 400


def offer(send: Callable[[], int], *, rate: float, seconds: float, deadline: Deadline) -> list[Sample]:
    """Call ``send`` again and again, each time in another thread. ``rate``: number of calls in each second. ``seconds``: time
    for which calls are made. Return a sample for each call.

    ``send`` returns a status, or raises OSError. At the deadline, or when the run is stopped, the function waits for the
    requests in progress, and then raises TimeoutError or Cancelled.
    """
    count = max(1, round(rate * seconds))
    begun = time.monotonic()

    def request(due: float) -> Sample:
        late = time.monotonic() - due
        try:
            status = send()
        except OSError as error:
            return Sample(late, time.monotonic() - due, None, error.strerror or str(error) or type(error).__name__)
        return Sample(late, time.monotonic() - due, status)

    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE, thread_name_prefix="load") as pool:
        under_way = []
        for number in range(count):
            due = begun + number / rate
            deadline.wait(max(0.0, due - time.monotonic()))
            under_way.append(pool.submit(copy_context().run, request, due))
        return [future.result() for future in under_way]


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return facts about ``samples``: numbers of requests, the share of errors, and latencies with their 95 %
    intervals.

    A request without a good answer counts as never answered. Thus the 95th percentile is the time within which 95 % of
    all requests had a good answer. It is None when fewer than 95 % of the requests had a good answer.
    """
    ordered = sorted(sample.seconds if sample.good else math.inf for sample in samples)
    good = [sample.seconds for sample in samples if sample.good]
    facts: dict[str, Any] = {
        "requests": len(samples),
        "answered": sum(sample.status is not None for sample in samples),
        "good": len(good),
        "errors": len(samples) - len(good),
        **_estimate("error_share", share(len(samples) - len(good), len(samples))),
        "statuses": dict(sorted(Counter(str(sample.status) for sample in samples if sample.status is not None).items())),
        "problems": dict(Counter(sample.problem for sample in samples if sample.problem).most_common(KINDS)),
    }
    for name, q in (("p50_s", 0.5), ("p95_s", 0.95), ("p99_s", 0.99)):
        facts |= _estimate(name, quantile(ordered, q))
    late = sorted(sample.late for sample in samples)
    return facts | {"max_s": _rounded(max(good, default=None)), "late_s": _rounded(late[-1] if late else None)}


def _estimate(name: str, estimate: Any) -> dict[str, float | None]:
    return {
        name: _rounded(estimate and estimate.value),
        f"{name}_low": _rounded(estimate and estimate.low),
        f"{name}_high": _rounded(estimate and estimate.high),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)

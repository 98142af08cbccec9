"""Actions that find slow and failed requests in the access log of a service."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.service import Http
from drillbook.systems.http import requestlog
from drillbook.values import Duration


class _OfLog(Read):
    """Base of actions that read a service's access log."""

    SERVICE = Http

    service: Annotated[str, Field(description="Name of the HTTP service in the inventory.")]
    last: Annotated[
        Duration, Field(gt=0, le=86400, description="Maximum age of the requests to read, according to the host's clock.")
    ] = Duration(300.0)

    def ready(self, ctx: Context) -> None:
        """Check that the log is readable."""
        try:
            requestlog.readable(ctx, ctx.service(self.service, Http))
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None


class Slowest(_OfLog):
    """Find the slowest recent requests in the access log of the service.

    Shows count, median, p95 and maximum for each endpoint.

    The log is the file `access_log` of the service, or the service's log in the service manager. The durations are those
    that the service itself measured and logged. Each line needs a time, the request, its status and its duration:
    `2026-03-01 10:20:30 GET /x status=200 duration=0.012`. Other accepted names of the duration are `took=`, `elapsed=`,
    `latency=`, `rt=`, `request_time=` and `duration_ms=`. The common or combined format is also accepted if each line ends
    with nginx's `$request_time` or with a text such as `12ms`. The default format of uvicorn is not accepted, because it
    has no duration. Times without a zone are taken to be in the host's zone.
    """

    def run(self, ctx: Context) -> Facts:
        """Facts: ``count`` (number of requests), ``p50_s`` and ``p95_s`` (median and 95th percentile of the durations),
        ``p95_s_low`` and ``p95_s_high`` (95 % interval of ``p95_s``), ``max_s`` (longest duration), ``server_errors``
        (number of answers with a status 5xx). These figures are for all requests together.

        ``endpoints`` lists the slowest endpoints, each with the same figures. ``endpoints_count`` is the number of all
        endpoints, and ``slowest`` the name of the slowest endpoint. ``slowest_requests`` lists single requests.

        The other facts are about the log: ``complete`` (false when the log was too large and only its newest part was
        read), ``last_s`` (length of the period), ``resolution_s`` (resolution of the logged durations), ``other_lines``
        (number of lines without a request).
        """
        return requestlog.slowest(ctx, ctx.service(self.service, Http), float(self.last))


class Errors(_OfLog):
    """Find recent requests with server errors (5xx), grouped by endpoint. Reads the same log as `http.slowest`."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``count`` (number of all requests), ``server_errors`` (number of answers with a status 5xx), ``statuses``,
        ``last_failed``, ``broken``, ``broken_share``, ``endpoints``, ``endpoints_count``.

        ``statuses`` has the number of answers with each status 5xx. ``last_failed`` is the newest request with such an
        answer. ``broken`` is the number of server errors that point to a bug of the service. The statuses 502, 503 and 504
        do not count, because they report an unavailable service. ``broken_share`` is ``broken`` divided by ``count``.

        ``endpoints`` lists the endpoints with the most server errors, each with the same figures. ``endpoints_count`` is
        the number of all endpoints with server errors. The facts ``complete``, ``last_s`` and ``other_lines`` are as in
        `http.slowest`.
        """
        return requestlog.errors(ctx, ctx.service(self.service, Http), float(self.last))

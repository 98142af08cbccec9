"""Middleware that records the duration of every request in the access log and the metrics."""

from __future__ import annotations

import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drillbook.lab.app.metrics import Metrics
from drillbook.lab.app.switches import Switches

_log = logging.getLogger("access")


class Access:
    """ASGI middleware that times requests."""

    def __init__(self, app: ASGIApp, metrics: Metrics, switches: Switches) -> None:
        """Wrap the ASGI application ``app``. The faults in ``switches`` apply to every request."""
        self._app = app
        self._switches = switches
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application, and record the status and the duration of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._switches.remember()
        started = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._switches.stumble(scope["path"])
            await self._app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.observe(scope["method"], _route(scope), status, seconds)
            _log.info("%s %s status=%d duration=%.4f", scope["method"], scope["path"], status, seconds)


def _route(scope: dict[str, Any] | Scope) -> str:
    """Return the pattern of the request's path, such as ``/api/v1/documents/{number}``.

    All documents are thus counted in one metric.
    """
    route = scope.get("route")
    return str(getattr(route, "path", "other"))

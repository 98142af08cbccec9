"""Recognises web servers and application servers on a host. Each is asked once for its page ``/``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from drillbook.sdk import web
from drillbook.sdk.looks import Entry, Look, Recognised, remark, unit_line

TRY_S = 3.0
"""Time limit, in seconds, of the request to a web server that was found."""


class HttpLook(Look):
    """Web servers and application servers."""

    PROGRAMS = (
        "nginx",
        "apache2",
        "httpd",
        "caddy",
        "haproxy",
        "gunicorn*",
        "uvicorn*",
        "hypercorn",
        "node",
        "puma",
    )
    RISK = 0

    def asked(self, service: Recognised, address: str) -> int | None:
        """Request the page ``/`` from the controller. Returns the HTTP status, or None when there is no answer. A server
        that listens on loopback only is not asked.
        """
        if service.loopback:
            return None
        try:
            return web.ask(f"{_url(address, service.port)}/", timeout=TRY_S).status
        except OSError:
            return None

    def fields(self, service: Recognised, entry: Entry) -> Iterator[str]:
        """Yield the lines that describe a server in the inventory, and a comment with the status of its answer."""
        status = entry.answered
        note = (
            f"answered the controller with status {status}"
            if status
            else "did not answer the controller; write a URL that the controller can reach"
        )
        if service.loopback:
            note = "listens on loopback only, so the controller did not ask it; write a URL that the controller can reach"
        yield f"url: {json.dumps(_url(entry.address, service.port))}{remark(note)}"
        yield f"health: {{path: /{'' if status in (None, 200) else f', status: {status}'}}}"
        yield f"port: {service.port}"
        yield unit_line(service.unit)


def _url(address: str, port: int) -> str:
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


LOOKS = {"http": HttpLook()}

"""One HTTP request over a new connection, with a deadline for all of it: what probes and checks need, and no more."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

BODY_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; ``complete`` is False when the body was longer than the limit."""

    status: int
    body: bytes
    seconds: float
    complete: bool


def ask(url: str, *, timeout: float, method: str = "GET", headers: Mapping[str, str] | None = None,
        body: bytes = b"", limit: int = BODY_LIMIT) -> Answer:
    """Send one request on a connection of its own, without proxy, cookies or redirects.

    ``timeout`` is in seconds and holds for the whole exchange. Raises OSError (TimeoutError included) when there is
    no answer by then, or none that is HTTP.
    """
    start = time.monotonic()
    parts = urlsplit(url)
    if parts.hostname is None:
        raise OSError(f"{url!r} names no host")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout,
                                                 context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body=body or None, headers={"User-Agent": "drillbook", **(headers or {})})
        _tighten(connection, start, timeout)
        response = connection.getresponse()
        data = _body(response, connection, start, timeout, limit)
        return Answer(response.status, data[:limit], time.monotonic() - start, len(data) <= limit)
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {type(error).__name__} {error}".rstrip()) from None
    finally:
        connection.close()


def _tighten(connection: http.client.HTTPConnection, start: float, timeout: float) -> None:
    """Let the next wait on the socket last only what is left: a socket's own timeout holds for each read anew."""
    left = timeout - (time.monotonic() - start)
    if left <= 0:
        raise TimeoutError(f"no answer within {timeout:g} s")
    if connection.sock:
        connection.sock.settimeout(left)


def _body(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, start: float, timeout: float,
          limit: int) -> bytes:
    data = b""
    while len(data) <= limit and not response.isclosed():
        _tighten(connection, start, timeout)
        piece = response.read1(65536)
        if not piece:
            break
        data += piece
    return data

"""One HTTP request over a new connection, with a deadline for all of it: what probes and checks need, and no more."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import urlsplit

BODY_LIMIT = 1 << 20
_TRACEPARENT: ContextVar[str] = ContextVar("traceparent", default="")


@contextmanager
def traced(traceparent: str) -> Iterator[None]:
    """Requests of this thread carry the W3C header ``traceparent`` meanwhile; an empty one: none."""
    token = _TRACEPARENT.set(traceparent)
    try:
        yield
    finally:
        _TRACEPARENT.reset(token)


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
        connection.connect()
        with _ended_after(connection, timeout - (time.monotonic() - start)):
            parent = _TRACEPARENT.get()
            connection.request(method, path, body=body or None, headers={
                "User-Agent": "drillbook", **({"traceparent": parent} if parent else {}), **(headers or {})})
            response = connection.getresponse()
            data = response.read(limit + 1)
        if time.monotonic() - start >= timeout:
            raise TimeoutError
        return Answer(response.status, data[:limit], time.monotonic() - start, len(data) <= limit)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError) or time.monotonic() - start >= timeout:
            raise TimeoutError(f"no answer within {timeout:g} s") from None
        if isinstance(error, OSError):
            raise
        raise OSError(f"no HTTP answer: {type(error).__name__} {error}".rstrip()) from None
    finally:
        connection.close()


@contextmanager
def _ended_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Shut the socket when the time is over: its own timeout holds for each read anew, so a drip would never end."""
    sock = connection.sock

    def end() -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()

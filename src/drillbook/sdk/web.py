"""One HTTP request over a new connection, with a deadline for all of it: what probes and checks need, and no more."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from drillbook.sdk.deadline import Lines, current
from drillbook.sdk.host import Deadline

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


def ask(
    url: str,
    *,
    timeout: float,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    limit: int = BODY_LIMIT,
) -> Answer:
    """Send one request on a connection of its own, without proxy, cookies or redirects.

    ``timeout`` is in seconds and holds for the whole exchange. Raises OSError (TimeoutError included) when there is
    no answer by then, or none that is HTTP.
    """
    start = time.monotonic()
    deadline = Deadline.after(timeout, current().cancel)
    parts = urlsplit(url)
    if parts.hostname is None:
        raise OSError(f"{url!r} names no host")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=timeout, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    lines = Lines(deadline)
    dialled: list[socket.socket] = []
    connection._create_connection = partial(_dial, lines, dialled)  # type: ignore[attr-defined]  # CPython's own seam for it
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.connect()
        with lines:
            parent = _TRACEPARENT.get()
            connection.request(
                method,
                path,
                body=body or None,
                headers={"User-Agent": "drillbook", **({"traceparent": parent} if parent else {}), **(headers or {})},
            )
            response = connection.getresponse()
            data = _body(response, limit)
        deadline.check()
        return Answer(response.status, data[:limit], time.monotonic() - start, len(data) <= limit)
    except (OSError, http.client.HTTPException) as error:
        if deadline.cancel.is_set():
            deadline.check()
        if isinstance(error, TimeoutError) or time.monotonic() - start >= timeout:
            raise TimeoutError(f"no answer within {timeout:g} s") from None
        if isinstance(error, OSError):
            raise
        raise OSError(f"no HTTP answer: {type(error).__name__} {error}".rstrip()) from None
    finally:
        lines.close()
        connection.close()
        for line in dialled:
            line.close()


def _body(response: http.client.HTTPResponse, limit: int) -> bytes:
    """Up to ``limit`` bytes, and one more where there are more. Raises IncompleteRead, which `read(NUMBER)` does not."""
    data = response.read(limit + 1)
    if response.length and len(data) <= limit:
        raise http.client.IncompleteRead(data, response.length)
    return data


def _dial(
    lines: Lines, dialled: list[socket.socket], address: tuple[str, int], timeout: float, source: object = None
) -> socket.socket:
    """Connect to one address of a name after another, all within the deadline of ``lines``, which ends the connection.

    Its second descriptor is kept in ``dialled``: the first one is not reached while TLS is being agreed on.
    """
    del timeout, source
    failed: OSError | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        lines.deadline.check()
        sock = socket.socket(family, kind, protocol)
        try:
            dialled.append(sock.dup())
            lines.add(dialled[-1])
            sock.settimeout(max(0.001, lines.deadline.remaining()))
            sock.connect(place)
            return sock
        except OSError as error:
            sock.close()
            failed = error
    raise failed or OSError(f"{address[0]} has no address")

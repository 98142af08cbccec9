"""Sends one HTTP request over a new connection, with one deadline for the whole exchange. Probes and checks use it."""

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
    """Within the ``with`` block, add the W3C header ``traceparent`` to the requests of this thread.

    An empty text adds no header.
    """
    token = _TRACEPARENT.set(traceparent)
    try:
        yield
    finally:
        _TRACEPARENT.reset(token)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. ``complete`` is False when the body was longer than the limit."""

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
    ca: str = "",
) -> Answer:
    """Send one request over a connection of its own, without a proxy or cookies. No redirects are followed.

    ``timeout``: seconds for the whole exchange. ``ca``: file of CA certificates that are used instead of those of the
    system. Raises OSError, such as TimeoutError, when no HTTP answer arrives within ``timeout``.
    """
    start = time.monotonic()
    deadline = Deadline.after(timeout, current().cancel)
    connection, path = _connection(url, timeout, ca)
    lines = Lines(deadline)
    dialled: list[socket.socket] = []
    connection._create_connection = partial(_dial, lines, dialled)  # type: ignore[attr-defined]  # CPython's private hook
    try:
        connection.connect()
        with lines:
            connection.request(method, path, body=body or None, headers=_headers(headers or {}))
            response = connection.getresponse()
            data = _body(response, limit)
        deadline.check()
        return Answer(response.status, data[:limit], time.monotonic() - start, len(data) <= limit)
    except (OSError, http.client.HTTPException) as error:
        if deadline.cancel.is_set():
            deadline.check()
        if isinstance(error, TimeoutError) or time.monotonic() - start >= timeout:
            raise TimeoutError(f"no answer within {round(timeout, 3):g} s") from None
        if isinstance(error, OSError):
            raise
        raise OSError(f"no HTTP answer: {type(error).__name__} {error}".rstrip()) from None
    finally:
        for close in (lines.close, connection.close, *(line.close for line in dialled)):
            close()


def _connection(url: str, timeout: float, ca: str) -> tuple[http.client.HTTPConnection, str]:
    """Return an unconnected connection object for ``url``, and the path to request.

    Raises OSError when the URL names no host, or when the file ``ca`` cannot be read.
    """
    parts = urlsplit(url)
    if parts.hostname is None:
        raise OSError(f"{url!r} contains no host name")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca or None)
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    return connection, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request. They are Drillbook's own headers, and ``given``, which may replace some of them."""
    parent = _TRACEPARENT.get()
    return {"User-Agent": "drillbook", **({"traceparent": parent} if parent else {}), **given}


def _body(response: http.client.HTTPResponse, limit: int) -> bytes:
    """Read at most ``limit`` + 1 bytes of the body.

    Unlike `read(NUMBER)`, this raises IncompleteRead when the body ends early.
    """
    data = response.read(limit + 1)
    if response.length and len(data) <= limit:
        raise http.client.IncompleteRead(data, response.length)
    return data


def _dial(
    lines: Lines, dialled: list[socket.socket], address: tuple[str, int], timeout: float, source: object = None
) -> socket.socket:
    """Try the addresses of a host name until one of them accepts a connection. Return the connected socket.

    At the deadline, ``lines`` shuts down the connection through a duplicate of the socket. The original socket cannot be
    used for this, because it loses its descriptor in the TLS handshake. The duplicate is added to ``dialled``, so that the
    caller can close it.
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
    raise failed or OSError(f"the host name {address[0]} has no address")

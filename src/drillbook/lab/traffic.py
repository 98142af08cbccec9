"""Traffic in the background, like the traffic of users. Each second it makes about four reads and nearly one new
document.

``python -m drillbook.lab.traffic URL``
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import time
from urllib.parse import urlsplit

PERIOD = 0.2
CYCLE = 6
SEEDED = 24_000


def main() -> None:
    """Send requests until the process is killed. Errors during an outage are ignored."""
    url = urlsplit(sys.argv[1])
    host, port = url.hostname or "127.0.0.1", url.port or 80
    due = time.monotonic()
    number = 0
    while True:
        number += 1
        _request(host, port, *_next(number))
        due = max(due + PERIOD, time.monotonic())  # requests missed during an outage are not sent later
        time.sleep(max(0.0, due - time.monotonic()))


def _next(number: int) -> tuple[str, str, bytes | None]:
    if number % CYCLE == 0:
        content = f"Document of the background traffic, number {number}. " * 30
        return "POST", "/api/v1/documents", json.dumps({"title": f"Traffic {number}", "content": content}).encode()
    if number % CYCLE == 4:
        return "GET", "/api/v1/duplicates?limit=500", None
    if number % 3 == 0:
        return "GET", f"/api/v1/documents?limit=20&offset={number * 20 % 2000}", None
    if number % 7 == 0:
        return "GET", f"/api/v1/documents/{1 + number % 200}/original", None
    return "GET", f"/api/v1/documents/{1 + number * 7919 % SEEDED}", None


def _request(host: str, port: int, method: str, path: str, body: bytes | None) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        connection.getresponse().read()


if __name__ == "__main__":
    main()

"""Program that reads objects on a host. It returns their sizes and digests, and not their data.

It needs only the standard library of Python 3.7 or later. ``host_programs`` sends three things to the host's Python through
standard input: this file, a line that calls ``main``, and the URLs of the objects. The URLs are secrets. So they are never
command line arguments, which other users could see.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

CHUNK = 1 << 20
WORKERS = 6
ATTEMPTS = 3
PATIENCE = 60


def read(request: dict[str, str]) -> dict[str, Any]:
    """Read the object at the URL ``request["url"]``. Return its ``size`` and ``sha256``. When it cannot be read, return only
    ``problem``, an error text.

    The error text is ``missing`` when the object does not exist, or no longer has the ETag ``request["etag"]``.
    """
    outcome: dict[str, Any] = {"problem": "no answer"}
    for attempt in range(ATTEMPTS):
        try:
            outcome = _once(request)
        except (OSError, http.client.HTTPException) as error:
            outcome = {"problem": type(error).__name__}
        if "sha256" in outcome or outcome["problem"] == "missing":
            break
        time.sleep(0.2 * 2**attempt)
    return outcome


def _once(request: dict[str, str]) -> dict[str, Any]:
    parts = urllib.parse.urlsplit(request["url"])
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=PATIENCE)
    try:
        connection.request(
            "GET", parts.path + "?" + parts.query, headers={"If-Match": request["etag"]} if request["etag"] else {}
        )
        answer = connection.getresponse()
        if answer.status != 200:
            return {"problem": "missing" if answer.status in (404, 412) else f"status {answer.status}"}
        size, digest = 0, hashlib.sha256()
        for data in iter(lambda: answer.read(CHUNK), b""):
            size += len(data)
            digest.update(data)
        if str(size) != answer.getheader("Content-Length", str(size)):
            return {"problem": "the store's answer ended before all bytes had arrived"}
        return {"size": size, "sha256": digest.hexdigest()}
    finally:
        connection.close()


def main(asked: str) -> None:
    """Read objects, and print the results of ``read`` as JSON. ``asked``: JSON text with the list of these objects."""
    with ThreadPoolExecutor(WORKERS) as pool:
        json.dump(list(pool.map(read, json.loads(asked))), sys.stdout)

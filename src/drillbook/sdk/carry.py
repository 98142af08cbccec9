"""Program that transfers files between a host and a store. The data does not pass through the controller.

The program uses only the standard library of Python 3.7 or later. ``sent_program`` sends this file to the host through
standard input. The program has three commands:

``survey FOLDER PART_SIZE`` prints sizes and digests of the files below FOLDER, and of the parts of larger files. ``send
FOLDER PLAN`` uploads the files of FOLDER that the JSON file PLAN lists. ``fetch FOLDER PLAN`` downloads the files listed
in PLAN to FOLDER, and compares their sizes and digests. A rule of sudo for one of these commands permits only one FOLDER.

PLAN contains URLs, which are secrets that expire. Only the owner of PLAN can read it, and messages never repeat the URLs.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
WORKERS = 4
ATTEMPTS = 4
PATIENCE = 60


def survey(folder: str, part_size: int) -> list[dict[str, Any]]:
    """List every file as ``{"name", "size", "sha256", "parts"}``, sorted by name. ``parts`` is empty for a small file."""
    root = Path(folder)
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda name: _digests(root, name, part_size), names))


def _digests(root: Path, name: str, part_size: int) -> dict[str, Any]:
    whole, size = hashlib.sha256(), 0
    parts: list[str] = []
    with (root / name).open("rb") as file:
        while True:
            part, left = (hashlib.sha256() if parts else whole), part_size  # of a first part both digests are the same
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    break
                whole.update(data)
                if part is not whole:
                    part.update(data)
                left -= len(data)
            size += part_size - left
            if left < part_size:
                parts.append(part.hexdigest())
            if left:
                break
    return {"name": name, "size": size, "sha256": whole.hexdigest(), "parts": parts if size > part_size else []}


def send(folder: str, plan: dict[str, Any]) -> list[dict[str, str]]:
    """Upload parts of files by HTTP PUT. Returns ``{"etag"}`` or ``{"problem"}`` for each part.

    ``plan["puts"]`` lists the parts. Each part has the keys ``name``, ``offset``, ``length``, ``url`` and ``sha256``. The
    name is the name of the file in ``folder``.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda part: _put(_inside(folder, part["name"]), part), plan["puts"]))


def _inside(folder: str, name: str) -> Path:
    """Return the path of the file ``name`` in ``folder``. Exits when the name leads out of the folder."""
    if name.startswith("/") or ".." in name.split("/"):
        sys.exit(f"{name} is not in {folder}")
    return Path(folder) / name


def _put(path: Path, part: dict[str, Any]) -> dict[str, str]:
    with path.open("rb") as file:
        file.seek(part["offset"])
        data = file.read(part["length"])
    checksum = base64.b64encode(bytes.fromhex(part["sha256"])).decode()
    status, etag, said = _ask("PUT", part["url"], data, {"x-amz-checksum-sha256": checksum})
    return {"etag": etag} if status == 200 else {"problem": f"{status} {said}"}


def _ask(method: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
    """Send a request with retries. Returns the status (0 when no answer came), the ETag, and the error code or message."""
    outcome = (0, "", "no answer")
    for attempt in range(ATTEMPTS):
        try:
            connection, answer = _open(method, url, body, headers)
            try:
                outcome = (answer.status, answer.getheader("ETag", ""), _code(answer.read(CHUNK)))
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            outcome = (0, "", repr(error))
        if 0 < outcome[0] < 500 and outcome[0] != 429:
            break
        time.sleep(0.2 * 2**attempt)
    return outcome


def _code(answer: bytes) -> str:
    """Return only the error code in a store's answer. The rest of the answer may repeat parts of the secret signature."""
    match = re.search(rb"<Code>([A-Za-z0-9]+)</Code>", answer)
    return match.group(1).decode() if match else ""


def _open(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[Any, Any]:
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=PATIENCE)
    connection.request(method, parts.path + "?" + parts.query, body=body, headers=headers or {})
    return connection, connection.getresponse()


def fetch(folder: str, plan: dict[str, Any]) -> list[dict[str, str]]:
    """Download the files in ``plan["gets"]``, and return ``{"problem", "measured"}`` for each file.

    ``problem`` is the kind of error, such as `size`, and ``measured`` is the actual value. Both are empty on success. Each
    file is given as ``{"name", "url", "size", "sha256"}``, and is written to ``folder``.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda wanted: _get(_inside(folder, wanted["name"]), wanted), plan["gets"]))


def _get(path: Path, wanted: dict[str, Any]) -> dict[str, str]:
    outcome = {"problem": "error", "measured": "no answer"}
    for attempt in range(ATTEMPTS):
        try:
            outcome = _receive(path, wanted)
        except (OSError, http.client.HTTPException) as error:
            outcome = {"problem": "error", "measured": repr(error)[:300]}
        if outcome["problem"] in ("", "missing", "digest"):
            break
        time.sleep(0.2 * 2**attempt)
    return outcome


def _receive(path: Path, wanted: dict[str, Any]) -> dict[str, str]:
    connection, answer = _open("GET", wanted["url"])
    try:
        if answer.status != 200:
            kind = "missing" if answer.status == 404 else "error"
            return {"problem": kind, "measured": f"{answer.status} {_code(answer.read(CHUNK))}"}
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as file:
            for data in iter(lambda: answer.read(CHUNK), b""):
                file.write(data)
                digest.update(data)
                size += len(data)
    finally:
        connection.close()
    if size != wanted["size"]:
        return {"problem": "size", "measured": str(size)}
    return (
        {"problem": "", "measured": ""}
        if digest.hexdigest() == wanted["sha256"]
        else {"problem": "digest", "measured": digest.hexdigest()}
    )


def main(arguments: list[str]) -> None:
    """Run a command, and print its result as JSON. The name of the command is the first item of ``arguments``: ``survey``,
    ``send`` or ``fetch``."""
    os.umask(0o077)
    if arguments[0] == "survey":
        result = survey(arguments[1], int(arguments[2]))
    else:
        plan = json.loads(Path(arguments[2]).read_text(encoding="utf-8"))
        result = (send if arguments[0] == "send" else fetch)(arguments[1], plan)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The lab's stand-in for a Qdrant server. It runs Qdrant's own engine, and offers the part of Qdrant's REST API that drills
use.

``python -m drillbook.lab.qdrant_stand_in --port N --folder F``

It is only for labs and tests. Qdrant's server is distributed as an image or a binary, and not as a wheel, but its
engine is a wheel (``qdrant-edge-py``). So Qdrant's own code stores the vectors, ids and payloads, and only the HTTP
layer is Drillbook's. The program needs only that wheel, the standard library and its sibling modules (``qdrant_*.py``).
The API key comes from the variable QDRANT__SERVICE__API_KEY, as in Qdrant.

Unsupported requests, such as requests with filters, aliases or clusters, are refused and never ignored. Paths and
bodies are those of https://api.qdrant.tech.
"""

from __future__ import annotations

import argparse
import hmac
import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from drillbook.lab import qdrant_snapshots
from drillbook.lab.qdrant_collection import Collection, Params, Refused

KEY, READ_KEY = "QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__READ_ONLY_API_KEY"
"""Environment variables with the API keys of the server. Requests with the first key may read and write. Requests with
the second key may only read."""
_READS = re.compile(r"/collections/[^/]+/points(/(scroll|count|search|query))?")
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}"
LARGEST_BODY = 64 << 20
IDLE_S = 60.0
"""Seconds after which an idle connection is closed."""


class Collections:
    """All collections in a folder. Requests are handled one at a time."""

    def __init__(self, folder: Path) -> None:
        """Load all collections in ``folder``, and remove incomplete collections."""
        self._folder, self._snapshots = folder / "collections", folder / "snapshots"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._all: dict[str, Collection] = {}
        for path in sorted(self._folder.iterdir()):
            if re.fullmatch(NAME, path.name) and (path / "params.json").is_file():
                self._all[path.name] = Collection.load(path)
            else:
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Close all collections. This flushes their data to disk."""
        with self._lock:
            for collection in self._all.values():
                collection.shard.close()
            self._all = {}

    def do(self, method: str, path: str, body: Params) -> Any:
        """Handle one request, and return its result.

        Raises Refused when the route is unknown, or when the request is refused.
        """
        for wanted, pattern, act in _ROUTES:
            if wanted == method and (match := re.fullmatch(pattern, path)):
                with self._lock:
                    return act(self, *match.groups(), body)
        raise Refused(404, f"the lab's stand-in for Qdrant does not support {method} {path}")

    def named(self, name: str) -> Collection:
        """Return the collection ``name``. Raises Refused when it does not exist."""
        if name not in self._all:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return self._all[name]

    def names(self) -> Params:
        """Return the names of all collections in the format of Qdrant's API."""
        return {"collections": [{"name": name} for name in sorted(self._all)]}

    def exists(self, name: str) -> Params:
        """Return whether the collection ``name`` exists, in the format of Qdrant's API."""
        return {"exists": name in self._all}

    def make(self, name: str, wanted: Params) -> bool:
        """Create the collection ``name``. Raises Refused when it exists already."""
        if name in self._all:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        self._all[name] = Collection.create(self._folder / name, wanted)
        return True

    def drop(self, name: str) -> bool:
        """Delete the collection ``name``. Return False when it does not exist."""
        collection = self._all.pop(name, None)
        if collection is None:
            return False
        (collection.folder / "params.json").unlink()
        collection.shard.close()
        shutil.rmtree(collection.folder, ignore_errors=True)
        return True

    def point(self, name: str, text: str) -> Params:
        """Return the point whose id is ``text``. Raises Refused when it does not exist."""
        number: int | str = int(text) if text.isdecimal() else text
        points = self.named(name).retrieve({"ids": [number], "with_vector": True})
        if not points:
            raise Refused(404, f"Not found: Point with id {text} does not exists!")
        return points[0]

    def snapshot(self, name: str) -> Params:
        """Archive the present content of the collection ``name``.

        Return the description of the archive, as Qdrant returns it.
        """
        self.named(name).shard.flush()
        return qdrant_snapshots.make(self.named(name).folder, self._snapshots / name)

    def archives(self, name: str) -> list[Params]:
        """Return the names and the sizes in bytes of the snapshots of the collection ``name``."""
        self.named(name)
        return [{"name": path.name, "size": path.stat().st_size} for path in sorted((self._snapshots / name).glob("*"))]

    def archive(self, name: str, file: str) -> Path:
        """Return the path of the snapshot ``file``. Raises Refused when it does not exist."""
        path = self._snapshots / name / file
        if not path.is_file():
            raise Refused(404, f"Not found: Snapshot `{file}`")
        return path

    def forget(self, name: str, file: str) -> bool:
        """Delete the snapshot ``file``. Raises Refused when it does not exist."""
        self.archive(name, file).unlink()
        return True

    def recover(self, name: str, asked: Params) -> bool:
        """Replace the collection ``name`` by the content of a snapshot."""
        draft = self._folder / f".{name}"
        qdrant_snapshots.unpack(asked["location"], asked.get("checksum"), draft)
        self.drop(name)
        draft.replace(self._folder / name)
        self._all[name] = Collection.load(self._folder / name)
        return True

    def change(self, name: str, act: Callable[[Collection], None]) -> Params:
        """Apply the function ``act`` to the collection ``name``. Return the answer that Qdrant gives to a write."""
        act(self.named(name))
        return {"operation_id": 0, "status": "completed"}


_AT = rf"/collections/({NAME})"
_ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", "/collections", lambda at, body: at.names()),
    ("GET", _AT, lambda at, name, body: at.named(name).info()),
    ("PUT", _AT, lambda at, name, body: at.make(name, body)),
    ("DELETE", _AT, lambda at, name, body: at.drop(name)),
    ("GET", f"{_AT}/exists", lambda at, name, body: at.exists(name)),
    (
        "PUT",
        f"{_AT}/index",
        lambda at, name, body: at.change(
            name, lambda collection: collection.index(body["field_name"], body["field_schema"])
        ),
    ),
    ("PUT", f"{_AT}/points", lambda at, name, body: at.change(name, lambda collection: collection.put(body["points"]))),
    ("POST", f"{_AT}/points", lambda at, name, body: at.named(name).retrieve(body)),
    ("GET", rf"{_AT}/points/([0-9a-fA-F-]+)", lambda at, name, text, body: at.point(name, text)),
    (
        "POST",
        f"{_AT}/points/delete",
        lambda at, name, body: at.change(name, lambda collection: collection.delete(body["points"])),
    ),
    ("POST", f"{_AT}/points/scroll", lambda at, name, body: at.named(name).scroll(body)),
    ("POST", f"{_AT}/points/count", lambda at, name, body: at.named(name).count(body)),
    ("POST", f"{_AT}/snapshots", lambda at, name, body: at.snapshot(name)),
    ("GET", f"{_AT}/snapshots", lambda at, name, body: at.archives(name)),
    ("GET", f"{_AT}/snapshots/({NAME})", lambda at, name, file, body: at.archive(name, file)),
    ("DELETE", f"{_AT}/snapshots/({NAME})", lambda at, name, file, body: at.forget(name, file)),
    ("PUT", f"{_AT}/snapshots/recover", lambda at, name, body: at.recover(name, body)),
    ("POST", f"{_AT}/points/query", lambda at, name, body: at.named(name).query(body)),
]


class Handler(BaseHTTPRequestHandler):
    """HTTP handler of one client connection."""

    protocol_version = "HTTP/1.1"
    server_version = "drillbook-lab-qdrant-stand-in"
    sys_version = ""
    timeout = IDLE_S
    disable_nagle_algorithm = True
    collections: Collections
    key = read_key = ""

    def _serve(self) -> None:
        started = time.monotonic()
        try:
            status, answer = 200, {"result": self._result(), "status": "ok"}
        except Refused as error:
            status, answer = error.status, {"status": {"error": str(error)}}
        except (KeyError, TypeError, ValueError) as error:
            status, answer = 400, {"status": {"error": f"Format error in JSON body: {type(error).__name__}: {error}"}}
        except Exception as error:  # noqa: BLE001  the engine raises nothing more precise
            status, answer = 400, {"status": {"error": f"Wrong input: {error}"}}
        self._answer(status, answer | {"time": time.monotonic() - started})

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815  the names that http.server calls

    def _result(self) -> Any:
        size = int(self.headers.get("Content-Length") or 0)
        if size > LARGEST_BODY:
            self.close_connection = True
            raise Refused(413, f"the body of the request has {size} bytes, but at most {LARGEST_BODY} are allowed")
        data = self.rfile.read(size)
        path = unquote(urlsplit(self.path).path).rstrip("/")
        if path in ("/healthz", "/readyz"):
            return True
        given = self.headers.get("api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ")
        keys = [key for key in (self.key, self.read_key) if key]
        if keys and not any(hmac.compare_digest(given.encode(), key.encode()) for key in keys):
            raise Refused(401, "Must provide an API key or an Authorization bearer token")
        reads = self.command == "GET" or (self.command == "POST" and _READS.fullmatch(path))
        if self.read_key and given == self.read_key and not reads:
            raise Refused(403, "Forbidden: Global manage access is required")
        body = json.loads(data) if data else {}
        if not isinstance(body, dict):
            raise Refused(400, "the body is not a JSON object")
        return self.collections.do(self.command, path, body) if path else True

    def _answer(self, status: int, answer: Params) -> None:
        if status == 200 and self.path.split("?")[0] == "/":
            answer = {"title": "the Drillbook lab's stand-in for Qdrant", "version": f"0.0.0-edge-{engine_version()}"}
        content = answer.get("result")
        data = content.read_bytes() if isinstance(content, Path) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(content, Path) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name in the standard library
        """Log only refused requests."""
        if len(args) > 1 and str(args[1]) >= "400":
            logging.info("%s " + format, self.client_address[0], *args)


def engine_version() -> str:
    """Return the version of the wheel with Qdrant's engine."""
    return version("qdrant-edge-py")


class Server(ThreadingHTTPServer):
    """HTTP server with one thread for each connection."""

    daemon_threads = True
    request_queue_size = 64


def main() -> int:
    """Serve until SIGTERM. Return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description="The lab's stand-in for a Qdrant server.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    given = parser.parse_args()
    Handler.key, Handler.read_key = os.environ.get(KEY, ""), os.environ.get(READ_KEY, "")
    Handler.collections = Collections(given.folder)
    server = Server((given.address, given.port), Handler)
    signal.signal(signal.SIGTERM, lambda number, frame: threading.Thread(target=server.shutdown).start())
    logging.info("serves %s on %s:%d", given.folder, given.address, given.port)
    try:
        server.serve_forever(poll_interval=0.5)
    except KeyboardInterrupt:
        logging.info("interrupted")
    finally:
        server.server_close()
        Handler.collections.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

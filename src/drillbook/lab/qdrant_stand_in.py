"""The lab's stand-in for a Qdrant server: Qdrant's own engine behind the part of its REST API that drills use.

``python -m drillbook.lab.qdrant_stand_in --port N --folder F``

It is for labs and tests only. A Qdrant server comes as an image or a binary and not as a wheel; its engine does
(``qdrant-edge-py``), so vectors, ids, payloads and their storage here are Qdrant's, and only the HTTP around them is not.
It needs nothing but that wheel and the standard library. An API key comes from QDRANT__SERVICE__API_KEY, as in Qdrant.

What it does not have, such as filters, aliases, clusters or snapshots, it refuses: nothing is quietly left out.
Paths and bodies are those of https://api.qdrant.tech.
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
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import qdrant_edge as edge

KEY = "QDRANT__SERVICE__API_KEY"
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}"
LARGEST_BODY = 64 << 20
IDLE_S = 60.0
"""Seconds after which a connection on which nothing comes is closed."""
HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000}
_VECTOR_KEYS = {"size", "distance"}
_CREATE_KEYS = {"vectors", "sparse_vectors", "on_disk_payload", "shard_number", "replication_factor",
                "write_consistency_factor"}

Params = dict[str, Any]


class Refused(Exception):
    """An answer that is not 200: its status and what it says."""

    def __init__(self, status: int, said: str) -> None:
        """``said`` goes to the client."""
        super().__init__(said)
        self.status = status


class Collection:
    """One collection: a shard of the engine, and beside it the parameters that made it."""

    def __init__(self, folder: Path, params: Params, shard: edge.EdgeShard) -> None:
        """Use ``create`` or ``load``."""
        self.folder, self.params, self.shard = folder, params, shard

    @classmethod
    def create(cls, folder: Path, wanted: Params) -> Collection:
        """A new one in ``folder``. Raises Refused."""
        if unknown := wanted.keys() - _CREATE_KEYS - {key for key, value in wanted.items() if value is None}:
            raise Refused(400, f"the lab's stand-in does not know {', '.join(sorted(unknown))}")
        params = {key: wanted[key] for key in _CREATE_KEYS if wanted.get(key) is not None}
        vectors, sparse = params.get("vectors") or {}, params.get("sparse_vectors") or {}
        config = edge.EdgeConfig(
            vectors=_dense(vectors) if vectors.keys() >= _VECTOR_KEYS else {n: _dense(v) for n, v in vectors.items()},
            sparse_vectors={name: edge.EdgeSparseVectorParams() for name in sparse} or None,
            max_search_threads=1, optimizers=edge.EdgeOptimizersConfig(default_segment_number=1))
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "shard").mkdir(parents=True)
        shard = edge.EdgeShard.create(str(folder / "shard"), config)
        # Written last: a collection without it is none.
        draft = folder / "params.new"
        draft.write_text(json.dumps(params), encoding="utf-8")
        draft.replace(folder / "params.json")
        return cls(folder, params, shard)

    @classmethod
    def load(cls, folder: Path) -> Collection:
        """The one that an earlier process made in ``folder``."""
        params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
        return cls(folder, params, edge.EdgeShard.load(str(folder / "shard")))

    def info(self) -> Params:
        """As Qdrant shows it."""
        found = self.shard.info()
        schema = {name: {"data_type": str(one.data_type).rpartition(".")[2].lower(), "points": one.points}
                  for name, one in found.payload_schema.items()}
        params = {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True}
        return {"status": "green", "optimizer_status": "ok", "points_count": found.points_count,
                "indexed_vectors_count": found.indexed_vectors_count, "segments_count": found.segments_count,
                "payload_schema": schema,
                "config": {"params": params | self.params, "hnsw_config": HNSW,
                           "optimizer_config": {"default_segment_number": 1, "flush_interval_sec": 5}}}

    def index(self, field: str, schema: Any) -> None:
        """Index a field of the payload. Raises Refused."""
        kind = getattr(edge.PayloadSchemaType, str(schema).capitalize(), None)
        if kind is None:
            raise Refused(400, f"the lab's stand-in knows no index of kind {schema!r}")
        self._update(edge.UpdateOperation.create_field_index(field, kind))

    def put(self, points: list[Params]) -> None:
        """Write points over those of their ids."""
        self._update(edge.UpdateOperation.upsert_points(
            [edge.Point(id=one["id"], vector=_in(one["vector"]), payload=one.get("payload") or {}) for one in points]))

    def delete(self, ids: list[int | str]) -> None:
        """Delete the points of these ids."""
        self._update(edge.UpdateOperation.delete_points(list(ids)))

    def _update(self, operation: edge.UpdateOperation) -> None:
        self.shard.update(operation)

    def scroll(self, asked: Params) -> Params:
        """One page in the order of the ids."""
        _no_filter(asked)
        records, following = self.shard.scroll(edge.ScrollRequest(
            limit=asked.get("limit") or 10, offset=asked.get("offset"), with_payload=asked.get("with_payload", True),
            with_vector=asked.get("with_vector", False)))
        return {"points": [_out(one) for one in records], "next_page_offset": _id(following)}

    def retrieve(self, asked: Params) -> list[Params]:
        """The points of these ids that are there."""
        records = self.shard.retrieve(asked["ids"], asked.get("with_payload", True), asked.get("with_vector", False))
        return [_out(one) for one in records]

    def query(self, asked: Params) -> Params:
        """The points nearest to a vector."""
        _no_filter(asked)
        nearest: Any = asked.get("query")
        if isinstance(nearest, dict):
            nearest = nearest.get("nearest")
        found = self.shard.query(edge.QueryRequest(
            query=edge.Query.Nearest(nearest, using=asked.get("using")), limit=asked.get("limit") or 10,
            with_payload=asked.get("with_payload", False), with_vector=asked.get("with_vector", False)))
        return {"points": [_out(one) | {"score": one.score, "version": 0} for one in found]}

    def count(self, asked: Params) -> Params:
        """How many points there are."""
        _no_filter(asked)
        return {"count": self.shard.count(edge.CountRequest(exact=bool(asked.get("exact", True))))}


def _dense(wanted: Params) -> edge.EdgeVectorParams:
    if unknown := {key for key, value in wanted.items() if value is not None} - _VECTOR_KEYS:
        raise Refused(400, f"the lab's stand-in does not know {', '.join(sorted(unknown))} of a vector")
    distance = getattr(edge.Distance, str(wanted.get("distance")), None)
    if distance is None:
        raise Refused(400, f"unknown distance {wanted.get('distance')!r}")
    return edge.EdgeVectorParams(size=int(wanted["size"]), distance=distance)


def _no_filter(asked: Params) -> None:
    if given := [key for key in ("filter", "order_by", "prefetch", "shard_key") if asked.get(key) is not None]:
        raise Refused(400, f"the lab's stand-in does not know {', '.join(given)}")


def _in(vector: Any) -> Any:
    if isinstance(vector, dict):
        return {name: edge.SparseVector(one["indices"], one["values"]) if isinstance(one, dict) else one
                for name, one in vector.items()}
    return vector


def _out(record: Any) -> Params:
    found: Params = {"id": _id(record.id)}
    if record.payload is not None:
        found["payload"] = record.payload
    vector = record.vector
    if isinstance(vector, dict):
        vector = {name: {"indices": one.indices, "values": one.values} if isinstance(one, edge.SparseVector) else one
                  for name, one in vector.items()}
    return found if vector is None else found | {"vector": vector}


def _id(found: Any) -> int | str | None:
    return found if found is None or isinstance(found, int) else str(found)


class Collections:
    """All collections of a folder; one request at a time is at work on them."""

    def __init__(self, folder: Path) -> None:
        """Load what is there; what was never made wholly is removed."""
        self._folder = folder / "collections"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._all: dict[str, Collection] = {}
        for path in sorted(self._folder.iterdir()):
            if (path / "params.json").is_file():
                self._all[path.name] = Collection.load(path)
            else:
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Write everything to disk and end."""
        with self._lock:
            for one in self._all.values():
                one.shard.close()
            self._all = {}

    def do(self, method: str, path: str, body: Params) -> Any:
        """The result of one request. Raises Refused."""
        for wanted, pattern, act in _ROUTES:
            if wanted == method and (match := re.fullmatch(pattern, path)):
                with self._lock:
                    return act(self, *match.groups(), body)
        raise Refused(404, f"the lab's stand-in does not know {method} {path}")

    def named(self, name: str) -> Collection:
        """The collection of that name. Raises Refused."""
        if name not in self._all:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return self._all[name]

    def names(self) -> Params:
        """The list of all."""
        return {"collections": [{"name": name} for name in sorted(self._all)]}

    def exists(self, name: str) -> Params:
        """Is there one of that name?"""
        return {"exists": name in self._all}

    def make(self, name: str, wanted: Params) -> bool:
        """Make one. Raises Refused when it is there."""
        if name in self._all:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        self._all[name] = Collection.create(self._folder / name, wanted)
        return True

    def drop(self, name: str) -> bool:
        """Delete one; False when there is none."""
        found = self._all.pop(name, None)
        if found is None:
            return False
        (found.folder / "params.json").unlink()
        found.shard.close()
        shutil.rmtree(found.folder, ignore_errors=True)
        return True

    def point(self, name: str, text: str) -> Params:
        """One point. Raises Refused when it is not there."""
        number: int | str = int(text) if text.isdecimal() else text
        found = self.named(name).retrieve({"ids": [number], "with_vector": True})
        if not found:
            raise Refused(404, f"Not found: Point with id {text} does not exists!")
        return found[0]

    def change(self, name: str, act: Callable[[Collection], None]) -> Params:
        """Change one, and say so as Qdrant does."""
        act(self.named(name))
        return {"operation_id": 0, "status": "completed"}


_AT = rf"/collections/({NAME})"
_ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", "/collections", lambda at, body: at.names()),
    ("GET", _AT, lambda at, name, body: at.named(name).info()),
    ("PUT", _AT, lambda at, name, body: at.make(name, body)),
    ("DELETE", _AT, lambda at, name, body: at.drop(name)),
    ("GET", f"{_AT}/exists", lambda at, name, body: at.exists(name)),
    ("PUT", f"{_AT}/index", lambda at, name, body: at.change(
        name, lambda one: one.index(body["field_name"], body["field_schema"]))),
    ("PUT", f"{_AT}/points", lambda at, name, body: at.change(name, lambda one: one.put(body["points"]))),
    ("POST", f"{_AT}/points", lambda at, name, body: at.named(name).retrieve(body)),
    ("GET", rf"{_AT}/points/([0-9a-fA-F-]+)", lambda at, name, text, body: at.point(name, text)),
    ("POST", f"{_AT}/points/delete", lambda at, name, body: at.change(name, lambda one: one.delete(body["points"]))),
    ("POST", f"{_AT}/points/scroll", lambda at, name, body: at.named(name).scroll(body)),
    ("POST", f"{_AT}/points/count", lambda at, name, body: at.named(name).count(body)),
    ("POST", f"{_AT}/points/query", lambda at, name, body: at.named(name).query(body)),
]


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server_version = "drillbook-lab-qdrant-stand-in"
    sys_version = ""
    timeout = IDLE_S
    disable_nagle_algorithm = True
    collections: Collections
    key = ""

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
            raise Refused(413, f"a body of {size} bytes is larger than {LARGEST_BODY}")
        data = self.rfile.read(size)
        path = unquote(urlsplit(self.path).path).rstrip("/")
        if path in ("/healthz", "/readyz"):
            return True
        given = self.headers.get("api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.key and not hmac.compare_digest(given.encode(), self.key.encode()):
            raise Refused(401, "Must provide an API key or an Authorization bearer token")
        body = json.loads(data) if data else {}
        if not isinstance(body, dict):
            raise Refused(400, "the body is no JSON object")
        return self.collections.do(self.command, path, body) if path else True

    def _answer(self, status: int, answer: Params) -> None:
        if status == 200 and self.path.split("?")[0] == "/":
            answer = {"title": "the Drillbook lab's stand-in for Qdrant", "version": f"0.0.0-edge-{engine_version()}"}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name in the standard library
        """Refusals alone go to the log."""
        if len(args) > 1 and str(args[1]) >= "400":
            logging.info("%s " + format, self.client_address[0], *args)


def engine_version() -> str:
    """Version of the engine's wheel."""
    from importlib.metadata import version  # noqa: PLC0415  reads the disk

    return version("qdrant-edge-py")


class Server(ThreadingHTTPServer):
    """The listener."""

    daemon_threads = True
    request_queue_size = 64


def main() -> int:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(description="The lab's stand-in for a Qdrant server.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address", default="127.0.0.1")
    given = parser.parse_args()
    Handler.key = os.environ.get(KEY, "")
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

"""A collection of the lab's stand-in for a Qdrant server. It is one shard of Qdrant's engine, behind Qdrant's REST API."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from drillbook.atomic_file import replace_file

HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, "max_indexing_threads": 0}
_VECTOR_KEYS = {"size", "distance"}
_CREATE_KEYS = {
    "vectors",
    "sparse_vectors",
    "on_disk_payload",
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
}

Params = dict[str, Any]


class Refused(Exception):
    """Raised to refuse a request. It has the HTTP status and the message of the answer."""

    def __init__(self, status: int, said: str) -> None:
        """Create the error with the HTTP ``status``. ``said``: message for the client."""
        super().__init__(said)
        self.status = status


class Collection:
    """One collection. It consists of a shard of the engine and the parameters with which it was created."""

    def __init__(self, folder: Path, params: Params, shard: edge.EdgeShard) -> None:
        """Wrap an open shard. Callers use ``create`` or ``load`` instead."""
        self.folder, self.params, self.shard = folder, params, shard

    @classmethod
    def create(cls, folder: Path, wanted: Params) -> Collection:
        """Create a collection in ``folder``. Raises Refused for unsupported parameters."""
        hnsw = {key: value for key, value in (wanted.get("hnsw_config") or {}).items() if value is not None}
        if hnsw.items() - HNSW.items():
            raise Refused(400, f"the lab's stand-in for Qdrant supports only the hnsw_config {HNSW}")
        if unknown := {key for key, value in wanted.items() if value is not None} - _CREATE_KEYS - {"hnsw_config"}:
            raise Refused(400, f"the lab's stand-in for Qdrant does not support {', '.join(sorted(unknown))}")
        params = {key: wanted[key] for key in _CREATE_KEYS if wanted.get(key) is not None}
        vectors, sparse = params.get("vectors") or {}, params.get("sparse_vectors") or {}
        config = edge.EdgeConfig(
            vectors=_dense(vectors) if vectors.keys() >= _VECTOR_KEYS else {n: _dense(v) for n, v in vectors.items()},
            sparse_vectors={name: edge.EdgeSparseVectorParams() for name in sparse} or None,
            max_search_threads=1,
            optimizers=edge.EdgeOptimizersConfig(default_segment_number=1),
        )
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "shard").mkdir(parents=True)
        shard = edge.EdgeShard.create(str(folder / "shard"), config)
        # Written last: a folder without this file does not count as a collection.
        replace_file(folder / "params.json", json.dumps(params).encode(), mode=None)
        return cls(folder, params, shard)

    @classmethod
    def load(cls, folder: Path) -> Collection:
        """Load an existing collection from ``folder``."""
        params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
        return cls(folder, params, edge.EdgeShard.load(str(folder / "shard")))

    def info(self) -> Params:
        """Return a description of the collection in the format of Qdrant's API."""
        shard_info = self.shard.info()
        schema = {
            name: {"data_type": str(field.data_type).rpartition(".")[2].lower(), "points": field.points}
            for name, field in shard_info.payload_schema.items()
        }
        params = {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "points_count": shard_info.points_count,
            "indexed_vectors_count": shard_info.indexed_vectors_count,
            "segments_count": shard_info.segments_count,
            "payload_schema": schema,
            "config": {
                "params": params | self.params,
                "hnsw_config": HNSW,
                "optimizer_config": {"default_segment_number": 1, "flush_interval_sec": 5},
            },
        }

    def index(self, field: str, schema: Any) -> None:
        """Index a field of the payload. Raises Refused for an unknown kind of index."""
        kind = getattr(edge.PayloadSchemaType, str(schema).capitalize(), None)
        if kind is None:
            raise Refused(400, f"the lab's stand-in for Qdrant supports no index of the kind {schema!r}")
        self._update(edge.UpdateOperation.create_field_index(field, kind))

    def put(self, points: list[Params]) -> None:
        """Write points, replacing existing points with the same ids."""
        self._update(
            edge.UpdateOperation.upsert_points(
                [
                    edge.Point(id=point["id"], vector=_in(point["vector"]), payload=point.get("payload") or {})
                    for point in points
                ]
            )
        )

    def delete(self, ids: list[int | str]) -> None:
        """Delete the points with these ids."""
        self._update(edge.UpdateOperation.delete_points(list(ids)))

    def _update(self, operation: edge.UpdateOperation) -> None:
        self.shard.update(operation)

    def scroll(self, asked: Params) -> Params:
        """Return one page of points, ordered by id."""
        _no_filter(asked)
        records, following = self.shard.scroll(
            edge.ScrollRequest(
                limit=asked.get("limit") or 10,
                offset=asked.get("offset"),
                with_payload=asked.get("with_payload", True),
                with_vector=asked.get("with_vector", False),
            )
        )
        return {"points": [_out(record) for record in records], "next_page_offset": _id(following)}

    def retrieve(self, asked: Params) -> list[Params]:
        """Return the requested points that exist."""
        records = self.shard.retrieve(asked["ids"], asked.get("with_payload", True), asked.get("with_vector", False))
        return [_out(record) for record in records]

    def query(self, asked: Params) -> Params:
        """Return the points that are nearest to the requested vector, with their scores."""
        _no_filter(asked)
        nearest: Any = asked.get("query")
        if isinstance(nearest, dict):
            nearest = nearest.get("nearest")
        scored = self.shard.query(
            edge.QueryRequest(
                query=edge.Query.Nearest(nearest, using=asked.get("using")),
                limit=asked.get("limit") or 10,
                with_payload=asked.get("with_payload", False),
                with_vector=asked.get("with_vector", False),
            )
        )
        return {"points": [_out(point) | {"score": point.score, "version": 0} for point in scored]}

    def count(self, asked: Params) -> Params:
        """Return the number of points in the collection."""
        _no_filter(asked)
        return {"count": self.shard.count(edge.CountRequest(exact=bool(asked.get("exact", True))))}


def _dense(wanted: Params) -> edge.EdgeVectorParams:
    if unknown := {key for key, value in wanted.items() if value is not None} - _VECTOR_KEYS:
        raise Refused(400, f"the lab's stand-in for Qdrant does not support {', '.join(sorted(unknown))} of a vector")
    distance = getattr(edge.Distance, str(wanted.get("distance")), None)
    if distance is None:
        raise Refused(400, f"unknown distance {wanted.get('distance')!r}")
    return edge.EdgeVectorParams(size=int(wanted["size"]), distance=distance)


def _no_filter(asked: Params) -> None:
    if given := [key for key in ("filter", "order_by", "prefetch", "shard_key") if asked.get(key) is not None]:
        raise Refused(400, f"the lab's stand-in for Qdrant does not support {', '.join(given)}")


def _in(vector: Any) -> Any:
    if isinstance(vector, dict):
        return {
            name: edge.SparseVector(part["indices"], part["values"]) if isinstance(part, dict) else part
            for name, part in vector.items()
        }
    return vector


def _out(record: Any) -> Params:
    point: Params = {"id": _id(record.id)}
    if record.payload is not None:
        point["payload"] = record.payload
    vector = record.vector
    if isinstance(vector, dict):
        vector = {
            name: {"indices": part.indices, "values": part.values} if isinstance(part, edge.SparseVector) else part
            for name, part in vector.items()
        }
    return point if vector is None else point | {"vector": vector}


def _id(given: Any) -> int | str | None:
    return given if given is None or isinstance(given, int) else str(given)

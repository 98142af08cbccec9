"""Access to a collection in a Qdrant server with qdrant-client over REST. The size of each answer is limited, and all errors
have the same type.
"""

from __future__ import annotations

import itertools
import json
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.installation import extras
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Budget
from drillbook.sdk.deadline import Lines
from drillbook.sdk.host import Deadline, excerpt, printable
from drillbook.systems.qdrant.points import Id, Point, id_of
from drillbook.systems.qdrant.service import Qdrant

T = TypeVar("T")

ANSWER_S = 30.0
"""Time in seconds within which a server must answer one request."""
PAGE = 500
"""Number of points in one request."""
IDS_PAGE = 5000
"""Number of points in one request that asks only for ids."""
MOST_POINTS = 5_000_000
"""Maximum number of points in a collection. The ids of all points are held in memory."""
MOST_NAMES = 256 << 20
"""Maximum total size, in bytes, of the ids of all points of a collection. All these ids are held in memory."""
_KEPT = (
    "vectors",
    "sparse_vectors",
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "on_disk_payload",
    "hnsw_config",
    "quantization_config",
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Snapshot on the server's disk: its name, size in bytes, and SHA-256 if the server reports one."""

    name: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """Client of one collection. A refused request raises an error, which ``connected`` converts to CouldNotVerify."""

    client: Any
    collection: str
    deadline: Deadline
    refused: type[Exception]
    """Exception class that qdrant-client raises when a request fails."""

    def _ask(self, call: Callable[..., T], **given: Any) -> T:
        self.deadline.check()
        return call(collection_name=self.collection, **given)

    def version(self) -> str:
        """Return the version of the server."""
        self.deadline.check()
        return str(self.client.info().version)

    def exists(self) -> bool:
        """Return True when the collection exists."""
        return bool(self._ask(self.client.collection_exists))

    def status(self) -> str:
        """Return the status of the collection: ``green``, ``yellow``, ``grey`` or ``red``, see Qdrant's documentation."""
        return str(self._ask(self.client.get_collection).status.value)

    def count(self) -> int:
        """Return the exact number of points."""
        return int(self._ask(self.client.count, exact=True).count)

    def config(self) -> dict[str, Any]:
        """Return the settings that a copy of the collection needs: the settings of the vectors, the shards and the indexes,
        and the list of indexed fields.
        """
        info = self._ask(self.client.get_collection)
        whole = info.config.model_dump(mode="json", exclude_none=True)
        settings = whole | whole["params"]
        fields = {
            name: field.params.model_dump(mode="json", exclude_none=True) if field.params else str(field.data_type.value)
            for name, field in sorted(info.payload_schema.items())
        }
        return {key: settings[key] for key in _KEPT if settings.get(key)} | {"fields": fields}

    def create(self, config: dict[str, Any]) -> None:
        """Create the collection with the settings ``config``, which the method ``config`` of a session returned."""
        from qdrant_client import models  # noqa: PLC0415  slow to load

        self.deadline.check()
        wanted = models.CreateCollection.model_validate({key: config[key] for key in _KEPT if key in config})
        self.client.http.collections_api.create_collection(collection_name=self.collection, create_collection=wanted)
        for name, schema in config["fields"].items():
            index = models.CreateFieldIndex.model_validate({"field_name": name, "field_schema": schema})
            self._ask(self.client.http.indexes_api.create_field_index, create_field_index=index, wait=True)

    def drop(self) -> None:
        """Delete the collection with all its points."""
        self._ask(self.client.delete_collection)

    def points(self) -> Iterator[list[Point]]:
        """Yield all points, in pages. A point that is neither added nor deleted during the read is yielded exactly once."""
        for records in self._scroll(PAGE, with_vectors=True, with_payload=True):
            yield [Point.of(record) for record in records]

    def ids(self) -> set[Id]:
        """Return the ids of all points."""
        ids: set[Id] = set()
        budget = self._budget()
        for records in self._scroll(IDS_PAGE, with_vectors=False, with_payload=False):
            budget.take(sum(len(str(record.id)) for record in records), len(records))
            ids |= {id_of(record.id) for record in records}
        return ids

    def digests(self) -> dict[Id, bytes]:
        """Return the digest of each point, with the id of the point as the key."""
        digest_by_id: dict[Id, bytes] = {}
        budget = self._budget()
        for points in self.points():
            budget.take(sum(len(str(point.id)) for point in points), len(points))
            digest_by_id |= {point.id: point.digest() for point in points}
        return digest_by_id

    def _budget(self) -> Budget:
        return Budget(f"the list of points of {self.collection}", MOST_NAMES, MOST_POINTS)

    def _scroll(self, limit: int, **wanted: bool) -> Iterator[Sequence[Any]]:
        offset = None
        while True:
            try:
                records, after = self._ask(self.client.scroll, limit=limit, offset=offset, **wanted)
            except self.refused as error:
                if not _over_budget(error) or limit == 1:
                    raise
                limit = max(1, limit // 8)  # the answer was too large; request fewer points, since each may be large
                continue
            offset = after
            if records:
                yield records
            if offset is None:
                return

    def fetch(self, ids: Sequence[Id]) -> dict[Id, Point]:
        """Return the points with the ids ``ids``. The key of each point is its id. Ids without a point are omitted."""
        point_by_id: dict[Id, Point] = {}
        for some in pieces(ids):
            for record in self._retrieve(some):
                point = Point.of(record)
                point_by_id[point.id] = point
        return point_by_id

    def _retrieve(self, ids: Sequence[Id]) -> list[Any]:
        """Return the points with the ids ``ids``, with all fields. The request is split if one answer would be too large."""
        try:
            return list(self._ask(self.client.retrieve, ids=ids, with_payload=True, with_vectors=True))
        except self.refused as error:
            if not _over_budget(error) or len(ids) == 1:
                raise
        half = len(ids) // 2
        return self._retrieve(ids[:half]) + self._retrieve(ids[half:])

    def present(self, ids: Iterable[Id]) -> set[Id]:
        """Return those of ``ids`` that belong to a point of the collection."""
        present: set[Id] = set()
        for some in pieces(ids):
            records = self._ask(self.client.retrieve, ids=some, with_payload=False, with_vectors=False)
            present |= {id_of(record.id) for record in records}
        return present

    def put(self, points: Iterable[Point]) -> None:
        """Write points, and replace existing points with the same ids. Return after the server has applied the writes."""
        from qdrant_client.models import PointStruct  # noqa: PLC0415  slow to load

        for some in pieces(points):
            made = [PointStruct(id=point.id, vector=point.vector, payload=point.payload) for point in some]
            self._ask(self.client.upsert, points=made, wait=True)

    def delete(self, ids: Iterable[Id]) -> None:
        """Delete the points with these ids. Ids without a point are ignored."""
        for some in pieces(ids):
            self._ask(self.client.delete, points_selector=some, wait=True)

    def snapshot(self) -> Snapshot | None:
        """Make the server write its own snapshot of the collection. Return None when the server does not support snapshots."""
        from qdrant_client.http.exceptions import UnexpectedResponse  # noqa: PLC0415  an extra, and slow to load

        try:
            made = self._ask(self.client.create_snapshot)
        except UnexpectedResponse as error:
            if error.status_code in (404, 405, 501):
                return None
            raise
        return Snapshot(made.name, made.size, made.checksum)

    def forget_snapshot(self, name: str) -> None:
        """Delete the snapshot ``name`` from the server's disk."""
        self._ask(self.client.delete_snapshot, snapshot_name=name)

    def recover(self, location: str, sha256: str) -> str:
        """Let the server replace the collection by the snapshot at the URL ``location``.

        Return the reason if the server refuses, and otherwise an empty text.
        """
        from qdrant_client.http.exceptions import UnexpectedResponse  # noqa: PLC0415  an extra, and slow to load
        from qdrant_client.models import SnapshotPriority  # noqa: PLC0415  an extra, and slow to load

        try:
            self._ask(self.client.recover_snapshot, location=location, checksum=sha256, priority=SnapshotPriority.SNAPSHOT)
        except UnexpectedResponse as error:
            return reason(error)
        return ""


def pieces(items: Iterable[T], size: int = PAGE) -> Iterator[list[T]]:
    """Split ``items`` into lists of at most ``size`` items."""
    rest = iter(items)
    while piece := list(itertools.islice(rest, size)):
        yield piece


@contextmanager
def connected(ctx: Context, service: Qdrant, *, answer_s: float = ANSWER_S) -> Iterator[Session]:
    """Yield a session with the server of ``service``. Raises CouldNotVerify for errors of the server or the connection,
    and for an answer that takes longer than ``answer_s`` seconds."""
    try:
        from qdrant_client import QdrantClient  # noqa: PLC0415  an extra, and slow to load
        from qdrant_client.common.client_exceptions import QdrantException  # noqa: PLC0415  an extra, and slow to load
        from qdrant_client.http.exceptions import ApiException  # noqa: PLC0415  an extra, and slow to load
    except ImportError as error:
        raise CouldNotVerify("qdrant-client is not installed", hint=extras.adding("qdrant")) from error

    # Send the key as a header: the client's own parameter warns about http and changes a URL without a port to https.
    headers = {"Accept-Encoding": "identity"} | ({"api-key": service.api_key.reveal()} if service.api_key else {})
    client: Any = None
    lines = Lines(ctx.deadline)
    try:
        ctx.deadline.check()
        client = QdrantClient(
            url=service.url,
            port=None,
            headers=headers,
            check_compatibility=False,
            trust_env=False,
            event_hooks={"request": [partial(_watch, lines)], "response": [partial(_bounded, service)]},
            timeout=math.ceil(min(answer_s, max(1.0, ctx.deadline.remaining()))),
        )
        yield Session(client, service.collection, ctx.deadline, ApiException)
    except (ApiException, QdrantException, OSError) as error:
        if over := _over_budget(error):
            raise over from error
        ctx.deadline.check(f"{service.name} at {service.url}")
        raise CouldNotVerify(
            f"{service.name}, collection {service.collection!r} at {service.url}: {reason(error)}",
            hint=(
                "check that the server runs, and that the inventory has the right url, collection and api_key of the service"
            ),
        ) from error
    finally:
        lines.close()
        if client is not None:
            client.close()


def _watch(lines: Lines, request: Any) -> None:
    """Add the socket of the httpx request ``request`` to ``lines``, so that the socket is closed at the deadline.

    The trace extension of httpx gives access to the socket.
    """

    def told(event: str, data: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            lines.add(data["return_value"].get_extra_info("socket"))

    request.extensions["trace"] = told


def _over_budget(error: BaseException) -> CouldNotVerify | None:
    """Return the CouldNotVerify error that is inside ``error``, or None if there is none. This error says that an answer
    exceeded the size limit, and qdrant-client puts it inside an error of its own.
    """
    source = getattr(error, "source", None)
    return source if isinstance(source, CouldNotVerify) else None


def _bounded(service: Qdrant, answer: Any) -> None:
    """Limit the size of the body of ``answer``, an httpx response, before the body is read. Raises CouldNotVerify when the
    body is compressed. Later reads raise CouldNotVerify when the body exceeds the limit.
    """
    from httpx import SyncByteStream  # noqa: PLC0415  an extra

    what = f"an answer of {service.name} at {service.url}"
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise CouldNotVerify(f"{what} is compressed, although no compression was requested")
    stream, budget = answer.stream, Budget(what)

    class Counted(SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for piece in stream:
                budget.take_json(piece)
                yield piece

        def close(self) -> None:
            stream.close()

    answer.stream = Counted()


def reason(error: BaseException) -> str:
    """Return the text of an error of a server or a connection as one printable line."""
    content = getattr(error, "content", None)
    text = ""
    if isinstance(content, bytes):
        try:
            text = str(json.loads(content)["status"]["error"])
        except (ValueError, KeyError, TypeError):
            text = excerpt(content, limit=200)
        text = f"status {getattr(error, 'status_code', '?')}: {text}"
    source = getattr(error, "source", error)
    return printable((text or str(source).strip() or type(source).__name__).splitlines()[0], limit=300)


def need_collection(ctx: Context, service: Qdrant, *, writable: bool = False, missing: bool = False) -> None:
    """Check that the server answers and has the collection. A collection that is missing is accepted if ``missing`` is true, or
    if the service is temporary.

    ``writable``: also check that the API key permits writing, by deleting a point that does not exist. This changes nothing.
    Without a collection, the key cannot be checked. Raises NotReady when a check fails.
    """
    try:
        with connected(ctx, service) as session:
            there = session.exists()
            if there and writable:
                session.delete([str(uuid.uuid4())])
    except CouldNotVerify as error:
        if writable and "status 403" in error.message:
            raise NotReady(
                f"the API key of {service.name} may read but not write: {error.message}",
                hint="set `api_key` of the service to a key that may write",
            ) from error
        raise NotReady(error.message, hint=error.hint) from error
    if not (there or missing or service.temporary):
        raise NotReady(
            f"{service.name}: there is no collection {service.collection!r} at {service.url}",
            hint="check `collection` of the service in the inventory",
        )

"""A collection in a Qdrant server, through qdrant-client over REST: pieces of bounded size, and one kind of error."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.answers import Budget
from drillbook.sdk.deadline import Lines
from drillbook.sdk.host import Deadline, excerpt, printable
from drillbook.systems.qdrant.points import Id, Point, id_of
from drillbook.systems.qdrant.service import Qdrant

T = TypeVar("T")

ANSWER_S = 30.0
"""Seconds within which a server must answer one request."""
PAGE = 500
"""Points of one request."""
IDS_PAGE = 5000
"""Points of one request that asks for ids alone."""
MOST_POINTS = 5_000_000
"""Points of a collection whose ids are held at once."""
MOST_NAMES = 256 << 20
"""Bytes of their ids."""
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
    """A snapshot on the server's disk: its name, bytes, and SHA-256 where the server tells it."""

    name: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """A client of one collection. What the server refuses raises errors that ``connected`` makes a CouldNotVerify."""

    client: Any
    collection: str
    deadline: Deadline
    refused: type[Exception]
    """Root of the errors that the client raises."""

    def _ask(self, call: Callable[..., T], **given: Any) -> T:
        self.deadline.check()
        return call(collection_name=self.collection, **given)

    def version(self) -> str:
        """Version of the server."""
        self.deadline.check()
        return str(self.client.info().version)

    def exists(self) -> bool:
        """Is there such a collection?"""
        return bool(self._ask(self.client.collection_exists))

    def status(self) -> str:
        """``green``, ``yellow``, ``grey`` or ``red``, see Qdrant's documentation of collections."""
        return str(self._ask(self.client.get_collection).status.value)

    def count(self) -> int:
        """How many points there are, counted one by one."""
        return int(self._ask(self.client.count, exact=True).count)

    def config(self) -> dict[str, Any]:
        """What a collection that takes the same points needs: vectors, shards, indexes, and the fields that are indexed."""
        info = self._ask(self.client.get_collection)
        whole = info.config.model_dump(mode="json", exclude_none=True)
        found = whole | whole["params"]
        fields = {
            name: one.params.model_dump(mode="json", exclude_none=True) if one.params else str(one.data_type.value)
            for name, one in sorted(info.payload_schema.items())
        }
        return {key: found[key] for key in _KEPT if found.get(key)} | {"fields": fields}

    def create(self, config: dict[str, Any]) -> None:
        """Make the collection as ``config`` says, see there."""
        from qdrant_client import models  # noqa: PLC0415  slow to import

        self.deadline.check()
        wanted = models.CreateCollection.model_validate({key: config[key] for key in _KEPT if key in config})
        self.client.http.collections_api.create_collection(collection_name=self.collection, create_collection=wanted)
        for name, schema in config["fields"].items():
            index = models.CreateFieldIndex.model_validate({"field_name": name, "field_schema": schema})
            self._ask(self.client.http.indexes_api.create_field_index, create_field_index=index, wait=True)

    def points(self) -> Iterator[list[Point]]:
        """Every point, in pieces; one that is there all the time comes exactly once."""
        for records in self._scroll(PAGE, with_vectors=True, with_payload=True):
            yield [Point.of(record) for record in records]

    def ids(self) -> set[Id]:
        """The id of every point."""
        found: set[Id] = set()
        budget = self._budget()
        for records in self._scroll(IDS_PAGE, with_vectors=False, with_payload=False):
            budget.take(sum(len(str(record.id)) for record in records), len(records))
            found |= {id_of(record.id) for record in records}
        return found

    def digests(self) -> dict[Id, bytes]:
        """The digest of every point by its id."""
        found: dict[Id, bytes] = {}
        budget = self._budget()
        for points in self.points():
            budget.take(sum(len(str(point.id)) for point in points), len(points))
            found |= {point.id: point.digest() for point in points}
        return found

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
                limit = max(1, limit // 8)  # points may be so large that fewer fill an answer
                continue
            offset = after
            if records:
                yield records
            if offset is None:
                return

    def fetch(self, ids: Sequence[Id]) -> dict[Id, Point]:
        """The points of these ids that are there."""
        found: dict[Id, Point] = {}
        for some in pieces(ids):
            for record in self._retrieve(some):
                point = Point.of(record)
                found[point.id] = point
        return found

    def _retrieve(self, ids: Sequence[Id]) -> list[Any]:
        """The points of ``ids``, whole; asked for in parts when one answer is too small for all of them."""
        try:
            return list(self._ask(self.client.retrieve, ids=ids, with_payload=True, with_vectors=True))
        except self.refused as error:
            if not _over_budget(error) or len(ids) == 1:
                raise
        half = len(ids) // 2
        return self._retrieve(ids[:half]) + self._retrieve(ids[half:])

    def present(self, ids: Iterable[Id]) -> set[Id]:
        """Those of ``ids`` that are there."""
        found: set[Id] = set()
        for some in pieces(ids):
            records = self._ask(self.client.retrieve, ids=some, with_payload=False, with_vectors=False)
            found |= {id_of(record.id) for record in records}
        return found

    def put(self, points: Iterable[Point]) -> None:
        """Write points, over those that have their ids; returns when the server has applied it."""
        from qdrant_client.models import PointStruct  # noqa: PLC0415  slow to import

        for some in pieces(points):
            made = [PointStruct(id=one.id, vector=one.vector, payload=one.payload) for one in some]
            self._ask(self.client.upsert, points=made, wait=True)

    def delete(self, ids: Iterable[Id]) -> None:
        """Delete the points of these ids; those that are not there count as deleted."""
        for some in pieces(ids):
            self._ask(self.client.delete, points_selector=some, wait=True)

    def snapshot(self) -> Snapshot | None:
        """Let the server write its own snapshot of the collection; None when it has no such request."""
        from qdrant_client.http.exceptions import UnexpectedResponse  # noqa: PLC0415  an extra, and slow to import

        try:
            made = self._ask(self.client.create_snapshot)
        except UnexpectedResponse as error:
            if error.status_code in (404, 405, 501):
                return None
            raise
        return Snapshot(made.name, made.size, made.checksum)

    def forget_snapshot(self, name: str) -> None:
        """Delete a snapshot from the server's disk."""
        self._ask(self.client.delete_snapshot, snapshot_name=name)

    def recover(self, location: str, sha256: str) -> str:
        """Let the server put the snapshot at the URL ``location`` in the place of the collection.

        Returns why it refused, or nothing.
        """
        from qdrant_client.http.exceptions import UnexpectedResponse  # noqa: PLC0415  an extra, and slow to import
        from qdrant_client.models import SnapshotPriority  # noqa: PLC0415  an extra, and slow to load

        try:
            self._ask(self.client.recover_snapshot, location=location, checksum=sha256, priority=SnapshotPriority.SNAPSHOT)
        except UnexpectedResponse as error:
            return reason(error)
        return ""


def pieces(items: Iterable[T], size: int = PAGE) -> Iterator[list[T]]:
    """``items`` in lists of at most ``size``."""
    rest = iter(items)
    while piece := list(itertools.islice(rest, size)):
        yield piece


@contextmanager
def connected(ctx: Context, service: Qdrant, *, answer_s: float = ANSWER_S) -> Iterator[Session]:
    """A session with the collection of ``service``; each answer must come within ``answer_s`` seconds.

    Raises CouldNotVerify for all that server or connection refuse.
    """
    try:
        from qdrant_client import QdrantClient  # noqa: PLC0415  an extra, and slow to import
        from qdrant_client.common.client_exceptions import QdrantException  # noqa: PLC0415  an extra, and slow to load
        from qdrant_client.http.exceptions import ApiException  # noqa: PLC0415  an extra, and slow to load
    except ImportError as error:
        raise CouldNotVerify("qdrant-client is not installed", hint="pip install 'drillbook[qdrant]'") from error

    # The key goes as a header: the client's own parameter warns of http, and would turn a URL without port to https.
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
            hint=("check url, collection and api_key of the service in the inventory, and that it runs"),
        ) from error
    finally:
        lines.close()
        if client is not None:
            client.close()


def _watch(lines: Lines, request: Any) -> None:
    """Let ``lines`` end the connection of ``request``, one of httpx, which tells of it by this extension alone."""

    def told(event: str, data: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            lines.add(data["return_value"].get_extra_info("socket"))

    request.extensions["trace"] = told


def _over_budget(error: BaseException) -> CouldNotVerify | None:
    """The budget's own error, which the client has wrapped in ``error``."""
    source = getattr(error, "source", None)
    return source if isinstance(source, CouldNotVerify) else None


def _bounded(service: Qdrant, answer: Any) -> None:
    """Give the body of ``answer``, one of httpx, a budget before anything of it is read. Raises CouldNotVerify."""
    from httpx import SyncByteStream  # noqa: PLC0415  comes with qdrant-client

    what = f"an answer of {service.name} at {service.url}"
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise CouldNotVerify(f"{what} is compressed, which nobody asked for")
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
    """What the server or the connection said, in one printable line."""
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


def need_collection(ctx: Context, service: Qdrant) -> None:
    """Raise NotReady unless the server answers and has the collection."""
    try:
        with connected(ctx, service) as session:
            there = session.exists()
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error
    if not there:
        raise NotReady(
            f"{service.name}: there is no collection {service.collection!r} at {service.url}",
            hint="check `collection` of the service in the inventory",
        )

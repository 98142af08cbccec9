"""Finding the newest backup of a database in a store, whoever took it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from drillbook.errors import CouldNotVerify
from drillbook.sdk.host import Deadline
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import FILE, sha256
from drillbook.systems.postgres.manifest import FORMAT, Manifest
from drillbook.systems.postgres.service import Postgres

READERS = 8


@dataclass(frozen=True, slots=True)
class Found:
    """One backup: where it lies, with the digest that its manifest has now, and the moment that it holds."""

    folder: Reference
    manifest: Manifest

    @property
    def at(self) -> datetime:
        """The moment that the backup shows, on the clock of the server that it was taken from."""
        return datetime.fromisoformat(self.manifest.server_time).astimezone(UTC)

    def age(self, now: datetime) -> float:
        """Seconds from that moment to ``now``."""
        return (now - self.at).total_seconds()


@dataclass(frozen=True, slots=True)
class Search:
    """What a store holds of one database: the newest backup, how many there are, and what is no backup after all."""

    newest: Found | None
    count: int
    unreadable: tuple[str, ...]


def search(store: Store, prefix: str, service: Postgres, deadline: Deadline) -> Search:
    """Read every manifest below ``prefix``: the newest is told by what it says, not by when it was uploaded.

    Raises CouldNotVerify when the store does not answer.
    """
    keys = [prefix + name for name in store.sizes(prefix) if name == FILE or name.endswith("/" + FILE)]
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifests") as pool:
        read = list(pool.map(lambda key: _read(store, key, deadline), keys))
    mine = [one for one in read if isinstance(one, Found) and _is_of(one.manifest, service)]
    return Search(_newest(mine), len(mine), tuple(one for one in read if isinstance(one, str)))


def _is_of(manifest: Manifest, service: Postgres) -> bool:
    return (manifest.service, manifest.database.name) == (service.name, service.database)


def _newest(found: Sequence[Found]) -> Found | None:
    return max(found, key=lambda one: one.at, default=None)


def _read(store: Store, key: str, deadline: Deadline) -> Found | str | None:
    """The backup whose manifest is ``key``; its key when it says that it is one and cannot be read; None for others."""
    deadline.check()
    data = store.get(key)
    if data is None or FORMAT.encode() not in data:
        return None
    folder = Reference(store.service.bucket, key.removesuffix(FILE).rstrip("/"), sha256(data))
    try:
        found = Found(folder, Manifest.model_validate(json.loads(data)))
        found.at  # noqa: B018  a moment that cannot be read
    except ValueError:
        return key
    return found


def of(store: Store, prefix: str, service: Postgres, deadline: Deadline) -> tuple[Found, Search]:
    """The newest backup. Raises CouldNotVerify when there is none."""
    result = search(store, prefix, service, deadline)
    if result.newest is None:
        where = f"below {prefix!r} " if prefix else ""
        raise CouldNotVerify(
            f"the store {store.service.name} holds no backup of {service.name} {where}".rstrip(),
            hint="take one with `postgres.dump`, or correct `prefix`",
        )
    return result.newest, result

"""Searches a store for the newest backup of a database. Backups of all runs are considered."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from drillbook.errors import CouldNotVerify
from drillbook.language.lists import listed
from drillbook.sdk.host import Deadline
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import FILE, sha256
from drillbook.systems.postgres.manifest import FORMAT, Manifest
from drillbook.systems.postgres.service import Postgres

READERS = 8
MOST_DRILLS = 3
"""Maximum number of drills whose names are in a message."""


@dataclass(frozen=True, slots=True)
class Found:
    """One backup: its manifest, and a reference to its folder. The reference contains the digest of the manifest."""

    folder: Reference
    manifest: Manifest

    @property
    def at(self) -> datetime:
        """Time of the snapshot, by the clock of the dumped server."""
        return datetime.fromisoformat(self.manifest.server_time).astimezone(UTC)

    def age(self, now: datetime) -> float:
        """Return the number of seconds from the snapshot to ``now``."""
        return (now - self.at).total_seconds()


@dataclass(frozen=True, slots=True)
class Search:
    """Result of a search for backups of one database.

    ``newest``: the newest backup; ``count``: number of backups; ``unreadable``: keys of the manifests that are unreadable.
    """

    newest: Found | None
    count: int
    unreadable: tuple[str, ...]
    others: tuple[str, ...] = ()
    """Names of the drills whose backups were left out, sorted."""


def search(store: Store, prefix: str, service: Postgres, deadline: Deadline, taken_by: Collection[str] = ()) -> Search:
    """Read every manifest below ``prefix``, and find the newest backup of the service.

    ``taken_by``: names of drills; backups that other drills took are left out. When it is empty, no backup is left out.
    Backups are compared by the time of the snapshot in the manifest. The time of the upload is not used. Raises CouldNotVerify
    when the store does not answer.
    """
    keys = [prefix + name for name in store.sizes(prefix) if name == FILE or name.endswith("/" + FILE)]
    with ThreadPoolExecutor(READERS, thread_name_prefix="manifests") as pool:
        read = list(pool.map(lambda key: _read(store, key, deadline), keys))
    mine = [backup for backup in read if isinstance(backup, Found) and _is_of(backup.manifest, service)]
    counted = [backup for backup in mine if not taken_by or backup.manifest.drill in taken_by]
    others = {backup.manifest.drill for backup in mine} - {backup.manifest.drill for backup in counted}
    unreadable = tuple(key for key in read if isinstance(key, str))
    return Search(_newest(counted), len(counted), unreadable, tuple(sorted(others)))


def _is_of(manifest: Manifest, service: Postgres) -> bool:
    return (manifest.service, manifest.database.name) == (service.name, service.database)


def _newest(backups: Sequence[Found]) -> Found | None:
    return max(backups, key=lambda backup: backup.at, default=None)


def _read(store: Store, key: str, deadline: Deadline) -> Found | str | None:
    """Return the backup whose manifest is the object ``key``.

    Return ``key`` if the manifest is unreadable, and None if the object is missing or is not the manifest of a dump.
    """
    deadline.check()
    data = store.get(key)
    if data is None or FORMAT.encode() not in data:
        return None
    folder = Reference(store.service.bucket, key.removesuffix(FILE).rstrip("/"), sha256(data))
    try:
        backup = Found(folder, Manifest.model_validate(json.loads(data)))
        backup.at  # noqa: B018  raises when the time cannot be parsed
    except ValueError:
        return key
    return backup


def of(
    store: Store, prefix: str, service: Postgres, deadline: Deadline, taken_by: Collection[str] = ()
) -> tuple[Found, Search]:
    """Return the newest backup of the service, and the result of the search. ``taken_by``: as in ``search``.

    Raises CouldNotVerify when there is no backup.
    """
    result = search(store, prefix, service, deadline, taken_by)
    if result.newest is not None:
        return result.newest, result
    lacking = f"the store {store.service.name} contains no backup of {service.name}"
    where = f" below {prefix!r}" if prefix else ""
    if not taken_by:
        raise CouldNotVerify(f"{lacking}{where}", hint="take a backup with `postgres.dump`, or correct `prefix`")
    others = (
        f"; the store contains backups that other drills took: {listed(result.others, MOST_DRILLS)}" if result.others else ""
    )
    raise CouldNotVerify(
        f"{lacking}{where} that {' or '.join(taken_by)} took{others}",
        hint="find out why the drill took none, or correct `taken_by` or `prefix`",
    )

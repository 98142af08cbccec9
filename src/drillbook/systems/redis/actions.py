"""Redis and Valkey: save, flush, restore, and prove key by key that it came back."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Fault, Place, Read, Undo, Write
from drillbook.sdk.backup_writer import drop_uploads
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Reference, Store, Uri
from drillbook.sdk.transfer import PART_LEAST, Carrier
from drillbook.systems.redis import content, identity, ownership, rights, server, trial
from drillbook.systems.redis import manifest as manifests
from drillbook.systems.redis.compare import compare
from drillbook.systems.redis.connection import Session, connected
from drillbook.systems.redis.proof import Proof, scratch
from drillbook.systems.redis.restore import Restore as Restoring
from drillbook.systems.redis.save import Backup, as_owner
from drillbook.systems.redis.service import Redis
from drillbook.values import Size

ServiceName = Annotated[str, Field(description="The Redis service in the inventory.")]
Location = Annotated[Uri, Field(alias="from", description="The `location` that a save gave.")]
PartSize = Annotated[Size, Field(ge=PART_LEAST, description="A larger file is sent in parts of this size.")]
Reason = Annotated[str, Field(min_length=1)]


class Healthy(Read):
    """The server serves: it answers, has its role, has loaded, and can write its data to disk and new data to memory."""

    SERVICE = Redis
    PLACE = Place.CONTROLLER

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``server version role loading keys databases memory_bytes maxmemory_bytes policy uptime_s persistence``."""
        service = ctx.service(self.service, Redis)
        try:
            with connected(ctx, service) as session:
                session.ask("PING")
                facts = _health(session)
        except CouldNotVerify as error:
            raise StepFailed(
                f"{self.service} does not serve: {error.message}",
                findings=[
                    finding("redis-unhealthy", title=self.service, wanted="an answer to PING", measured=error.message)
                ],
            ) from error
        if wrong := _unhealthy(facts):
            raise StepFailed(
                f"{self.service} is not healthy: {wrong[0][1]}",
                facts=facts,
                findings=[
                    finding("redis-unhealthy", title=self.service, wanted=wanted, measured=seen) for wanted, seen in wrong
                ],
            )
        return facts


def _health(session: Session) -> Facts:
    name, version = server.version(session)
    memory, disk = session.info("memory"), session.info("persistence")
    sizes = session.sizes()
    return {
        "server": name,
        "version": version,
        "role": session.info("replication").get("role", "?"),
        "loading": disk.get("loading", "0") != "0",
        "keys": sum(sizes.values()),
        "databases": len(sizes),
        "memory_bytes": int(memory["used_memory"]),
        "maxmemory_bytes": int(memory["maxmemory"]),
        "policy": memory["maxmemory_policy"],
        "uptime_s": int(session.info("server")["uptime_in_seconds"]),
        "persistence": {
            "append_only": disk["aof_enabled"] == "1",
            "append_status": disk["aof_last_write_status"],
            "save_status": disk["rdb_last_bgsave_status"],
            "saved_at": int(disk["rdb_last_save_time"]),
            "changes_since": int(disk["rdb_changes_since_last_save"]),
        },
    }


def _unhealthy(facts: Facts) -> list[tuple[str, str]]:
    """What was wanted and what was seen, for each thing that is wrong."""
    disk = facts["persistence"]
    full = 0 < facts["maxmemory_bytes"] <= facts["memory_bytes"] and facts["policy"] == "noeviction"
    checks = [
        (facts["role"] == "master", "role master", f"role {facts['role']}"),
        (not facts["loading"], "data that is loaded", "it is loading"),
        (disk["save_status"] == "ok", "a last save that ended well", f"it ended with {disk['save_status']}"),
        (
            not disk["append_only"] or disk["append_status"] == "ok",
            "an append-only file that takes writes",
            f"the last write ended with {disk['append_status']}",
        ),
        (not full, f"memory below {facts['maxmemory_bytes']} bytes", f"{facts['memory_bytes']} bytes, no eviction"),
    ]
    return [(wanted, seen) for good, wanted, seen in checks if not good]


class Save(Write):
    """Save the keyspace to a store as the server's own RDB, loaded once by a server, with a digest of every key."""

    SERVICE = Redis
    TIMEOUT = 3600.0
    UNDO = ("action",)

    service: ServiceName
    to: Annotated[Uri, Field(description="Folder in a store: `s3://bucket/prefix`. It must hold no backup yet.")]
    part_size: PartSize = Size(32 << 20)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location manifest bytes keys types snapshot_at server append_only algorithm seconds evidence``."""
        service = ctx.service(self.service, Redis)
        return Backup(ctx, service, Store(ctx.bucket(self.to)), Reference.parse(self.to), int(self.part_size)).take()

    def ready(self, ctx: Context) -> None:
        """Role, version, memory for a second server, a way to carry the file, and the store."""
        service = ctx.service(self.service, Redis)
        used = _can_be_saved(ctx, service)
        free = ctx.run("sed", "-n", "s/^MemAvailable: *\\([0-9]*\\) kB$/\\1/p", "/proc/meminfo").text
        if free.isdecimal() and int(free) * 1024 < used:
            raise NotReady(
                f"{ctx.host.name} has {int(free) >> 10} MiB of memory, and {self.service} uses {used >> 20} MiB",
                hint="the saved file is loaded once by a second server; make room for it",
            )
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("to"):
            Store(ctx.bucket(self.to)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The keyspace that is saved."""
        return identity.measured(ctx, self.service)

    def interrupted(self, ctx: Context) -> None:
        """Drop what was being uploaded."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """The backup is kept; its mark in the keyspace is removed."""
        return Undo.by_action("redis.unmark", service=self.service)

    def active(self, ctx: Context) -> bool:
        """True while the mark is in the keyspace."""
        return _marked(ctx, self.service)


def _can_be_saved(ctx: Context, service: Redis) -> int:
    """Bytes of memory that the server uses. Raises NotReady."""
    try:
        with connected(ctx, service) as session:
            server.must_be_master(session, service)
            rights.must_allow(session, service, rights.saving(ctx.run_id))
            place = server.place(session, service)
            used = int(session.info("memory")["used_memory"])
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error
    if not ctx.run("test", "-x", place.program).ok:
        raise NotReady(
            f"{ctx.host.name}: the server's program {place.program!r} cannot be run by this user",
            hint="set `program` of the service to the path of redis-server or valkey-server on the host",
        )
    if not ctx.run(*as_owner(service), "test", "-r", place.directory).ok:
        raise NotReady(
            f"{ctx.host.name}: the data in {place.directory} cannot be read",
            hint="set `run_as` of the service to the owner of its data",
        )
    return used


def _marked(ctx: Context, name: str) -> bool:
    with connected(ctx, ctx.service(name, Redis)) as session:
        return bool(session.ask("EXISTS", content.mark_of(ctx.run_id)))


class Unmark(Write):
    """Remove the mark that this run's save left in the keyspace. Does no harm when there is none."""

    SERVICE = Redis
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed`` (0 or 1)."""
        with connected(ctx, ctx.service(self.service, Redis)) as session:
            return {"removed": session.ask("DEL", content.mark_of(ctx.run_id))}

    def undo(self, ctx: Context) -> Undo:
        """A mark is the drill's own."""
        return Undo.nothing("the mark is the drill's own")


class BackupIntact(Read):
    """Read a backup where it lies, compare every digest, and have a server load it: every key must be as it was."""

    SERVICE = Redis
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("redis.restore",)

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``files``, ``bytes``, ``keys``, ``types``, ``snapshot_at``, ``identity`` of what it holds, ``seconds``."""
        service, begun = ctx.service(self.service, Redis), time.monotonic()
        proof = Proof(ctx, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_))
        try:
            backup = proof.manifest()
            with scratch(ctx, "intact") as folder:
                proof.fetch(backup, folder)
                with trial.loading(ctx, service.program or backup.place.program, f"{folder}/files") as session:
                    found = compare(backup.keys, content.read(session), session.clock(), {})
        except CouldNotVerify as error:
            raise StepFailed(f"the backup could not be read: {error.message}") from error
        if found.findings:
            raise StepFailed(
                f"the backup in {proof.origin} does not hold what it says: {stored_backup.summary(found.findings)}",
                findings=found.findings,
            )
        return {
            "files": len(backup.files),
            "bytes": backup.bytes,
            "keys": backup.count,
            "types": backup.types(),
            "snapshot_at": backup.snapshot_at,
            "identity": self._identity(ctx, backup).model_dump(),
            "seconds": round(time.monotonic() - begun, 3),
        }

    def _identity(self, ctx: Context, backup: manifests.Manifest) -> Identity:
        found = identity.of(ctx, backup.service, backup.mark)
        return found.saved(stored_backup.split(self.from_).sha256 or stored_backup.sha256(backup.encoded()))

    def subject(self, ctx: Context) -> Identity | None:
        """The service's keyspace."""
        return identity.measured(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """A way to carry the file."""
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()


class Flush(Fault):
    """Delete every key of every database, as an operator does who is logged in to the wrong server."""

    SERVICE = Redis
    PLACE = Place.CONTROLLER
    RESTORE_ONLY = True
    PROVEN_BY = ("redis.backup_intact",)
    RESTORED_BY = {"redis.backup_intact": "redis.restore"}
    UNDO = ("restore",)

    service: ServiceName

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``keys_before``, ``databases``, ``keys_after`` (what clients have written since)."""
        service = ctx.service(self.service, Redis)
        if not _marked(ctx, self.service):
            raise StepFailed(f"{self.service} holds no mark of a save by this run: it is not the keyspace that was saved")
        with connected(ctx, service) as session:
            before = session.sizes()
            session.ask("FLUSHALL")
            after = session.sizes()
        return {"keys_before": sum(before.values()), "databases": len(before), "keys_after": sum(after.values())}

    def ready(self, ctx: Context) -> None:
        """There must be a master with something to lose."""
        service = ctx.service(self.service, Redis)
        try:
            with connected(ctx, service) as session:
                server.must_be_master(session, service)
                rights.must_allow(session, service, rights.FLUSH)
                sizes = session.sizes()
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        if not sizes:
            raise NotReady(f"{self.service} holds no key", hint="is it the right server?")

    def subject(self, ctx: Context) -> Identity | None:
        """The keyspace that is flushed."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Only a restore brings the keys back."""
        return Undo.by_restore("the keys are gone; only a restore brings them back")

    def active(self, ctx: Context) -> bool:
        """True while the mark of this run's save is gone: clients refill a cache, but nobody else writes that key."""
        return not _marked(ctx, self.service)

    def untouched(self, ctx: Context) -> bool | None:
        """The mark of this run's save is there: all is flushed or nothing."""
        return _marked(ctx, self.service)


class Restore(Write):
    """Put a saved keyspace in the place of the present one, and restart the server's unit with it.

    With `appendonly yes` a server ignores an RDB that is put beside its append-only file, without a word; the RDB
    therefore also becomes the base of a new one. The old files are put back unless every key was loaded.
    """

    SERVICE = Redis
    TIMEOUT = 3600.0
    UNDO = ("commands",)

    service: ServiceName
    from_: Location

    def _restoring(self, ctx: Context) -> Restoring:
        service = ctx.service(self.service, Redis)
        return Restoring(ctx, service, Store(ctx.bucket(self.from_)), stored_backup.split(self.from_))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``keys`` loaded, ``bytes``, ``append_only``, ``seconds`` of each stage, ``snapshot_at``, ``manifest``."""
        return self._restoring(ctx).run()

    def ready(self, ctx: Context) -> None:
        """The unit, which must run the server at the port, a way to carry the file, and the store."""
        service = ctx.service(self.service, Redis)
        if not service.unit:
            raise NotReady(
                f"the service {self.service!r} names no `unit` in the inventory",
                hint="a server reads its files when it starts: add `unit:` with its name in the service manager",
            )
        ownership.ready(ctx, service)
        Carrier(ctx.host, ctx.deadline, ctx.scratch).tool()
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """The keyspace that was restored."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """A finished restore is kept; an unfinished one gives way to the files that were there before."""
        restoring = self._restoring(ctx)
        return restoring.undo(restoring.place())

    def active(self, ctx: Context) -> bool:
        """True while the old files wait to be put back, or the unit is down."""
        restoring = self._restoring(ctx)
        return restoring.unfinished(restoring.place())


class Matches(Read):
    """Compare the keyspace with a backup, key by key: type, value, and time of expiry within two seconds.

    Keys that have expired since the backup need not be there. Keys of drills are left out.
    """

    SERVICE = Redis
    PLACE = Place.CONTROLLER
    TIMEOUT = 1800.0
    COMPARES = True

    service: ServiceName
    manifest: Annotated[Uri, Field(description="The `manifest` that a save gave.")]
    ignore: Annotated[
        dict[str, Reason],
        Field(
            description="Keys that are not compared, by pattern (`*`, `?`), each with the reason, such as `pages:*: refilled by "
            "readers`."
        ),
    ] = Field(default_factory=dict)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``keys`` compared, ``expired``, ``ignored`` (count and reason of each pattern), ``types seconds``."""
        service, begun = ctx.service(self.service, Redis), time.monotonic()
        backup = manifests.read(Store(ctx.bucket(self.manifest)), stored_backup.split(self.manifest))
        with connected(ctx, service) as session:
            keys = content.read(session)
            now = session.clock()
        found = compare(backup.keys, keys, now, self.ignore)
        facts: Facts = {
            "keys": found.compared,
            "expired": found.expired,
            "types": backup.types(),
            "ignored": {pattern: {"keys": count, "why": self.ignore[pattern]} for pattern, count in found.ignored.items()},
            "algorithm": backup.algorithm,
            "seconds": round(time.monotonic() - begun, 3),
        }
        if found.findings:
            raise StepFailed(
                f"{self.service} differs from the backup: {stored_backup.summary(found.findings)}",
                findings=found.findings,
                facts=facts | {"differing": found.differing},
            )
        if not found.compared:
            raise CouldNotVerify(
                f"no key of the backup could be compared with {self.service}: {found.expired} expired, "
                f"{sum(found.ignored.values())} are ignored"
            )
        return facts

    def subject(self, ctx: Context) -> Identity | None:
        """The keyspace that is compared."""
        return identity.measured(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """The server must answer, the store be reachable."""
        try:
            with connected(ctx, ctx.service(self.service, Redis)) as session:
                session.ask("PING")
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        if self.known("manifest"):
            Store(ctx.bucket(self.manifest)).check()


OWN_LIMIT = 200_000
"""Keys up to which a drill's own are counted one by one; among more they do not matter."""


class Usage(Read):
    """What a cache holds and how well it serves: keys, hits, memory, evictions, and whether somebody emptied it.

    Figures of INFO; hits and misses count since the server's start (or CONFIG RESETSTAT).
    """

    SERVICE = Redis
    PLACE = Place.CONTROLLER

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``keys lasting_keys hits misses hit_rate memory_bytes maxmemory_bytes evicted expired flushes uptime_s``,
        ``clients``; ``lasting_keys`` have no time of expiry and are not a drill's own; ``flushes`` are FLUSHALL and
        FLUSHDB since the start.
        """
        with connected(ctx, ctx.service(self.service, Redis)) as session:
            stats, memory, calls = session.info("stats"), session.info("memory"), session.info("commandstats")
            spaces, uptime = session.info("keyspace"), int(session.info("server")["uptime_in_seconds"])
            clients = int(session.info("clients")["connected_clients"])
            counts = [
                dict(part.split("=", 1) for part in text.split(",")) for name, text in spaces.items() if name[:2] == "db"
            ]
            keys, fleeting = (sum(int(one[word]) for one in counts) for word in ("keys", "expires"))
            own = sum(map(len, content.names(session, f"{content.OWN}*"))) if keys <= OWN_LIMIT else 0
        hits, misses = int(stats["keyspace_hits"]), int(stats["keyspace_misses"])
        flushed = [calls[name] for name in ("cmdstat_flushall", "cmdstat_flushdb") if name in calls]
        flushes = sum(int(one.split(",")[0].removeprefix("calls=")) for one in flushed)
        return {
            "keys": keys,
            "lasting_keys": max(0, keys - fleeting - own),
            "hits": hits,
            "misses": misses,
            "hit_rate": round(hits / (hits + misses), 4) if hits + misses else None,
            "memory_bytes": int(memory["used_memory"]),
            "maxmemory_bytes": int(memory["maxmemory"]),
            "evicted": int(stats["evicted_keys"]),
            "expired": int(stats["expired_keys"]),
            "flushes": flushes,
            "uptime_s": uptime,
            "clients": clients,
        }

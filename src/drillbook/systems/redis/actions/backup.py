"""Actions on backups of a Redis keyspace: saving, verifying and restoring a backup, and comparing the keyspace with a
backup.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.backup_writer import PART_SIZE, BackupFolder, PartSize, drop_uploads
from drillbook.sdk.host_encryption import need_transfer
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference, Uri
from drillbook.sdk.store import Store
from drillbook.sdk.store_rights import need_target
from drillbook.systems.redis import content, field_expiry, identity, ownership, preflight, properties, rights, server_state
from drillbook.systems.redis.actions.fields import Location, ServiceName
from drillbook.systems.redis.compare import Times, compare
from drillbook.systems.redis.connection import Session, connected
from drillbook.systems.redis.disposable_server import beside_service
from drillbook.systems.redis.manifest import Manifest
from drillbook.systems.redis.properties import Properties
from drillbook.systems.redis.restore import Restoring
from drillbook.systems.redis.save import Backup, as_owner
from drillbook.systems.redis.service import Redis

Reason = Annotated[str, Field(min_length=1)]


class Save(Write):
    """Let the server save its keyspace as an RDB file, and copy this file to a store, together with a digest of every key.

    A temporary second server, the trial server, loads the RDB file once. The digests are computed from the keys of this
    trial server.
    """

    SERVICE = Redis
    TIMEOUT = 3600.0
    UNDO = ("action",)
    UNDO_ACTIONS = ("redis.unmark",)

    service: ServiceName
    to: BackupFolder
    part_size: PartSize = PART_SIZE

    def run(self, ctx: Context) -> Facts:
        """Facts: ``location`` (folder of the backup), ``manifest``, ``evidence`` (a copy of the manifest), ``bytes``,
        ``keys`` (number of keys), ``types`` (number of keys of each type), ``snapshot_at`` (time of the saved
        keyspace).

        More facts: ``files`` (number of files), ``server`` (name and version of the server), ``append_only`` (true when
        the server has an append-only file), ``algorithm`` (how the digests are computed), ``seconds`` (duration of each
        stage), ``signed`` (true if the manifest is signed), ``unsigned`` (the reason if it is not).
        """
        service = ctx.service(self.service, Redis)
        return Backup(ctx, service, Store(ctx.bucket(self.to)), Reference.parse(self.to), int(self.part_size)).take()

    def ready(self, ctx: Context) -> None:
        """Check the server's role and version, the permissions of the service's user, the free memory for a trial server, the
        transfer program, and the store.
        """
        service = ctx.service(self.service, Redis)
        used = _can_be_saved(ctx, service)
        preflight.need(ctx, service, rights.reading(ctx.run_id))
        preflight.need_mark(ctx, service)
        free = ctx.run("sed", "-n", "s/^MemAvailable: *\\([0-9]*\\) kB$/\\1/p", "/proc/meminfo").text
        if free.isdecimal() and int(free) * 1024 < used:
            raise NotReady(
                f"{ctx.host.name} has {int(free) >> 10} MiB of free memory, but {self.service} uses {used >> 20} MiB",
                hint="free some memory: the action starts a temporary second server on this host, which loads "
                "the saved file into memory",
            )
        need_transfer(ctx, self.to if self.known("to") else "")
        if self.known("to"):
            need_target(ctx, Store(ctx.bucket(self.to)), self.to)

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the keyspace that is saved."""
        return identity.measured(ctx, self.service)

    def interrupted(self, ctx: Context) -> None:
        """Abort the unfinished uploads to the store folder in the parameter `to`."""
        drop_uploads(ctx, self.to)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the mark of this run, a key in the keyspace. The backup is kept."""
        return Undo.by_action("redis.unmark", service=self.service)

    def active(self, ctx: Context) -> bool:
        """Return True while the keyspace contains the mark of this run, a key that `redis.save` wrote."""
        return identity.marked(ctx, self.service)


def _can_be_saved(ctx: Context, service: Redis) -> int:
    """Return the server's memory use in bytes. Raises NotReady when the keyspace cannot be saved."""
    try:
        with connected(ctx, service) as session:
            server_state.must_be_master(session, service)
            rights.must_allow(ctx, session, service, rights.saving(ctx.run_id))
            place = server_state.place(session, service)
            used = int(session.info("memory")["used_memory"])
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error
    if not ctx.run("test", "-x", place.program).ok:
        raise NotReady(
            f"{ctx.host.name}: the account of the step cannot run the server's program {place.program!r}",
            hint="set `program` of the service to the path of redis-server or valkey-server on the host",
        )
    if not ctx.run(*as_owner(service), "test", "-r", place.directory).ok:
        raise NotReady(
            f"{ctx.host.name}: the data in {place.directory} cannot be read",
            hint="set `run_as` of the service to the owner of the data folder",
        )
    return used


class BackupIntact(Read):
    """Read a backup in the store, compare all file digests, and check every key in a trial server that loads the backup."""

    SERVICE = Redis
    TIMEOUT = 3600.0
    PROVES_BACKUP = True
    RESTORES_WITH = ("redis.restore",)

    service: ServiceName
    from_: Location

    def run(self, ctx: Context) -> Facts:
        """Facts: ``files`` (number of files), ``bytes``, ``keys`` (number of keys), ``types`` (number of keys of each type),
        ``snapshot_at`` (time of the saved keyspace), ``identity`` (identity of the saved keyspace), ``seconds`` (duration).
        """
        service, begun = ctx.service(self.service, Redis), time.monotonic()
        store, origin = Store(ctx.bucket(self.from_)), stored_backup.split(self.from_)
        try:
            backup = Manifest.read_whole(store, origin)
            with ctx.temporary("intact") as scratch:
                folder = stored_backup.carry(ctx, store, origin, backup, scratch)
                with beside_service.loading(ctx, service.program or backup.place.program, folder) as session:
                    comparison = compare(backup.keys, content.read(session), session.clock(), {}, _times(backup, session))
                    wrong = _changed(backup, Properties(salt="", functions=properties.functions(session)), {})
        except CouldNotVerify as error:
            raise StepFailed(f"the backup could not be verified: {error.message}") from error
        if problems := [*comparison.findings, *wrong]:
            raise StepFailed(
                f"the backup in {origin} does not match its manifest: {stored_backup.summary(problems)}", findings=problems
            )
        return {
            "files": len(backup.files),
            "bytes": backup.bytes,
            "keys": backup.count,
            "types": backup.types(),
            "snapshot_at": backup.taken_at,
            "identity": self._identity(ctx, backup).model_dump(),
            "seconds": round(time.monotonic() - begun, 3),
        }

    def _identity(self, ctx: Context, backup: Manifest) -> Identity:
        unsaved = identity.of(ctx, backup.service, backup.mark)
        return unsaved.saved(backup.digest_at(stored_backup.split(self.from_)))

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the service's keyspace."""
        return identity.measured(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """Check that a transfer program exists on the host."""
        need_transfer(ctx, self.from_ if self.known("from_") else "")


class Restore(Write):
    """Replace the keyspace of a server by the keyspace in a backup, and restart the server's unit.

    A server with the setting `appendonly yes` silently ignores an RDB file if it has an append-only file. Therefore the
    RDB file also becomes the base of a new append-only file. If the server has not loaded every key, the old files are
    put back.
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
        """Facts: ``keys`` (number of loaded keys), ``bytes`` (size of the backup), ``append_only`` (true when the server has
        an append-only file), ``seconds`` (duration of each stage), ``snapshot_at`` (time of the saved keyspace),
        ``manifest`` (address of the backup's manifest).
        """
        return self._restoring(ctx).run()

    def ready(self, ctx: Context) -> None:
        """Check that the unit in the inventory runs the server at the port, and that the transfer program and the store
        work.
        """
        service = ctx.service(self.service, Redis)
        if not service.unit:
            raise NotReady(
                f"the service {self.service!r} has no `unit` in the inventory",
                hint="a restore restarts the server: set `unit` of the service to its unit in the service manager",
            )
        ownership.ready(ctx, service)
        need_transfer(ctx, self.from_ if self.known("from_") else "")
        if self.known("from_"):
            Store(ctx.bucket(self.from_)).check()

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the keyspace that was restored."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that starts the unit, and puts the old files back if the restore did not finish."""
        restoring = self._restoring(ctx)
        return restoring.undo(restoring.place())

    def active(self, ctx: Context) -> bool:
        """Return True while the server's old files must still be put back, and also while the unit is stopped."""
        restoring = self._restoring(ctx)
        return restoring.unfinished(restoring.place())


class Matches(Read):
    """Compare the keyspace with a backup, key by key: type, value, and expiry time within two seconds.

    Keys that have expired since the backup may be missing. Drillbook's own keys are not compared. The expiry times of hash
    fields, the function libraries, the users (ACLs) and the settings must also match the backup. In a sandbox, users and
    settings are not compared.
    """

    SERVICE = Redis
    PLACE = Place.CONTROLLER
    TIMEOUT = 1800.0
    COMPARES = True

    service: ServiceName
    manifest: Annotated[Uri, Field(description="Fact `manifest` of the step `redis.save`.")]
    ignore: Annotated[
        dict[str, Reason],
        Field(
            description="Keys that are not compared: patterns of their names (`*`, `?`), each with the reason, "
            "such as `pages:*: refilled by readers`."
        ),
    ] = Field(default_factory=dict)
    ignore_server: Annotated[
        dict[str, Reason],
        Field(
            description="Settings, users (`user NAME`) and libraries (`function NAME`) that are not compared: "
            "patterns of their names, each with the reason, such as `maxmemory: the new server has "
            "less memory`. The pattern `*` excludes all."
        ),
    ] = Field(default_factory=dict)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``keys`` (number of compared keys), ``expired`` (number of expired keys), ``own_keys`` (number of Drillbook's
        own keys), ``ignored`` (for each pattern in the parameter `ignore`, the number of ignored keys and the reason),
        ``types`` (for each type, the number of keys in the backup, including keys that were not compared), ``algorithm`` (how
        the digests are computed), ``not_covered`` (properties that were not compared), ``seconds`` (duration).
        """
        service, begun = ctx.service(self.service, Redis), time.monotonic()
        backup = Manifest.read(Store(ctx.bucket(self.manifest)), stored_backup.split(self.manifest))
        with connected(ctx, service) as session:
            keys, times = content.read(session), _times(backup, session)
            now = session.clock()
            present = _properties(backup, service, session)
        comparison = compare(backup.keys, keys, now, self.ignore, times)
        problems = [*comparison.findings, *_changed(backup, present, self.ignore_server)]
        facts: Facts = {
            "keys": comparison.compared,
            "expired": comparison.expired,
            "own_keys": comparison.own,
            "types": backup.types(),
            "ignored": {
                pattern: {"keys": count, "why": self.ignore[pattern]} for pattern, count in comparison.ignored.items()
            },
            "algorithm": backup.algorithm,
            "not_covered": _not_covered(backup, present),
            "seconds": round(time.monotonic() - begun, 3),
        }
        if problems:
            raise StepFailed(
                f"the keyspace of {self.service} differs from the backup: {stored_backup.summary(problems)}",
                findings=problems,
                facts=facts | {"differing": comparison.differing},
            )
        if not comparison.compared:
            raise CouldNotVerify(
                f"no key of the backup could be compared with {self.service}: {comparison.expired} keys have "
                f"expired, and {sum(comparison.ignored.values())} keys are ignored"
            )
        return facts

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the keyspace that is compared."""
        return identity.measured(ctx, self.service)

    def ready(self, ctx: Context) -> None:
        """Check that the server answers and the store is reachable. In a sandbox the server is not checked, since it starts
        only with the restore.
        """
        service = ctx.service(self.service, Redis)
        if service.sandbox is None:
            try:
                with connected(ctx, service) as session:
                    session.ask("PING")
            except CouldNotVerify as error:
                raise NotReady(error.message, hint=error.hint) from error
        if self.known("manifest"):
            Store(ctx.bucket(self.manifest)).check()


def _times(backup: Manifest, session: Session) -> Times:
    """Return two results: the expiry times of hash fields in the backup, and on the server. Both results are empty when the
    backup contains no such times.
    """
    return Times() if backup.fields is None else Times(backup.fields, field_expiry.read(session))


def _properties(backup: Manifest, service: Redis, session: Session) -> Properties:
    """Read the properties of the server that are compared with the backup.

    In a sandbox only the functions are compared, because a sandbox has users and settings of its own.
    """
    if backup.properties is None:
        return Properties(salt="")
    if service.sandbox is not None:
        return Properties(salt="", functions=properties.functions(session))
    return properties.read(session, backup.properties.salt)


def _changed(backup: Manifest, present: Properties, ignore: Mapping[str, str]) -> list[Finding]:
    return [] if backup.properties is None else properties.differences(backup.properties, present, ignore)


def _not_covered(backup: Manifest, present: Properties) -> list[str]:
    """Return the properties that were not compared."""
    missing = {*present.missing(), *(backup.properties.missing() if backup.properties else ())}
    return sorted(missing | ({"expiry times of fields"} if backup.fields is None else set()))

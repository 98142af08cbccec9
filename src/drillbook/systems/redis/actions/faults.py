"""Fault `redis.flush`: delete all keys."""

from __future__ import annotations

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.sdk.identity import Identity
from drillbook.systems.redis import identity, rights, server_state
from drillbook.systems.redis.actions.fields import ServiceName
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.service import Redis


class Flush(Fault):
    """Delete every key of every database, as happens when an operator is logged in to the wrong server."""

    SERVICE = Redis
    PLACE = Place.CONTROLLER
    RESTORE_ONLY = True
    PROVEN_BY = ("redis.backup_intact", "backup.check")
    RESTORED_BY = {"redis.backup_intact": "redis.restore", "backup.check": "backup.restore"}
    UNDO = ("restore",)

    service: ServiceName

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``keys_before`` (number of keys), ``databases`` (number of databases), ``keys_after`` (number of keys that
        clients wrote after the flush).
        """
        service = ctx.service(self.service, Redis)
        if not identity.marked(ctx, self.service):
            raise StepFailed(
                f"{self.service} contains no mark of this run, so it may be another keyspace than the one that "
                f"was backed up; add `redis.save` to `backup`, or `redis.mark` if `backup.restore` restores the keys"
            )
        with connected(ctx, service) as session:
            before = session.sizes()
            session.ask("FLUSHALL")
            after = session.sizes()
        return {"keys_before": sum(before.values()), "databases": len(before), "keys_after": sum(after.values())}

    def ready(self, ctx: Context) -> None:
        """Check that the server is a master with keys, and that the service's user may run FLUSHALL."""
        service = ctx.service(self.service, Redis)
        try:
            with connected(ctx, service) as session:
                server_state.must_be_master(session, service)
                rights.must_allow(ctx, session, service, rights.FLUSH)
                sizes = session.sizes()
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error
        if not sizes:
            raise NotReady(
                f"{self.service} contains no keys",
                hint="check that the service in the inventory has the address of the right server",
            )

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the keyspace that is flushed."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: only a restore can recover the keys."""
        return Undo.by_restore("the keys are lost; only a restore can recover them")

    def active(self, ctx: Context) -> bool:
        """Return True while the mark of this run is missing in the keyspace. The mark is a key that was written before the
        fault. Clients may write other keys after a flush, but they never write the mark.
        """
        return not identity.marked(ctx, self.service)

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when the mark of this run is in the keyspace. The mark is a key that was written before the fault. Its
        presence shows that nothing was flushed, since a flush removes everything or nothing.
        """
        return identity.marked(ctx, self.service)

"""Actions that start and stop a WAL receiver, and that wait until it has received all commits."""

from __future__ import annotations

import time
from typing import Annotated

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.systems.linux.process_lookup import need
from drillbook.systems.postgres import replication_rights, wal
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import connected, first_row
from drillbook.systems.postgres.dump import failing
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Duration


class StreamWal(Write):
    """Receive the server's WAL (write-ahead log) continuously into a folder outside the server's data directory.

    The WAL receiver exits at the end of the run. If the controller has died, the receiver exits when the time `for` has
    passed. Until then, a temporary replication slot keeps WAL on the server that is not received yet; the server drops the
    slot as soon as the receiver has exited. A recovery in the drill reads the WAL from this folder, as from a WAL archive.
    Run this step before the base backup, so that no WAL is missing after the backup.
    """

    SERVICE = Postgres
    UNDO = ("action",)
    UNDO_ACTIONS = ("postgres.stop_wal",)

    service: ServiceName
    for_: Annotated[
        Duration,
        Field(
            alias="for",
            ge=1,
            le=43200,
            description=(
                "Time after which the WAL receiver exits, even if the controller has died; at most 12h. Choose a time longer "
                "than the drill."
            ),
        ),
    ] = Duration(3600)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``folder``: folder of the received WAL; ``pid``: process ID of the WAL receiver."""
        receiver = wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host))
        receiver.stop()
        try:
            return {"pid": receiver.start(self.for_, wal.name_of(ctx.run_id)), "folder": receiver.folder}
        except BaseException:
            wal.stop_quietly(receiver)
            raise

    def ready(self, ctx: Context) -> None:
        """Check that the superuser has the right to replicate, that the server has a free replication slot, and that the host
        has pg_receivewal and psql of the server's version.
        """
        need(ctx, "setsid", "timeout")
        service = ctx.service(self.service, Postgres)
        version, _ = replication_rights.need_rights(ctx, service)
        with replication_rights.reached(ctx, service) as session:
            replication_rights.need_slot(session)
        Tools.of(ctx, service, ctx.host).need(("pg_receivewal", "psql"), version)

    def active(self, ctx: Context) -> bool:
        """Return True while the WAL receiver runs."""
        return wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host)).alive()

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that stops the WAL receiver, but keeps the received WAL until the run ends, for a recovery."""
        return Undo.by_action("postgres.stop_wal", service=self.service)


class StopWal(Write):
    """Stop the WAL receiver that `postgres.stream_wal` started in this run. Received WAL is kept until the run ends."""

    SERVICE = Postgres
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``stopped``: true when this step stopped the WAL receiver, false when the receiver had exited before."""
        receiver = wal.Receiver(Tools.of(ctx, ctx.service(self.service, Postgres), ctx.host))
        alive = receiver.alive()
        receiver.stop()
        return {"stopped": alive}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the WAL receiver stays stopped, because only this run needed the WAL."""
        return Undo.nothing("the WAL was received only for this run")


class WalReceived(Write):
    """Wait until the WAL receiver of `postgres.stream_wal` has flushed all commits made before this step to disk.

    The receiver gets WAL a moment after the server wrote it. Without this step, it is unknown which of the last commits a
    recovery must restore. The action commits a message to the WAL, so that the server flushes all earlier commits. The
    message changes no data. A standby server accepts no commits, so `service` must be the primary server.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName
    within: Annotated[Duration, Field(gt=0, description="Maximum time to wait.")] = Duration(30)

    def ready(self, ctx: Context) -> None:
        """Raise NotReady when the server cannot be reached, or is a standby that accepts no commits."""
        service = ctx.service(self.service, Postgres)
        with replication_rights.reached(ctx, service) as session:
            standby = first_row(session, "SELECT pg_catalog.pg_is_in_recovery()")[0]
        if standby:
            raise NotReady(f"{service.name} is a standby, which accepts no commit", hint="set `service` to the primary")

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the step's message in the WAL changes no data."""
        return Undo.nothing("the message in the WAL changes no data")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``lsn``: LSN up to which WAL was received; ``seconds``: waiting time."""
        begun, name = time.monotonic(), wal.name_of(ctx.run_id)
        service = ctx.service(self.service, Postgres)
        with failing("the position of the WAL receiver could not be read"), connected(ctx, service) as session:
            session.execute("SET synchronous_commit TO local")
            lsn = first_row(session, "SELECT pg_catalog.pg_logical_emit_message(true, 'drillbook', 'received')::text")[0]
            while not (row := session.execute(_RECEIVED, (lsn, name)).fetchone()) or not row[1]:
                if row is None:
                    raise StepFailed(
                        f"nothing receives the WAL of {self.service}: the receiver of `postgres.stream_wal` has "
                        "exited or was not started"
                    )
                if time.monotonic() - begun > self.within or ctx.deadline.remaining() < 0.5:
                    raise StepFailed(
                        f"the WAL of {self.service} was not received up to {lsn} in time",
                        findings=[
                            finding(
                                "wal-behind",
                                title=self.service,
                                wanted=f"WAL received up to {lsn} within {self.within:g} s",
                                measured=f"WAL received up to {row[0] or 'no position'}",
                            )
                        ],
                    )
                ctx.deadline.wait(0.05)
        return {"lsn": lsn, "seconds": round(time.monotonic() - begun, 3)}


# Use the WAL receiver that has received the most: the server may list a killed WAL receiver for a while.
_RECEIVED = """
SELECT pg_catalog.max(flush_lsn)::text, coalesce(pg_catalog.max(flush_lsn) >= %s::pg_lsn, false)
FROM pg_catalog.pg_stat_replication WHERE application_name = %s HAVING pg_catalog.count(*) > 0
"""

"""Fault `mariadb.lose_data`: drop the databases of a service."""

from __future__ import annotations

import re

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo
from drillbook.sdk.identity import Identity
from drillbook.systems.mariadb import fault_record, identity, ownership
from drillbook.systems.mariadb.actions.fields import ServiceName
from drillbook.systems.mariadb.client import Client, SqlError, connected, name, verifying
from drillbook.systems.mariadb.disposable_server import need
from drillbook.systems.mariadb.service import Mariadb

_MAY_DROP = re.compile(r"^GRANT [^`']*\b(ALL PRIVILEGES|DROP)\b", re.MULTILINE)


class LoseData(Fault):
    """Drop the database of the service, or all databases of the server if the service has no `database`.

    The same happens when an operator drops databases on the wrong server.

    Accounts, settings and the server's system databases stay. The fault refuses a server that takes part in replication.
    """

    SERVICE = Mariadb
    RESTORE_ONLY = True
    PROVEN_BY = ("backup.check",)
    RESTORED_BY = {"backup.check": "backup.restore"}
    UNDO = ("restore",)
    TIMEOUT = 300.0

    service: ServiceName

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``databases`` (names of the dropped databases), ``tables`` (number of their tables and views)."""
        service = self._service(ctx)
        with connected(ctx, service) as client:
            try:
                ownership.must_own(ctx, service, client)
                names, held = fault_record.must_have_data(client)
                with verifying(service):
                    canaries = fault_record.canaries(client)
            except CouldNotVerify as error:
                raise StepFailed(f"{error.message}; nothing was lost") from error
            fault_record.record(ctx, service, names, held, canaries)
            try:
                client.results("; ".join(f"DROP DATABASE {name(each)}" for each in names))
            except SqlError as error:
                raise StepFailed(f"{self.service}: some databases were not dropped: {error}") from error
        return {"databases": names, "tables": len(held)}

    def _service(self, ctx: Context) -> Mariadb:
        return ctx.service(self.service, Mariadb)

    def ready(self, ctx: Context) -> None:
        """Check that the server in the inventory answers, uses the data directory in the inventory, has tables, and permits
        the service's account to drop them.
        """
        service = self._service(ctx)
        need(ctx, service, ("mariadb",))
        ownership.ready(ctx, service)
        try:
            with connected(ctx, service) as client:
                fault_record.must_have_data(client)
                self._must_permit(client)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from error

    def _must_permit(self, client: Client) -> None:
        with verifying(client.service):
            grants = "\n".join(str(value) for row in client.rows("SHOW GRANTS") for value in row.values())
        if not _MAY_DROP.search(grants):
            raise NotReady(
                f"{client.service.user or 'the login'} of {self.service} is not allowed to drop databases",
                hint="grant the permission DROP on the database to the account in the inventory",
            )

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the databases that are dropped."""
        return identity.measured(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: only a restore can recover the databases."""
        return Undo.by_restore("the databases are lost; only a restore can recover them")

    def active(self, ctx: Context) -> bool:
        """Return True while a database or a table that existed before the fault is missing."""
        return bool(fault_record.missing(ctx, self._service(ctx)))

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when the fault has dropped no table. Either the fault has not begun to drop tables, or every table
        that existed before the fault still exists.
        """
        return not fault_record.missing(ctx, self._service(ctx))

"""Base of actions that start the unit of a service for a drill. The undo stops the unit again."""

from __future__ import annotations

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context, Undo, Write
from drillbook.sdk.manager import manager_of
from drillbook.sdk.manager.right import need_right
from drillbook.sdk.service import Service


class TemporaryUnit(Write):
    """Base of actions for a unit that runs only during a drill. ``service``: name of the service in the inventory."""

    UNDO = ("commands",)

    service: str

    def _unit(self, ctx: Context) -> str:
        return ctx.service(self.service, Service).unit

    def ready(self, ctx: Context) -> None:
        """Check that the service manager reports the state of the unit, and that the unit is not running. Also check that the
        account of the step may start and stop the unit.
        """
        unit = self._unit(ctx)
        if not unit:
            raise NotReady(f"the service {self.service!r} has no `unit` in the inventory", hint="set `unit` of the service")
        try:
            seen = manager_of(ctx.host).state(ctx.host, unit, ctx.deadline)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None
        if seen.state == "running":
            raise NotReady(
                f"{ctx.host.name}: {unit} already runs, and the undo of this step would stop it",
                hint="use `service.start` for a service that should keep running, or stop the unit before the drill",
            )
        need_right(ctx, unit)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that stops the unit which the step started."""
        return Undo.by_commands(manager_of(ctx.host).stop(self._unit(ctx)))

    def active(self, ctx: Context) -> bool:
        """Return True while the unit runs."""
        state = manager_of(ctx.host).state(ctx.host, self._unit(ctx), ctx.deadline).state
        return state not in ("stopped", "failed")

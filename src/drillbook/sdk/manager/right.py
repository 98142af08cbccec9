"""Checks before a drill that the account of a step may start and stop a unit."""

from __future__ import annotations

from drillbook.errors import NotReady
from drillbook.sdk.context import Context
from drillbook.sdk.manager import manager_of


def need_right(ctx: Context, unit: str) -> None:
    """Raise NotReady when the service manager does not let the account of the step start and stop ``unit``."""
    if why := manager_of(ctx.host).denied(ctx.host, unit, ctx.deadline):
        raise NotReady(
            f"{ctx.host.name}: {unit} cannot be started or stopped: {why}",
            hint="set `become: true` of the host or the service, or `sudo` of its `manager`",
        )

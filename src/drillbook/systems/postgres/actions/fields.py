"""What several PostgreSQL actions share: the service that they work on, and its unit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.manager import manager_of
from drillbook.systems.postgres import ownership
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tools import Tools

ServiceName = Annotated[str, Field(description="The PostgreSQL service in the inventory.")]


def need_unit(ctx: Context, service: Postgres) -> None:
    """Raise NotReady unless the service manager knows the unit of ``service``."""
    try:
        manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error


def need_ownership(ctx: Context, service: Postgres) -> None:
    """Raise NotReady unless data directory, unit and the server at the port of ``service`` are shown to belong together."""
    try:
        ownership.must_own(ctx, Tools.of(ctx, service, ctx.host))
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error

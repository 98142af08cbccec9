"""Field types that several PostgreSQL actions share, and checks of a PostgreSQL service before a drill begins."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.manager import manager_of
from drillbook.sdk.manager.right import need_right
from drillbook.sdk.object_reference import Uri
from drillbook.systems.postgres import cluster, command_line, ownership
from drillbook.systems.postgres.programs import Tools
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tables import Name

ServiceName = Annotated[str, Field(description="Name of the PostgreSQL service in the inventory.")]
Location = Annotated[
    Uri, Field(alias="from", description="Fact `location` of the step `postgres.dump` or `postgres.newest_backup`.")
]
BaseLocation = Annotated[Uri, Field(alias="from", description="Fact `location` of the step `postgres.base_backup`.")]


def _table(text: str) -> str:
    Name.parse(text)
    return text


def condition(text: str) -> str:
    """Return the SQL condition ``text`` unchanged. Raises ValueError when it is empty."""
    if not text.strip():
        raise ValueError("`where` is empty, and without a condition every row would be deleted")
    return text


TableName = Annotated[
    str, AfterValidator(_table), Field(description="Name of the table in SQL syntax; the default schema is `public`.")
]
Condition = Annotated[
    str,
    AfterValidator(condition),
    Field(
        description=(
            "SQL condition (as after WHERE) of the rows to delete. Choose rows that no client writes, because otherwise "
            "the fault cannot be verified."
        )
    ),
]


def need_unit(ctx: Context, service: Postgres) -> None:
    """Raise NotReady unless the service manager knows the unit of ``service`` and the unit has a running process."""
    try:
        seen = manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error
    if seen.exited:
        raise NotReady(
            f"{ctx.host.name}: the unit {service.unit} has no process (state: {seen.word}), so it is not the unit of {service.name}",
            hint="set `unit` of the service to the unit of its server, for example postgresql@17-main on Debian",
        )


def examined(tools: Tools) -> str:
    """Return the state of the data directory, one of the words that ``cluster.state`` returns.

    Raises NotReady when the directory cannot be examined.
    """
    try:
        return cluster.state(tools)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error


def need_ownership(ctx: Context, service: Postgres) -> None:
    """Raise NotReady unless the data directory, the unit and the server at the port of ``service`` belong together."""
    try:
        ownership.must_own(ctx, Tools.of(ctx, service, ctx.host))
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error


def need_start(ctx: Context, service: Postgres) -> None:
    """Raise NotReady unless the server of ``service`` can be started again with its present settings."""
    try:
        command_line.need_repeated(ctx, Tools.of(ctx, service, ctx.host))
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error


def need_place(ctx: Context, tools: Tools, *, temporary: bool) -> None:
    """Check that data directory, unit and server belong together, and that the step's account may start and stop the
    unit.

    When ``temporary`` is true, also check that the data directory is empty. Raises NotReady when a check fails.
    """
    state = examined(tools)
    if temporary and state not in ("absent", "empty"):
        raise NotReady(
            f"{ctx.host.name}: {tools.service.data_directory} is not empty, but a temporary cluster needs an empty folder",
            hint="find out who uses this folder; between drills, the folder of a temporary cluster must be empty",
        )
    need_ownership(ctx, tools.service)
    if tools.service.unit:
        need_right(ctx, tools.service.unit)

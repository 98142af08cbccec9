"""Fields that the actions of containers share, and what they must find before anything runs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context
from drillbook.systems.docker.engine import Place, engine, passing, place, status_of

ServiceName = Annotated[
    str,
    Field(description=("A service of kind `container`, or one with a `unit` on a host whose service manager is `docker`.")),
]


def found(ctx: Context, name: str) -> tuple[Place, Any]:
    """The container of a service as it is now; its attributes stay readable, its engine is closed. Raises NotReady."""
    try:
        where = place(ctx, name)
        with engine(ctx, where) as one:
            return where, one.container(where.container)
    except (CouldNotVerify, StepFailed) as error:
        raise NotReady(error.message, hint=error.hint) from None


def running(ctx: Context, name: str) -> tuple[Place, Any]:
    """The container, which must run. Raises NotReady."""
    where, container = found(ctx, name)
    if (status := status_of(container)) != "running":
        raise NotReady(
            f"{where.container} is {status} before the drill; it must run",
            hint=f"start it and find out why it was {status}: docker logs {where.container}",
        )
    return where, container


def lasting(ctx: Context, name: str) -> tuple[Place, Any]:
    """The container, which must run, and can be started again once it has ended. Raises NotReady."""
    where, container = running(ctx, name)
    if why := passing(container):
        raise NotReady(why, hint="make it without --rm, or let `docker.pause` stand for a service that is down")
    return where, container


def wait(ctx: Context, container: Any, wanted: tuple[str, ...]) -> str:
    """Wait until the container is in one of the ``wanted`` states, and return which. Raises StepFailed at the deadline."""
    while True:
        container.reload()
        status = status_of(container)
        if status in wanted:
            return status
        if ctx.deadline.remaining() < 0.3:
            raise StepFailed(f"{container.name} is {status}, not {' or '.join(wanted)}")
        ctx.deadline.wait(0.05)

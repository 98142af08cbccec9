"""Field types of several container actions, and functions that check a container before the drill begins."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Context
from drillbook.systems.docker.client import Place, engine, passing, place, status_of

ServiceName = Annotated[
    str,
    Field(
        description=(
            "Name of a service in the inventory. It must have the kind `container`, or have a `unit` on a "
            "host whose service manager is `docker`."
        )
    ),
]


def examined(ctx: Context, name: str, network: str = "") -> tuple[Place, Any]:
    """Return the address of a service's container, and the container as an object of the SDK. The object keeps the state
    that the engine reported. So this state can still be read after the connection to the engine is closed.

    Raises NotReady when the container cannot be examined. If ``network`` is given, also raises NotReady when the engine has
    no network of that name.
    """
    try:
        where = place(ctx, name)
        with engine(ctx, where) as connection:
            container = connection.container(where.container)
            if network:
                connection.client.networks.get(network)
            return where, container
    except (CouldNotVerify, StepFailed) as error:
        raise NotReady(error.message, hint=error.hint or "`docker network ls` lists all networks") from None


def seen(ctx: Context, name: str, network: str = "") -> Any | None:
    """Return the container of a service. Raises NotReady when ``examined`` cannot examine it.

    If an earlier step of the drill may create the container, return None instead of raising NotReady.
    """
    try:
        return examined(ctx, name, network)[1]
    except NotReady as refusal:
        ctx.lacking(refusal)
    return None


def running(ctx: Context, name: str) -> tuple[Place, Any]:
    """Return the address and the object of a running container, as ``examined`` does. Raises NotReady when ``examined``
    raises it, and when the container does not run.
    """
    where, container = examined(ctx, name)
    if (status := status_of(container)) != "running":
        raise NotReady(
            f"{where.container} is {status} before the drill, but it must run",
            hint=f"start the container and find out why it was {status}: docker logs {where.container}",
        )
    return where, container


def lasting(ctx: Context, name: str) -> tuple[Place, Any]:
    """Return the address and the object of a running container that still exists after a stop. Raises NotReady when the
    container is not usable (see ``running``), or when the engine would remove the container at a stop (``--rm``).
    """
    where, container = running(ctx, name)
    if why := passing(container):
        raise NotReady(why, hint="create the container without --rm, or use `docker.pause` to simulate the outage")
    return where, container


def wait(ctx: Context, container: Any, wanted: tuple[str, ...]) -> str:
    """Wait until the container is in one of the ``wanted`` states and return its state.

    Raises StepFailed at the deadline.
    """
    while True:
        container.reload()
        status = status_of(container)
        if status in wanted:
            return status
        if ctx.deadline.remaining() < 0.3:
            raise StepFailed(f"{container.name} is {status}, not {' or '.join(wanted)}")
        ctx.deadline.wait(0.05)

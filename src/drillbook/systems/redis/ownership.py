"""Checks that the server at the port keeps its data in the expected folder, and that the unit in the inventory runs this
server.

A restore replaces files in the folder that the server reports, and then starts the unit. With a wrong host, port or unit in
the inventory, the folder would belong to one server, and the unit to another.
"""

from __future__ import annotations

import time

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context
from drillbook.sdk.manager import manager_of
from drillbook.sdk.manager.lineage import IN_FOLDER, Lineage, same_age
from drillbook.sdk.manager.right import need_right
from drillbook.systems.redis import server_state
from drillbook.systems.redis.connection import Session, connected
from drillbook.systems.redis.save import as_owner
from drillbook.systems.redis.service import Redis

_HINT = "check `host`, `unit`, `address` and `port` of the service in the inventory"


def must_own(ctx: Context, session: Session, service: Redis, directory: str) -> None:
    """Check that the server of ``session`` keeps its data in ``directory`` on this host, and that it is a process of the
    unit. Raises CouldNotVerify otherwise.
    """
    unit = manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline)
    begun, info = time.monotonic(), session.info("server")
    number = info.get("process_id", "0")
    words, pids = (*as_owner(service), "sh", "-c", IN_FOLDER, "sh", directory), f"{number} {unit.pid or 0}\n"
    output = ctx.run(*words, env={"LC_ALL": "C"}, stdin=pids.encode())
    lines, between = output.check().text.splitlines(), time.monotonic() - begun
    process = next((line.split()[1:] for line in lines if line.startswith("process ")), None)
    at = f"{ctx.host.name}: the server at {service.address}:{service.port}"
    told = float(info["uptime_in_seconds"])
    if process is None or process[1] != number or not same_age(told, float(process[2]), between):
        raise CouldNotVerify(f"{at} is not the server that keeps its data in {directory} on this host", hint=_HINT)
    if not Lineage.read(lines).is_of(unit, int(process[0])):
        raise CouldNotVerify(f"{at} does not belong to the unit {unit.unit} (state: {unit.word})", hint=_HINT)


def ready(ctx: Context, service: Redis) -> None:
    """Check that the service manager knows the unit, and that the step's account may start and stop the unit. Raises
    NotReady otherwise.

    If a server answers at the port, there are three more checks: the server is a master, the server belongs to this unit,
    and the owner of its files can replace them.
    """
    try:
        manager_of(ctx.host).state(ctx.host, service.unit, ctx.deadline)
        if answers(ctx, service):
            with connected(ctx, service) as session:
                server_state.must_be_master(session, service)
                directory = server_state.place(session, service).directory
                must_own(ctx, session, service, directory)
                _need_room(ctx, service, directory)
    except CouldNotVerify as error:
        raise NotReady(error.message, hint=error.hint) from error
    need_right(ctx, service.unit)


def _need_room(ctx: Context, service: Redis, directory: str) -> None:
    """Check that the account of the restore may write to ``directory``, the folder of the server's files. Raises NotReady if
    the account may not, because the restore would then fail after the data was lost.
    """
    if not ctx.run(*as_owner(service), "sh", "-c", 'test -w "$1" && test -x "$1"', "sh", directory).ok:
        who = service.run_as or "the account of the step"
        raise NotReady(
            f"{ctx.host.name}: {who} has no right to replace the server's files in {directory}; a restore replaces them",
            hint="give this folder to the account that runs the server, or set `run_as` of the service to its owner",
        )


def answers(ctx: Context, service: Redis) -> bool:
    """Return True when a server answers at the port and accepts the service's user."""
    try:
        with connected(ctx, service) as session:
            session.ask("PING")
    except CouldNotVerify:
        return False
    return True

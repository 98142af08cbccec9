"""Rights of the user by whom a drill works on a Redis server, asked before anything is changed.

``ACL DRYRUN`` says whether a user may run a command, and carries nothing out (Redis 7, Valkey:
https://redis.io/docs/latest/commands/acl-dryrun/). An older server, and one that does not let this user ask, tells nothing.
"""

from __future__ import annotations

from drillbook.errors import CouldNotVerify
from drillbook.systems.redis.connection import Command, Session
from drillbook.systems.redis.content import MARK_S, mark_of
from drillbook.systems.redis.service import Redis

FLUSH: tuple[Command, ...] = (("FLUSHALL",),)


def saving(run_id: str) -> tuple[Command, ...]:
    """Commands that a save and its mark need."""
    key = mark_of(run_id)
    return (
        ("BGSAVE", "SCHEDULE"),
        ("SCAN", "0"),
        ("TYPE", key),
        ("PEXPIRETIME", key),
        ("DUMP", key),
        ("GET", key),
        ("SET", key, "", "EX", MARK_S, "NX"),
        ("EXPIRE", key, MARK_S),
        ("DEL", key),
    )


def must_allow(session: Session, service: Redis, commands: tuple[Command, ...]) -> None:
    """Raise CouldNotVerify when the server says that this user may not run some of ``commands``; none of them is run."""
    user = session.batch([("ACL", "WHOAMI")])[0]
    if isinstance(user, Exception):
        return
    answers = session.batch([("ACL", "DRYRUN", user, *command) for command in commands])
    denied = [
        str(command[0])
        for command, answer in zip(commands, answers, strict=True)
        if not isinstance(answer, Exception) and answer != b"OK"
    ]
    if denied:
        name = user.decode("utf-8", "replace")
        raise CouldNotVerify(
            f"{service.name} does not let its user {name!r} run {', '.join(denied)}",
            hint="let an administrator allow it (ACL SETUSER), or name another user in the inventory",
        )

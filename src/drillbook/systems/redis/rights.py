"""Checks the permissions of the service's user on a Redis server before anything is changed.

The command ``ACL DRYRUN`` of Redis 7 and Valkey tells if a user may run a command, without running the command
(https://redis.io/docs/latest/commands/acl-dryrun/). On older servers, or if ACL DRYRUN is denied, nothing is checked.
"""

from __future__ import annotations

from drillbook.errors import CouldNotVerify
from drillbook.systems.redis.connection import Command, Session
from drillbook.systems.redis.content import MARK_S, mark_of
from drillbook.systems.redis.service import Redis

FLUSH: tuple[Command, ...] = (("FLUSHALL",),)


def saving(run_id: str) -> tuple[Command, ...]:
    """Return the Redis commands that a save uses, including the commands that write and remove the mark of the run."""
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
    """Raise CouldNotVerify when the server does not permit the service's user to run one of ``commands``. The check runs
    none of these commands.
    """
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
            f"{service.name} does not permit its user {name!r} to run {', '.join(denied)}",
            hint="as an administrator, permit these commands with ACL SETUSER, or set another `user` of the service in the inventory",
        )

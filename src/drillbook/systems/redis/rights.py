"""Checks the permissions of the service's user on a Redis server before anything is changed.

The command ``ACL DRYRUN`` of Redis 7 and Valkey tells whether a user may run a command, without running the command; see
https://redis.io/docs/latest/commands/acl-dryrun/. An older server lacks this command, and some users may not run it. The
permissions are then unknown, and a check before a drill records this. Servers older than Redis 6 have no permissions.
"""

from __future__ import annotations

from drillbook.errors import CouldNotVerify
from drillbook.sdk.context import Context
from drillbook.systems.redis.connection import Command, Session
from drillbook.systems.redis.content import MARK_S, mark_of
from drillbook.systems.redis.service import Redis

FLUSH: tuple[Command, ...] = (("FLUSHALL",),)
_UNTRIED = ("BGSAVE", "FLUSHALL")
"""Commands that `drillbook.systems.redis.preflight` cannot try, because they always change something."""


def marking(key: str, *, only_existing: bool = False) -> tuple[Command, ...]:
    """Return the Redis commands that write, read and remove ``key``, the mark of a run in the keyspace.

    ``only_existing``: True when the commands write the key only if it exists already.
    """
    return (
        ("GET", key),
        ("SET", key, "", "EX", MARK_S, "XX" if only_existing else "NX"),
        ("EXPIRE", key, MARK_S),
        ("EXISTS", key),
        ("DEL", key),
    )


def reading(run_id: str) -> tuple[Command, ...]:
    """Return the Redis commands with which a save reads the keyspace."""
    key = mark_of(run_id)
    return (("SCAN", "0"), ("TYPE", key), ("PEXPIRETIME", key), ("DUMP", key))


def saving(run_id: str) -> tuple[Command, ...]:
    """Return the Redis commands that a save uses. They include the commands that write and remove the mark of the run, a key
    in the keyspace.
    """
    return (("BGSAVE", "SCHEDULE"), *reading(run_id), *marking(mark_of(run_id)))


def must_allow(ctx: Context, session: Session, service: Redis, commands: tuple[Command, ...]) -> None:
    """Check that the server permits the service's user to run all of ``commands``. None of these commands is run. Raises
    CouldNotVerify when one is not permitted.
    """
    user = session.batch([("ACL", "WHOAMI")])[0]
    if isinstance(user, Exception) and "unknown command" in str(user):
        return
    answers = [user] if isinstance(user, Exception) else _answers(session, user, commands)
    if any(isinstance(answer, Exception) for answer in answers):
        if not unlimited(session, user):
            names = ", ".join(name for name in _UNTRIED if name in {command[0] for command in commands})
            ctx.unsure(
                f"that the user of {service.name} may run {names}: the server does not answer ACL DRYRUN to this user"
            )
        return
    denied = [str(command[0]) for command, answer in zip(commands, answers, strict=True) if answer != b"OK"]
    if denied:
        name = user.decode("utf-8", "replace")
        raise CouldNotVerify(
            f"{service.name} does not permit its user {name!r} to run {', '.join(denied)}",
            hint="as an administrator, permit these commands with ACL SETUSER, or set another `user` of the service in the inventory",
        )


def _answers(session: Session, user: bytes, commands: tuple[Command, ...]) -> list[object]:
    return session.batch([("ACL", "DRYRUN", user, *command) for command in commands])


def unlimited(session: Session, user: object) -> bool:
    """Return True when ``user`` is the name of a user whom the server permits every command on every key."""
    if not isinstance(user, bytes):
        return False
    answer = session.batch([("ACL", "GETUSER", user)])[0]
    if not isinstance(answer, list):
        return False
    told = dict(zip(answer[::2], answer[1::2], strict=False))
    return told.get(b"commands") == b"+@all" and told.get(b"keys") in (b"~*", [b"*"])

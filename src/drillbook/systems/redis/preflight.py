"""Checks, before a drill, that the user in the inventory may run the commands of a later step. The checks change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from drillbook.errors import CouldNotVerify, DrillbookError, NotReady
from drillbook.sdk import login_check
from drillbook.sdk.context import Context
from drillbook.sdk.service import is_sandbox
from drillbook.systems.redis import rights, server_state
from drillbook.systems.redis.connection import Command, Session, connected, reason
from drillbook.systems.redis.content import mark_of
from drillbook.systems.redis.login_check import refusal
from drillbook.systems.redis.service import Redis

_STATE: tuple[Command, ...] = (("INFO", "replication"), ("INFO", "persistence"))
"""Commands that show whether a server accepts writes."""


def need(ctx: Context, service: Redis, commands: Sequence[Command]) -> None:
    """Check that the server knows all of ``commands``, and that the user may run them. Raises NotReady otherwise.

    Nothing is checked for a sandbox, which does not exist yet. Nothing is checked when no server answers, because the drill
    itself may start the server. A refused login is recorded as not verified.
    """
    _ask(ctx, service, lambda session: _refusal(service, commands, session.batch(commands)))


def need_mark(ctx: Context, service: Redis) -> None:
    """Check that the user may write, read and remove the mark of the run (a key), and that the server is no replica. Raises
    NotReady otherwise.

    If the mark does not exist, the commands that write, read and remove it are sent to the server, to see whether it permits
    them. They change nothing, because ``SET`` with ``XX`` writes only a key that exists. If the mark exists already, the
    commands are not sent, and the right to write the mark is recorded as not verified.

    Nothing is checked for a sandbox, or when no server answers. The reasons are the same as in ``need``.
    """
    key = mark_of(ctx.run_id)

    def question(session: Session) -> NotReady | None:
        commands = (*_STATE, ("EXISTS", key))
        *_, existing = answers = session.batch(commands)
        if lacking := _refusal(service, commands, answers):
            return lacking
        if existing != 0:
            why = reason(existing) if isinstance(existing, Exception) else "it exists already"
            ctx.unsure(f"that the user of {service.name} may write the mark {key}: {why}")
        elif lacking := _refusal(service, rights.marking(key), session.batch(rights.marking(key, only_existing=True))):
            return lacking
        try:
            server_state.must_be_master(session, service)
        except CouldNotVerify as error:
            return NotReady(error.message, hint=error.hint)
        return None

    _ask(ctx, service, question)


def _ask(ctx: Context, service: Redis, question: Callable[[Session], NotReady | None]) -> None:
    if is_sandbox(service) or (login := (service.name, "", False)) in ctx.unanswered:
        return
    try:
        with connected(ctx, service) as session:
            lacking = question(session)
    except (DrillbookError, OSError) as error:
        ctx.unanswered.add(login)
        if said := login_check.told(ctx, service.name, refusal(error)):
            ctx.unsure(said)
        return
    if lacking:
        ctx.lacking(lacking)


def _refusal(service: Redis, commands: Sequence[Command], answers: Sequence[Any]) -> NotReady | None:
    """Return an error about the first command that the user may not run, or that the server does not know. ``answers``: the
    server's answers to ``commands``. Return None if there is no such command.
    """
    from redis.exceptions import NoPermissionError  # noqa: PLC0415  slow to load

    for command, answer in zip(commands, answers, strict=True):
        if isinstance(answer, NoPermissionError) or (isinstance(answer, Exception) and "unknown command" in str(answer)):
            return NotReady(
                f"{service.name}: this step could not run {command[0]!s}: {reason(answer)}",
                hint=f"give the user this right (ACL SETUSER), or correct {service.setting('user')}",
            )
    return None

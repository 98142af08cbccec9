"""Questions to a server before a drill: may the user of the inventory run the commands of a later step? Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.errors import DrillbookError, NotReady
from drillbook.sdk.context import Context
from drillbook.sdk.service import is_sandbox
from drillbook.systems.redis.connection import Command, connected, reason
from drillbook.systems.redis.service import Redis


def need(ctx: Context, service: Redis, commands: Sequence[Command]) -> None:
    """Raise NotReady when the user may not run one of ``commands``, or when the server does not know it.

    A sandbox is not asked, because it does not exist yet. A server that does not answer or refuses the login is left to
    the drill, which may start it, and to the check of logins.
    """
    from redis.exceptions import NoPermissionError  # noqa: PLC0415  slow to load

    if is_sandbox(service) or (login := (service.name, "", False)) in ctx.unanswered:
        return
    try:
        with connected(ctx, service) as session:
            answers = session.batch(commands)
    except (DrillbookError, OSError):
        ctx.unanswered.add(login)
        return
    for command, answer in zip(commands, answers, strict=True):
        if isinstance(answer, NoPermissionError) or (isinstance(answer, Exception) and "unknown command" in str(answer)):
            ctx.lacking(
                NotReady(
                    f"{service.name}: this step could not run {command[0]!s}: {reason(answer)}",
                    hint=f"give the user this right (ACL SETUSER), or correct {service.setting('user')}",
                )
            )
            return

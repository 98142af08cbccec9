"""The identity of a keyspace: where its server is, and what the mark says that the run's save left in it.

A server's own ids change when it is started again, and a restore starts it. The mark is part of the data: it is gone after
a flush, and back once the save is restored.
"""

from __future__ import annotations

import secrets

from drillbook.sdk.action import Context
from drillbook.sdk.identity import Identity, place_of
from drillbook.systems.redis import content
from drillbook.systems.redis.connection import Session, connected
from drillbook.systems.redis.service import Redis


def mark(session: Session, run_id: str) -> str:
    """Mark the keyspace as saved by the run, if it is not marked yet; what the mark says. Raises CouldNotVerify."""
    key = content.mark_of(run_id)
    session.ask("SET", key, secrets.token_hex(8), "EX", content.MARK_S, "NX")
    session.ask("EXPIRE", key, content.MARK_S)
    return _text(session.ask("GET", key))


def measured(ctx: Context, name: str) -> Identity:
    """The keyspace of the service ``name`` as it is now; without a mark of this run it is unknown. Raises CouldNotVerify."""
    with connected(ctx, ctx.service(name, Redis)) as session:
        return of(ctx, name, _text(session.ask("GET", content.mark_of(ctx.run_id))))


def of(ctx: Context, service: str, said: str) -> Identity:
    """The keyspace with the mark ``said`` of the service that the inventory calls ``service``."""
    known = {"at": place_of(ctx.services, ctx.hosts, service), "mark": said}
    return Identity(kind="redis", of={key: value for key, value in known.items() if value})


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")

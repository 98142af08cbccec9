"""Identity of a keyspace: the host and the port of its server, and the text of a mark, which is a key in the keyspace.

The step that saves the keyspace writes the mark.

A server's own ids cannot identify a keyspace, because they change at a restart, and a restore includes a restart. The mark
is part of the data. A flush removes the mark, and a restore of the backup brings it back.
"""

from __future__ import annotations

import secrets

from drillbook.sdk.action import Context
from drillbook.sdk.identity import Identity, place_of
from drillbook.systems.redis import content
from drillbook.systems.redis.connection import Session, connected
from drillbook.systems.redis.service import Redis


def mark(session: Session, run_id: str) -> str:
    """Write the mark of this run: a key which shows that the run saved this keyspace. An existing mark is kept. Return the
    value of the mark.

    Raises CouldNotVerify when the server does not answer or refuses the command.
    """
    key = content.mark_of(run_id)
    session.ask("SET", key, secrets.token_hex(8), "EX", content.MARK_S, "NX")
    session.ask("EXPIRE", key, content.MARK_S)
    return _text(session.ask("GET", key))


def measured(ctx: Context, name: str) -> Identity:
    """Measure the identity of the keyspace of the service ``name``. The identity is unknown when the keyspace does not
    contain the mark, a key that a drill writes.

    Raises CouldNotVerify when the server does not answer.
    """
    with connected(ctx, ctx.service(name, Redis)) as session:
        return of(ctx, name, _text(session.ask("GET", content.mark_of(ctx.run_id))))


def marked(ctx: Context, name: str) -> bool:
    """Return True while the keyspace of the service ``name`` contains the mark of this run, a key that the run wrote when it
    saved the keyspace. Raises CouldNotVerify when the server does not answer.
    """
    with connected(ctx, ctx.service(name, Redis)) as session:
        return bool(session.ask("EXISTS", content.mark_of(ctx.run_id)))


def of(ctx: Context, service: str, said: str) -> Identity:
    """Return the identity of the keyspace of the service named ``service``. A run marks a keyspace with a key; ``said`` is the
    value of this key.
    """
    known = {"at": place_of(ctx.services, ctx.hosts, service), "mark": said}
    return Identity(kind="redis", of={key: value for key, value in known.items() if value})


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")

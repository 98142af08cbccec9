"""Expiry times of hash fields, which the command HEXPIRE sets since Redis 7.4 and Valkey 9. The digest of a hash does not
include these times.
"""

from __future__ import annotations

import hashlib
import re

from drillbook.sdk.stored_backup import Part, Sha256
from drillbook.systems.redis.connection import Session
from drillbook.systems.redis.content import names, text_of

_COUNTED = re.compile(r"(?:subexpiry|keys_with_volatile_items)=(\d+)")


class FieldTimes(Part):
    """Expiring fields of one hash: the number of these fields, the earliest expiry time in milliseconds since 1970, and a
    digest of their names and times.
    """

    count: int
    first_ms: int
    sha256: Sha256


Fields = dict[str, dict[str, FieldTimes]]
"""Expiry times of hash fields. They are grouped by the number of their database, as text. Within a database, the times are
stored under the name of the hash.
"""


def read(session: Session) -> Fields:
    """Read the field expiry times of every hash. The result is empty for a server without the command HEXPIRE.

    Raises redis.RedisError when the server refuses a command, and CouldNotVerify when the keys cannot be listed.
    """
    times_by_database: Fields = {}
    for database, text in session.info("keyspace").items():
        counted = _COUNTED.search(text)
        if counted is None or counted[1] == "0":
            continue
        session.ask("SELECT", database.removeprefix("db"))
        hashes: dict[str, FieldTimes] = {}
        for keys in names(session):
            hashes |= _times(session, keys)
        times_by_database[database.removeprefix("db")] = hashes
    session.ask("SELECT", 0)
    return times_by_database


def _times(session: Session, keys: list[bytes]) -> dict[str, FieldTimes]:
    """Return the expiry times of the fields, for each hash among ``keys``. A hash without such times is left out."""
    kinds = session.batch([("TYPE", key) for key in keys])
    hashes = [key for key, kind in zip(keys, kinds, strict=True) if kind == b"hash"]
    named = [
        (key, list(fields))
        for key, fields in zip(hashes, session.batch([("HKEYS", key) for key in hashes]), strict=True)
        if not isinstance(fields, Exception) and fields
    ]
    answers = session.batch([("HPEXPIRETIME", key, "FIELDS", len(fields), *fields) for key, fields in named])
    times_by_key: dict[str, FieldTimes] = {}
    for (key, fields), answer in zip(named, answers, strict=True):
        if isinstance(answer, Exception):
            raise answer
        times = sorted((field, int(at)) for field, at in zip(fields, answer, strict=True) if int(at) > 0)
        if times:
            digest = hashlib.sha256(b"".join(b"%d:%b%d;" % (len(field), field, at) for field, at in times))
            times_by_key[text_of(key)] = FieldTimes(
                count=len(times), first_ms=min(at for _, at in times), sha256=digest.hexdigest()
            )
    return times_by_key

"""Content of a keyspace: for each key its type, its expiry time, and a digest that depends only on the value.

The command DUMP would be simpler, but the bytes that it returns depend on the server's version, encodings and hash seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote_from_bytes

from drillbook.errors import CouldNotVerify
from drillbook.sdk.answer_limits import Budget
from drillbook.sdk.stored_backup import Part, Sha256
from drillbook.systems.redis.connection import Command, Session

ALGORITHM = "sha256 over type and value; sets and hashes sorted, lists, sorted sets and streams in their order"
OWN = "drillbook:"
"""Prefix of Drillbook's own keys. Backups contain these keys, because those in the restored data show the recovery point.
Comparisons ignore them.
"""
MARK_S = 7 * 86400
"""Lifetime of the mark in seconds; see ``mark_of``. It is long enough for any recovery."""
BATCH = 200
MOST_KEYS = 2_000_000
"""Maximum number of keys in one database. A manifest of more keys would be too large to read."""
MOST_NAMES = 256 << 20
"""Maximum total size of the names of all keys in one database, in bytes."""
ATTEMPTS = 5
_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Entry(Part):
    """One key. ``expires_ms`` is its expiry time in milliseconds since 1970, by the server's clock, or None when the key
    never expires.
    """

    type: str
    sha256: Sha256
    expires_ms: int | None = None


Keys = dict[str, dict[str, Entry]]
"""Entries of a keyspace. They are grouped by the number of their database, as text. Within a database, each entry is stored
under the name of its Redis key.
"""


def text_of(key: bytes) -> str:
    """Return a key's name as unambiguous printable text. Bytes that are not plain ASCII are percent-encoded."""
    return quote_from_bytes(key, safe=_PLAIN)


def mark_of(run_id: str) -> str:
    """Return the name of the mark. The mark is a key that a run writes to the keyspace before it takes a backup. So the backup
    contains the mark.

    A flush deletes the mark, and a restore of the backup brings it back.
    """
    return f"{OWN}{run_id}:saved"


def read(session: Session) -> Keys:
    """Read every key of every database. Raises redis.RedisError when the server refuses a command, and CouldNotVerify when
    the keys are too many or keep changing.
    """
    entries_by_database: Keys = {}
    for number in sorted(session.sizes()):
        session.ask("SELECT", number)
        entries: dict[str, Entry] = {}
        for keys in names(session):
            entries |= {text_of(key): entry for key, entry in _entries(session, keys).items()}
        entries_by_database[str(number)] = entries
    session.ask("SELECT", 0)
    return entries_by_database


def names(session: Session, pattern: str = "*") -> Iterator[list[bytes]]:
    """Yield the keys that match ``pattern``, in batches. A key that exists during the whole read is yielded at least once."""
    cursor, budget = b"0", Budget("the list of keys", MOST_NAMES, MOST_KEYS)
    while True:
        cursor, keys = session.ask("SCAN", cursor, "MATCH", pattern, "COUNT", BATCH)
        budget.take(sum(map(len, keys)), len(keys))
        if keys:
            yield list(dict.fromkeys(keys))
        if cursor == b"0":
            return


def _entries(session: Session, keys: Sequence[bytes]) -> dict[bytes, Entry]:
    """Return the entries of ``keys``. Missing keys are omitted. A key whose type changes during the read is read again."""
    entry_by_key: dict[bytes, Entry] = {}
    left = list(keys)
    for _ in range(ATTEMPTS):
        kinds = _kinds(session, left)
        if not kinds:
            return entry_by_key
        digests = _digests(session, kinds)
        entry_by_key |= {
            key: Entry(type=kind, sha256=digests[key], expires_ms=expires)
            for key, (kind, expires) in kinds.items()
            if key in digests
        }
        left = [key for key in kinds if key not in digests]
    if left:
        raise CouldNotVerify(
            f"the key {text_of(left[0])} keeps changing while it is read",
            hint="stop the clients of the server while the keyspace is compared",
        )
    return entry_by_key


def _kinds(session: Session, keys: Sequence[bytes]) -> dict[bytes, tuple[str, int | None]]:
    asked: list[Command] = [(word, key) for key in keys for word in ("TYPE", "PEXPIRETIME")]
    answers = session.batch(asked)
    kinds: dict[bytes, tuple[str, int | None]] = {}
    for at, key in enumerate(keys):
        kind, expires = answers[2 * at], answers[2 * at + 1]
        for answer in (kind, expires):
            if isinstance(answer, Exception):
                raise answer
        if kind != b"none" and expires != -2:
            kinds[key] = (kind.decode(), None if expires == -1 else int(expires))
    return kinds


_ASK: dict[str, tuple[tuple[str, ...], ...]] = {
    "string": (("GET",),),
    "list": (("LRANGE", "0", "-1"),),
    "set": (("SMEMBERS",),),
    "hash": (("HGETALL",),),
    "zset": (("ZRANGE", "0", "-1", "WITHSCORES"),),
    "stream": (("XRANGE", "-", "+"), ("XINFO STREAM",), ("XINFO GROUPS",)),
}


def _digests(session: Session, kinds: dict[bytes, tuple[str, int | None]]) -> dict[bytes, str]:
    """Return a digest of each key's content. The keys are read one at a time, so that the values are never all in
    memory at once.

    When the server refuses the command for a key, the type of this key has changed. Such a key is omitted.
    """
    # A value whose type is defined by a module can be read only with DUMP.
    asked: dict[bytes, list[Command]] = {
        key: [(*word.split(), key, *rest) for word, *rest in _ASK.get(kind, (("DUMP",),))]
        for key, (kind, _) in kinds.items()
    }
    answers = session.each([command for commands in asked.values() for command in commands])
    digest_by_key: dict[bytes, str] = {}
    for key, commands in asked.items():
        value = [next(answers) for _ in commands]
        if not any(isinstance(answer, Exception) for answer in value):
            digest_by_key[key] = _digest(kinds[key][0], value)
    return digest_by_key


def _digest(kind: str, answers: list[Any]) -> str:
    value: Any = answers
    if kind == "set":
        value = sorted(answers[0])
    elif kind == "hash":
        value = sorted(zip(answers[0][::2], answers[0][1::2], strict=True))
    elif kind == "stream":
        value = [
            answers[0],
            _pick(answers[1], b"last-generated-id"),
            [_pick(group, b"name", b"last-delivered-id", b"pending") for group in answers[2]],
        ]
    digest = hashlib.sha256(kind.encode() + b"\0")
    for piece in _framed(value):
        digest.update(piece)
    return digest.hexdigest()


def _pick(flat: list[Any], *wanted: bytes) -> list[Any]:
    return [flat[at + 1] for name in wanted for at in range(0, len(flat), 2) if flat[at] == name]


def _framed(value: Any) -> Iterator[bytes]:
    """Encode ``value`` with the length of each part, so that different values have different encodings."""
    if isinstance(value, bytes):
        yield b"b%d:" % len(value)
        yield value
    elif isinstance(value, int):
        yield b"i%d;" % value
    elif value is None:
        yield b"n;"
    else:
        yield b"l%d:" % len(value)
        for item in value:
            yield from _framed(item)

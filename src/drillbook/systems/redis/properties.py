"""Properties of a server that are not keys: settings, users (ACLs) and function libraries.

An RDB file contains functions, but no users and no settings. A restore restarts the server. This restart loses all changes
made by CONFIG SET and ACL SETUSER that were not written to the server's configuration files.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from drillbook.findings import Finding, finding
from drillbook.sdk.stored_backup import Part, Sha256
from drillbook.systems.redis.connection import Session

_OF_THE_PLACE = re.compile(
    r"port|tls-port|cluster-port|bind|bind-source-addr|unixsocket|dir|logfile|pidfile|aclfile|replicaof|"
    r"(cluster|replica)-announce-.*|.*slave.*"
)
"""Settings that are not compared. Most of them can differ between two servers with the same content. The others are old
aliases of settings.
"""
_SECRET = re.compile(r"requirepass|masterauth|primaryauth|.*-pass")
_HIDDEN = "another value, not shown because it is a secret"


class User(Part):
    """One user: the rules from ACL LIST without the passwords, and a digest of the passwords."""

    rules: str
    passwords: str


class Properties(Part):
    """Properties of a server at the time of a save. A property that the server did not report is None.

    Secrets are stored only as scrypt digests, computed with ``salt``.
    """

    salt: str
    settings: dict[str, str] | None = None
    users: dict[str, User] | None = None
    functions: dict[str, Sha256] | None = None
    """Digests of the function libraries. Each key is the name of a library, and the value is the SHA-256 of its code."""

    def missing(self) -> list[str]:
        """Names of the properties that the server did not report."""
        return [name for name in ("settings", "users", "functions") if getattr(self, name) is None]


def read(session: Session, salt: str = "") -> Properties:
    """Read the properties of a server. ``salt``: salt for the digests of secrets; empty: create a new salt. To compare the
    result with stored properties, pass the salt of the stored properties.

    Raises redis.RedisError when the connection fails.
    """
    salt = salt or secrets.token_hex(16)
    settings, users = session.batch([("CONFIG", "GET", "*"), ("ACL", "LIST")])
    return Properties(
        salt=salt,
        settings=None if isinstance(settings, Exception) else dict(_settings(settings, salt)),
        users=None if isinstance(users, Exception) else dict(_user(line, salt) for line in users),
        functions=functions(session),
    )


def functions(session: Session) -> dict[str, str] | None:
    """Return the name and the SHA-256 of each function library. Return None when the server refuses FUNCTION LIST.

    Raises redis.RedisError when the connection fails.
    """
    answer = session.batch([("FUNCTION", "LIST", "WITHCODE")])[0]
    if isinstance(answer, Exception):
        return None
    libraries = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in answer]
    return {
        library[b"library_name"].decode("utf-8", "replace"): hashlib.sha256(library[b"library_code"]).hexdigest()
        for library in libraries
    }


def _settings(answer: list[Any], salt: str) -> Iterator[tuple[str, str]]:
    for at in range(0, len(answer), 2):
        name, value = answer[at].decode(), answer[at + 1].decode("utf-8", "replace")
        if not _OF_THE_PLACE.fullmatch(name):
            yield name, _digest(value, salt) if _SECRET.fullmatch(name) and value else value


def _user(line: bytes, salt: str) -> tuple[str, User]:
    _, name, *words = line.decode("utf-8", "replace").split(" ")
    rules = " ".join(word for word in words if not word.startswith("#"))
    return name, User(rules=rules, passwords=_digest(" ".join(sorted(set(words) - set(rules.split(" ")))), salt))


def _digest(text: str, salt: str) -> str:
    return hashlib.scrypt(text.encode(), salt=bytes.fromhex(salt), n=1 << 12, r=8, p=1, dklen=32).hex()


def differences(wanted: Properties, properties: Properties, ignore: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each setting, user and library that differs. ``ignore`` is the parameter `ignore_server` of
    `redis.matches`: each key is a pattern of names that are not compared, and the value is the reason.
    """
    wrong: list[Finding] = []
    for code, word, before, now in (
        ("server-setting", "", wanted.settings, properties.settings),
        ("server-user", "user ", wanted.users, properties.users),
        ("server-function", "function ", wanted.functions, properties.functions),
    ):
        if before is None or now is None:
            continue
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name) and not _ignored(word + name, ignore):
                shown = _shown(name, before.get(name), now.get(name))
                wrong.append(finding(code, title=name, wanted=shown[0], measured=shown[1]))
    return wrong


def _ignored(name: str, ignore: Mapping[str, str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in ignore)


def _shown(name: str, before: str | User | None, now: str | User | None) -> tuple[str, str]:
    if isinstance(before, User) and isinstance(now, User) and before.rules == now.rules:
        return before.rules, "other passwords"
    if _SECRET.fullmatch(name) and before and now:
        return "the same value as in the backup", _HIDDEN
    return _text(before), _text(now)


def _text(value: str | User | None) -> str:
    if isinstance(value, User):
        return value.rules
    return "no entry with this name" if value is None else value or "an empty value"

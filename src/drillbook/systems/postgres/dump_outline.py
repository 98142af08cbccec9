"""Pure functions that find the names of databases, roles, extensions and tablespaces in the SQL of a dump."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_WORD = r'("(?:[^"]|"")+"|[^\s";,()]+)'
_ROLES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^ALTER .* OWNER TO {_WORD};$",
        rf"^GRANT .* TO {_WORD}(?: WITH .*)?;$",
        rf"^GRANT .* GRANTED BY {_WORD};$",
        rf"^REVOKE .* FROM {_WORD};$",
        rf"^ALTER DEFAULT PRIVILEGES FOR ROLE {_WORD} ",
        rf"^ALTER DEFAULT PRIVILEGES .* (?:TO|FROM) {_WORD}(?: WITH .*)?;$",
        rf"^CREATE USER MAPPING FOR {_WORD} SERVER ",
    )
)
_POLICY = re.compile(r"^CREATE POLICY .*? ON .*? TO (.*?)(?: USING \(| WITH CHECK \(|;$)")
_ROLE = re.compile(rf"^CREATE ROLE {_WORD};$")
_DATABASE = re.compile(rf"^CREATE DATABASE {_WORD} (WITH .*);$")
_CONNECT = re.compile(r"^\\connect (?:-reuse-previous=on )?(\S.*)$")
_TABLESPACES = (
    re.compile(rf"^SET default_tablespace = {_WORD};$"),
    re.compile(rf"^CREATE DATABASE .* TABLESPACE = {_WORD}"),
    re.compile(rf"^ALTER DATABASE .* SET TABLESPACE {_WORD};$"),
)
NOBODY = ("PUBLIC", "SESSION_USER", "CURRENT_USER", "CURRENT_ROLE", "public")
"""Keywords that SQL accepts instead of the name of a role."""


@dataclass(frozen=True, slots=True)
class Made:
    """Database that a dump creates, with the options of its CREATE DATABASE statement."""

    name: str
    options: str


@dataclass(frozen=True, slots=True)
class Outline:
    """Names in the SQL of a dump, without SQL quotes."""

    databases: tuple[Made, ...]
    roles: tuple[str, ...]
    """Roles that the dump refers to but does not create."""
    extensions: tuple[str, ...]
    tablespaces: tuple[str, ...]
    """Tablespaces that the dump uses but does not create."""
    encoding: str
    server: str
    """Version of the server that was dumped."""
    of_cluster: bool
    filtered: bool
    """True when the dump was taken with row security switched on. Such a dump may lack rows."""
    subscriptions: int
    foreign_servers: int


def outline_of(lines: Sequence[str]) -> Outline:
    """Return the outline of a dump from the SQL lines that ``dump_reading`` extracted."""
    made = roles_made(lines)
    spaces = {name for line in lines for pattern in _TABLESPACES for name in _named(pattern, line)}
    own_spaces = _all(lines, re.compile(rf"^CREATE TABLESPACE {_WORD} "))
    return Outline(
        databases=tuple(
            Made(plain(match[1]), match[2]) for line in lines if (match := _DATABASE.match(line)) and "template0" in line
        ),
        roles=tuple(sorted({role for line in lines for role in _roles_in(line)} - set(made))),
        extensions=_all(lines, re.compile(rf"^CREATE EXTENSION (?:IF NOT EXISTS )?{_WORD}")),
        tablespaces=tuple(sorted(spaces - set(own_spaces) - {"", "''", "pg_default"})),
        encoding=next((match[1] for line in lines if (match := re.match(r"SET client_encoding = '(.*)';", line))), "UTF8"),
        server=next((match[1] for line in lines if (match := re.match(r"-- Dumped from database version (\S+)", line))), ""),
        of_cluster=any(line == "-- PostgreSQL database cluster dump" for line in lines) or bool(made),
        filtered="SET row_security = on;" in lines,
        subscriptions=sum(line.startswith("CREATE SUBSCRIPTION ") for line in lines),
        foreign_servers=sum(line.startswith("CREATE SERVER ") for line in lines),
    )


def roles_made(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the roles that the SQL ``lines`` create."""
    return _all(lines, _ROLE)


def plain(word: str) -> str:
    """Return a name without SQL quotes."""
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


def _all(lines: Iterable[str], pattern: re.Pattern[str]) -> tuple[str, ...]:
    return tuple(sorted({name for line in lines for name in _named(pattern, line)}))


def _named(pattern: re.Pattern[str], line: str) -> Iterator[str]:
    if match := pattern.match(line):
        yield plain(match[1])


def _roles_in(line: str) -> Iterator[str]:
    words = [match[1] for pattern in _ROLES if (match := pattern.match(line))]
    if match := _POLICY.match(line):
        words += re.findall(_WORD, match[1])
    yield from (plain(word) for word in words if word not in NOBODY and not word.startswith("pg_"))

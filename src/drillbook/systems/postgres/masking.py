"""Masks the passwords in user mappings, foreign servers, subscriptions and settings of a schema.

A dump of the schema shows these passwords in clear text. Because no inventory contains them, the redactor cannot hide them.
Schemas are compared after their passwords were masked, so a comparison does not notice a changed password.
"""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from drillbook.sdk.masked_text import LITERAL

MASK = "'***'"
NAME = r'"(?:[^"]|"")+"|[\w.$]+'
SECRET = re.compile(r"pass|pwd|secret|token|credential|private|(?:api|access|client|server)_?key", re.IGNORECASE)
PLAIN = re.compile(
    r"password_(?:encryption|required)|passwordcheck\..*|user|username|user_name|use_.*|.*_method", re.IGNORECASE
)
"""Names of options whose values are never masked. Without this pattern, they would be masked, because their names contain
`password` or they belong to a user mapping.
"""
_USER_MAPPING = re.compile(rf"^CREATE USER MAPPING FOR (?:[^']|{LITERAL})*?;$", re.MULTILINE)
_OPTIONS = re.compile(rf"\bOPTIONS\s*\((?:[^')]|{LITERAL})*\)")
_OPTION = re.compile(rf"(?P<name>{NAME})(?P<gap>\s+)(?P<value>{LITERAL})")
_SETTING = re.compile(rf"\bSET (?P<name>{NAME})(?P<gap> (?:TO|=) )(?P<value>{LITERAL})")
_SUBSCRIPTION = re.compile(rf"^((?:CREATE|ALTER) SUBSCRIPTION (?:{NAME}) CONNECTION )({LITERAL})", re.MULTILINE)


def masked(schema: str) -> str:
    """Return the SQL text ``schema`` with each password masked. A text that was masked before is returned unchanged."""
    text = _USER_MAPPING.sub(lambda match: _OPTION.sub(_unless_plain, match[0]), schema)
    text = _OPTIONS.sub(lambda match: _OPTION.sub(_if_secret, match[0]), text)
    text = _SETTING.sub(_if_secret, text)
    return _SUBSCRIPTION.sub(lambda match: match[1] + _connection(match[2]), text)


def _name(match: re.Match[str]) -> str:
    return match["name"].strip('"')


def _unless_plain(match: re.Match[str]) -> str:
    return match[0] if PLAIN.fullmatch(_name(match)) else f"{match['name']}{match['gap']}{MASK}"


def _if_secret(match: re.Match[str]) -> str:
    return _unless_plain(match) if SECRET.search(_name(match)) else match[0]


def _connection(literal: str) -> str:
    """Mask the passwords in ``literal``, an SQL literal that contains a connection string. If the string cannot be parsed,
    mask the whole literal.
    """
    try:
        known = conninfo_to_dict(literal.removeprefix("E").strip("'").replace("''", "'"))
    except psycopg.Error:
        return MASK
    safe = {key: "***" if SECRET.search(key) else value for key, value in known.items()}
    return "'" + make_conninfo("", **safe).replace("'", "''") + "'"

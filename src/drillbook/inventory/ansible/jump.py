"""Reads the jump hosts from the arguments that Ansible passes to ssh. They are in `-J`, in `ProxyJump`, or in a
`ProxyCommand` that runs `ssh -W`. See ssh(1) and ssh_config(5).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drillbook.errors import InventoryError
from drillbook.inventory.ansible.graph import Variable

WITH_VALUE = "BbcDEeFIiJLlmOopQRSWw"
"""Letters of the ssh options that are followed by a value."""
_PLACE = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@\s,/]+)@)?(?P<address>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?"
)
_FORWARD = ("%h:%p", "[%h]:%p")


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump host. For empty fields, ssh uses the values in ~/.ssh/config."""

    address: str
    user: str = ""
    port: int | None = None
    identity: str = ""

    def fields(self) -> dict[str, Any]:
        """Return the fields that describe this jump host as a host of an inventory."""
        values = {"address": self.address, "user": self.user, "port": self.port, "identity": self.identity}
        return {key: value for key, value in values.items() if value}

    def is_host(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Return True when this jump host is the inventory's host with the name ``name`` and the fields ``fields``."""
        if self.address not in (name, fields.get("address")):
            return False
        given = {key: value for key, value in self.fields().items() if key != "address"}
        return all(fields.get(key, value) == value for key, value in given.items())


def jumps(host: str, key: str, variable: Variable, text: str) -> list[Jump] | None:
    """Return the jump hosts in the ssh arguments ``text``. The jump host nearest to the controller comes first. Returns
    None when ``text`` names no jump host.

    ``variable``: the variable of Ansible that contains the arguments. Raises InventoryError for an argument that Drillbook
    does not support. The error names the file and the line that set the variable.
    """

    def error(why: str) -> InventoryError:
        return InventoryError(
            f"host {host!r} is reached through another host, but Drillbook cannot use {key}: {why}",
            where=variable.where,
            hint=f"write `hosts: {{{host}: {{gateway: ...}}}}`, or ProxyJump in ~/.ssh/config",
        )

    try:
        words = shlex.split(text)
    except ValueError as problem:
        if "Proxy" not in text:
            return None
        raise error(f"it cannot be parsed: {problem}") from None
    for letter, value in _options(words):
        name, _, rest = re.sub(r"^\s*(\w+)\s*[=\s]\s*", r"\1=", value).partition("=")
        if letter == "J" or (letter == "o" and name.lower() == "proxyjump"):
            return _list(value if letter == "J" else rest, error)
        if letter == "o" and name.lower() == "proxycommand":
            return _command(rest, error)
    return None


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Split ssh arguments into pairs of an option letter and a value. For a word that is not an option, the letter is
    empty.
    """
    rest = iter(words)
    for word in rest:
        if not re.match(r"-[A-Za-z0-9]", word):
            yield "", word
            continue
        for place, letter in enumerate(word[1:], 2):
            if letter in WITH_VALUE:
                yield letter, word[place:] or next(rest, "")
                break
            yield letter, ""


def _list(text: str, error: Any) -> list[Jump]:
    if text.strip().lower() == "none":
        return []
    return [_jump(part.strip(), error) for part in text.split(",")]


def _jump(text: str, error: Any) -> Jump:
    match = _PLACE.fullmatch(text)
    if match is None or (match["port"] and not 0 < int(match["port"]) < 65536):
        raise error(f"{text[:60]!r} is not [USER@]HOST[:PORT]")
    return Jump(match["address"].strip("[]"), match["user"] or "", int(match["port"]) if match["port"] else None)


def _command(text: str, error: Any) -> list[Jump]:
    """Return the jump host of a `ProxyCommand`. The command must be `ssh -W %h:%p`, and may have other options that set
    neither a proxy nor a configuration file.
    """
    if text.strip().lower() == "none":
        return []
    try:
        words = shlex.split(text)
    except ValueError as problem:
        raise error(f"the ProxyCommand cannot be parsed: {problem}") from None
    program, options = words[:1], list(_options(words[1:]))
    values = dict(options)
    places = [value for letter, value in options if letter == ""]
    if not program or program[0].rpartition("/")[2] != "ssh" or values.get("W") not in _FORWARD or len(places) != 1:
        raise error("the ProxyCommand is not `ssh -W %h:%p HOST`")
    if "F" in values or "J" in values or any(letter == "o" and "proxy" in value.lower() for letter, value in options):
        raise error("the ProxyCommand has its own proxy or its own configuration file")
    jump = _jump(places[0], error)
    port = values.get("p", "")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise error(f"the ProxyCommand has the invalid port {port[:20]!r}")
    return [Jump(jump.address, values.get("l") or jump.user, int(port) if port else jump.port, values.get("i", ""))]

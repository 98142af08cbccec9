"""Templates of `init --rehearse`: how a new project rehearses the backups of one kind of system.

A system declares the folder of its templates in ``rehearsal``. The name of a file is the value of `--rehearse`. A file has
four parts, separated by lines of three dashes: a head, fields of the sandbox, fields of the backup source, and steps that
verify the restored copy. The head contains the fields of ``Rehearsal``, except those for the other three parts. In the
second and third part, `$at` and `$database` stand for the user's answers. The mark `${unless_root}` at the beginning of a
line makes this line a comment, unless Drillbook works as root on the sandbox's host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from string import Template
from typing import Any

import yaml

from drillbook.errors import PluginError
from drillbook.language.strict import did_you_mean
from drillbook.sdk import discovery

FOLDER = "rehearsal"
"""Field of ``System`` whose value is the folder of templates. In built-in systems, the folder is named like the field."""
PARTS = ("copy", "backups", "verify")
ANSWERS = ("at", "database", "unless_root")
PLACE = {
    "pattern": r"/.*|s3://.+|sftp://[^/].*|https?://.+",
    "wrong": "the place of the backups {place} is not an absolute path",
    "hint": "write the whole path on the host, such as {at}, or s3://bucket/prefix/, sftp://HOST/path or https://...",
}
"""Pattern for the place of backups, and the error and hint for a place that does not match. The head of a template may
replace each of these texts by its own.
"""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Content of one template.

    ``source`` and ``service``: kind of the backup source and of the sandbox. ``at``: example of a place of backups.
    ``database``: True for a kind of system with named databases. ``question``: question that asks for the place, if the place
    is neither a path nor a URL. ``place``: keys that replace those of ``PLACE``. ``aliases``: other names, or names of similar
    systems, for which this kind is suggested.
    """

    source: str
    service: str
    at: str
    copy: str
    backups: str
    verify: str
    database: bool = False
    question: str = ""
    place: Mapping[str, str] | None = None
    aliases: tuple[str, ...] = ()

    def wrong_place(self, place: str) -> tuple[str, str]:
        """Return an error and its hint if ``place`` is not a valid place of backups. Both are empty for a valid place."""
        form = PLACE | dict(self.place or {})
        if re.fullmatch(form["pattern"], place, re.DOTALL):
            return "", ""
        return form["wrong"].replace("{place}", repr(place)), form["hint"].replace("{at}", self.at)

    @property
    def is_path(self) -> bool:
        """True when this kind of rehearsal accepts a path on the host as the place of the backups."""
        return self.wrong_place("/backups") == ("", "")


def names() -> list[str]:
    """Return the names of all templates, sorted."""
    return sorted(discovery.shipped(FOLDER))


def of(name: str) -> Rehearsal:
    """Return the template ``name``, which is one of ``names()``. Raises PluginError when its file cannot be used."""
    return read(discovery.shipped(FOLDER)[name])


def suggested(kind: str, known: Sequence[str]) -> str:
    """Return a question such as ``did you mean 'tar'?`` that names the kind in ``known`` most similar to ``kind``. The result
    is empty if none is similar."""
    aliases = {alias: name for name in names() for alias in of(name).aliases}
    meant = aliases.get(kind.lower(), kind)
    return f"did you mean {meant!r}? " if meant in known else did_you_mean(kind.lower(), known)


def read(path: Path) -> Rehearsal:
    """Read the template in ``path``. Raises PluginError when the file is not a valid template."""
    try:
        head, *parts = re.split(r"^---\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        return _read(yaml.safe_load(head), parts)
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        owner = next((system for system in discovery.systems() if system.origin and path in system.files(FOLDER)), None)
        raise PluginError(
            f"{f'the plugin of {owner.origin}: ' if owner else ''}the template {path} of `invoke init --rehearse` cannot be used: "
            + " ".join(str(error).split()),
            hint="see `A system of your own` in the documentation",
        ) from None


def _read(head: Any, parts: list[str]) -> Rehearsal:
    """Return a template. Raises ValueError or KeyError when its head or its parts are not valid."""
    known = {each.name for each in fields(Rehearsal)} - {*PARTS}
    if not isinstance(head, dict) or len(parts) != len(PARTS):
        raise ValueError("it needs a head and three parts, separated by lines of three dashes")
    if odd := sorted(map(str, head.keys() - known)):
        raise ValueError(f"unknown key {odd[0]!r}; keys: {', '.join(sorted(known))}")
    for text in parts[:2]:
        template = Template(text)
        if not template.is_valid() or (odd := sorted({*template.get_identifiers()} - {*ANSWERS})):
            raise ValueError(f"only ${', $'.join(ANSWERS)} can be filled in" + (f", not ${odd[0]}" if odd else ""))
    if odd := [key for key in ("source", "service", "at") if not isinstance(head.get(key), str)]:
        raise ValueError(f"`{odd[0]}` must be a text")
    copy, backups, verify = parts
    return Rehearsal(**{**head, "aliases": tuple(head.get("aliases", ()))}, copy=copy, backups=backups, verify=verify)

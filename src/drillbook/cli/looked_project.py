"""Files of a project that begins with a look at hosts: the inventory that was found, and a first drill of one of its services."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from drillbook.cli import ci_files, look
from drillbook.errors import UsageError
from drillbook.inventory.protection import OPEN, is_production

DRILL, SUITE = "drills/first.yml", "drills/pre-release.yml"
KINDS = ("http", "redis", "mariadb", "postgres")
"""Kinds of services for a first drill that only stops and starts a unit, the preferred ones first."""
PROTECTED = "found"
"""Environment of an inventory if none was named."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Result of a look at hosts: the ``inventory`` as text, the ``services`` in it, and lines about what was ``unseen``."""

    inventory: str
    services: tuple[look.Service, ...] = ()
    unseen: tuple[str, ...] = ()
    environment: str = PROTECTED

    @property
    def subject(self) -> look.Service | None:
        """Service of the first drill: one that has a unit, preferably one that answered the controller; None without any."""
        known = [one for one in self.services if one.unit and one.kind in KINDS]
        return min(known, key=lambda one: (one.status is None, KINDS.index(one.kind)), default=None)

    @property
    def job(self) -> ci_files.Job:
        """Job for CI: the suite on the inventory that was found."""
        return ci_files.Job("pre-release", "found", lab=False)

    def drill(self, program: str) -> str:
        """Text of the first drill. It stops the unit of ``subject`` and starts it again."""
        one = self.subject
        if one is None:
            raise ValueError("no service has a unit")
        template = files("drillbook.cli").joinpath("templates", "look", "first.txt").read_text(encoding="utf-8")
        part = "port" if one.status is None else "answers"
        beside = files("drillbook.cli").joinpath("templates", "look", f"{part}.yml").read_text(encoding="utf-8")
        values = {"service": one.name, "unit": one.unit, "host": one.host, "status": str(one.status), "program": program}
        values["environment"] = json.dumps(self.environment)
        probes, verify = (Template(text).substitute(values) for text in re.split(r"^---\n", beside, flags=re.MULTILINE))
        return Template(template).substitute(values, probes=probes, verify=verify)

    def commands(self, *, new: bool) -> list[tuple[str, str]]:
        """Next commands, each with its effect; a ``new`` project has a first drill."""
        if not new or self.subject is None:
            return [("drill.list", f"lists the drills; read {look.NAME}, then run drills on it with --inventory found")]
        return [
            ("drill.check first --inventory found", "tells if the first drill could begin now; reads only"),
            ("drill first --inventory found", f"stops {self.subject.unit} on {self.subject.host}, and starts it again"),
        ]

    def remarks(self) -> list[str]:
        """Sentences for the person who made the project."""
        if self.environment != PROTECTED:
            return []
        how = "write `environment: staging` there, or make the project with --environment staging"
        why = "its environment is protected, so that each drill needs an approval"
        return [f"read {look.NAME}: {why}; for hosts that no customer depends on, {how}"]


def at(hosts: Sequence[str], identity: str, known_hosts: str, gateway: str, environment: str) -> Looked:
    """Look at ``hosts``, as ``look.hosts`` does, for an inventory of ``environment``. Raises UsageError, HostError."""
    head(environment)
    targets, found = look.hosts(hosts, identity, known_hosts, gateway)
    return of(targets, found, environment)


def of(targets: look.Targets, found: dict[str, look.Seen], environment: str = "") -> Looked:
    """Describe what was ``found`` at ``targets``."""
    services = look.services(targets, found)
    return Looked(
        head(environment) + look.text(targets, found, services),
        tuple(one for one in services if not one.remark),
        tuple(f"{name}: {line}" for name, seen in found.items() for line in look.remarks(seen)),
        environment or PROTECTED,
    )


def head(environment: str) -> str:
    """Beginning of an inventory of ``environment``; without a name, of a protected one. Raises UsageError for a bad name."""
    if environment and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", environment):
        raise UsageError(
            f"{environment!r} is no name of an environment", hint="write a word such as staging, made of letters and digits"
        )
    name = environment or PROTECTED
    key = f"environment: {json.dumps(name) if environment else name}\n"
    if name in OPEN:
        key = f"{key[:-1]}    # not protected: no customer depends on these hosts, and drills need no approval\n"
    elif not is_production(name):
        why = "`no`, or the environment `staging`, for hosts that no customer depends on: drills need no approval there"
        key += f"protected: yes    # {why}\n"
    return files("drillbook.cli").joinpath("templates", "look", "head.txt").read_text(encoding="utf-8") + key

"""Files of a project that is made from an examination of hosts: an inventory of the services that were found, and a
first drill of one of these services.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from drillbook.cli import ci_files, host_examination
from drillbook.errors import UsageError
from drillbook.inventory.protection import OPEN, is_production
from drillbook.sdk.looks import Seen

DRILL, SUITE = "drills/first.yml", "drills/pre-release.yml"
PROTECTED = "found"
"""Environment that the new inventory gets if the user did not name an environment."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Result of an examination of hosts. ``inventory``: the inventory as text. ``services``: the services in the
    inventory. ``unseen``: lines about properties that could not be seen.
    """

    inventory: str
    services: tuple[host_examination.Service, ...] = ()
    unseen: tuple[str, ...] = ()
    environment: str = PROTECTED

    @property
    def subject(self) -> host_examination.Service | None:
        """Service that the first drill stops and starts, or None when no service is suitable. A suitable service has a
        systemd unit. Services that answered the controller are preferred. Among several of them, the service with the lowest
        risk is chosen.
        """
        known = [service for service in self.services if service.unit]
        return min(known, key=lambda service: (service.status is None, service.risk), default=None)

    @property
    def job(self) -> ci_files.Job:
        """CI job that runs the suite on the inventory that was found."""
        return ci_files.Job("pre-release", "found", lab=False)

    def drill(self, program: str) -> str:
        """Return the text of the first drill. This drill stops the unit of ``subject``, and starts the unit again."""
        service = self.subject
        if service is None:
            raise ValueError("no service has a unit")
        template = files("drillbook.cli").joinpath("templates", "look", "first.txt").read_text(encoding="utf-8")
        part = "port" if service.status is None else "answers"
        beside = files("drillbook.cli").joinpath("templates", "look", f"{part}.yml").read_text(encoding="utf-8")
        values = {
            "service": service.name,
            "unit": service.unit,
            "host": service.host,
            "status": str(service.status),
            "program": program,
        }
        values["environment"] = json.dumps(self.environment)
        probes, verify = (Template(text).substitute(values) for text in re.split(r"^---\n", beside, flags=re.MULTILINE))
        return Template(template).substitute(values, probes=probes, verify=verify)

    def commands(self, *, new: bool) -> list[tuple[str, str]]:
        """Return the commands to suggest to the user, each with its purpose. In a new project, the commands check and
        run the drill `first`. An older project gets another command, because Drillbook writes the file of this drill
        only into new projects. ``new``: True for a new project.
        """
        if not new or self.subject is None:
            return [
                (
                    "drill.list",
                    (f"read {host_examination.NAME}, then run drills on these hosts with --inventory found"),
                )
            ]
        return [
            ("drill.check first --inventory found", "check if the first drill could begin now; changes nothing"),
            ("drill first --inventory found", f"stop {self.subject.unit} on {self.subject.host}, and start it again"),
        ]

    def remarks(self) -> list[str]:
        """Return advice for the person who made the project, as sentences."""
        if self.environment != PROTECTED:
            return []
        how = "write `environment: staging` into the file, or make the project with --environment staging"
        why = "the environment in this file is protected, so each drill needs an approval"
        return [f"read {host_examination.NAME}: {why}; if no customer depends on the hosts, {how}"]


def at(hosts: Sequence[str], identity: str, known_hosts: str, gateway: str, environment: str) -> Looked:
    """Examine ``hosts``, and describe them in an inventory of ``environment``. Raises UsageError for an invalid address
    or environment, and HostError when a host cannot be examined.
    """
    head(environment)
    targets, seen_by_host = host_examination.hosts(hosts, identity, known_hosts, gateway)
    return of(targets, seen_by_host, environment)


def of(targets: host_examination.Targets, seen_by_host: dict[str, Seen], environment: str = "") -> Looked:
    """Make an inventory from observations. ``targets``: the observed hosts; ``seen_by_host``: the observations on each of
    them.
    """
    services = host_examination.services(targets, seen_by_host)
    return Looked(
        head(environment) + host_examination.text(targets, seen_by_host, services),
        tuple(service for service in services if not service.remark),
        tuple(f"{name}: {line}" for name, seen in seen_by_host.items() for line in host_examination.remarks(seen)),
        environment or PROTECTED,
    )


def head(environment: str) -> str:
    """Return the beginning of an inventory of ``environment``. If ``environment`` is empty, the inventory gets an environment
    named `found`, which is protected. Raises UsageError for an invalid name.
    """
    if environment and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", environment):
        raise UsageError(
            f"{environment!r} is not a valid name of an environment",
            hint="write a word such as staging, made of letters and digits",
        )
    name = environment or PROTECTED
    key = f"environment: {json.dumps(name) if environment else name}\n"
    if name in OPEN:
        key = f"{key[:-1]}    # not protected: no customer depends on these hosts, and drills need no approval\n"
    elif not is_production(name):
        why = (
            "if no customer depends on these hosts, write `no`, or use the environment `staging`: drills "
            "then need no approval"
        )
        key += f"protected: yes    # {why}\n"
    return files("drillbook.cli").joinpath("templates", "look", "head.txt").read_text(encoding="utf-8") + key

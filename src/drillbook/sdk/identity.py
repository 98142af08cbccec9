"""The identity of things: one that a drill works on, told from an inventory, and one that a backup is of, as measured.

Pure: nothing is asked. Names in an inventory are labels: two of them may mean the same database, and one name may mean
another database in the next inventory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from drillbook.sdk.host import Target
from drillbook.sdk.service import LOOPBACK, Service

HOST = "host"
"""Name of the lock of a whole host."""
ANY = "*"
"""Value of a part of an identity that covers every one."""


class Identity(BaseModel):
    """Identity of a thing as measured; of a backup also the digest of its manifest.

    ``of`` is of each kind of system its own. ``at`` in it is where the thing is, and ``path`` where on a host. What could
    not be measured is left out: it is unknown, and unknown is not equal.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    of: dict[str, str]
    manifest: str = ""

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """The identity that a fact holds; None when it is none."""
        try:
            return cls.model_validate(value) if isinstance(value, dict) else None
        except ValidationError:
            return None

    def saved(self, manifest: str | None) -> Self:
        """The same thing, as the backup with the digest ``manifest`` holds it."""
        return self.model_copy(update={"manifest": manifest or ""})

    def equals(self, other: Identity) -> bool | None:
        """Are both the same thing, whatever their manifests? None: something that one of them tells the other does not."""
        keys = self.of.keys() | other.of.keys()
        pairs = [(self.of.get(key, ""), other.of.get(key, "")) for key in keys]
        if self.kind != other.kind or any(a and b and a != b and ANY not in (a, b) for a, b in pairs):
            return False
        return True if pairs and all(a and b for a, b in pairs) else None

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it is: only one thing can be there."""
        return self.kind, self.of.get("at", ""), self.of.get("path", "")

    def __str__(self) -> str:
        told = ", ".join(f"{key} {value}" for key, value in self.of.items() if value != ANY)
        return f"{self.kind} {told}" + (f" (manifest {self.manifest[:12]})" if self.manifest else "")


class Thing(NamedTuple):
    """A service as an inventory describes it, apart from its name there."""

    host: str
    """Address of the machine that it runs on, and how it is reached."""
    name: str
    """Name of its lock on that machine, such as ``postgres-5432``."""
    part: str = ""
    """Part of it, such as one database of a server."""
    data: str = ""
    """Where on the host it keeps its data, where the inventory says so."""

    @property
    def place(self) -> str:
        """Host and name for a person, such as ``postgres-5432 on db1:22``."""
        return f"{self.name} on {self.host}"


class LockName(NamedTuple):
    """A lock that a run takes: its name on the target, the host, and the services of the inventory that it stands for."""

    name: str
    host: str
    services: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The services that it locks, and its name on the target where that is another."""
        named = ", ".join(self.services)
        return f"{named} ({self.name})" if named else self.name


def thing(service: Service, hosts: Mapping[str, Target]) -> Thing:
    """The thing that ``service`` describes; ``hosts`` are those of its inventory."""
    return Thing(host_place(service.host, hosts), service.lock_name, service.part, service.data)


def same_thing(services: Mapping[str, Service], hosts: Mapping[str, Target], a: str, b: str) -> bool:
    """Do the names ``a`` and ``b`` of one inventory mean the same thing? A name that is not in it means nothing."""
    if a not in services or b not in services:
        return False
    return a == b or thing(services[a], hosts) == thing(services[b], hosts)


def place_of(services: Mapping[str, Service], hosts: Mapping[str, Target], name: str) -> str:
    """Where the service ``name`` is, whatever it is called; of a name that is not there, the name."""
    return thing(services[name], hosts).place if name in services else name


def host_place(name: str, hosts: Mapping[str, Target]) -> str:
    """Where the host ``name`` is: its address and SSH port, and the way there; two names of one host give the same."""
    target = hosts.get(name)
    if target is None or target.local:
        return "this machine"
    address = (target.address or name).lower()
    place = f"{'localhost' if address in LOOPBACK else address}:{target.port or 22}"
    return f"{place} by {host_place(target.gateway, hosts)}" if target.gateway in hosts else place

"""Identities of services and of backed-up data. They tell whether two names mean the same thing.

The identity of a service comes from the inventory. The identity of data is measured. No host is contacted here. Names in an
inventory are only labels: two names may mean the same database, and one name may mean another database in another
inventory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from drillbook.sdk.host import Target
from drillbook.sdk.service import LOOPBACK, Service

HOST = "host"
"""Name of the lock that covers a whole host."""
ANY = "*"
"""Placeholder for a value in an identity. It counts as equal to any value of the same key in another identity."""


class Identity(BaseModel):
    """Measured identity of data, such as a database. For a backup it also has the digest of the manifest.

    ``of`` contains the measured values. Its keys depend on ``kind``. For example, ``at`` is the machine, and ``path`` is the
    path on this machine. A value that could not be measured is missing. A missing value is never equal to another value.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    of: dict[str, str]
    manifest: str = ""

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """Parse the identity in the fact ``value``. Returns None when it is not a valid identity."""
        try:
            return cls.model_validate(value) if isinstance(value, dict) else None
        except ValidationError:
            return None

    def saved(self, manifest: str | None) -> Self:
        """Return the identity of a backup of this data: the same values, and the digest ``manifest`` of its manifest."""
        return self.model_copy(update={"manifest": manifest or ""})

    def equals(self, other: Identity) -> bool | None:
        """Return True when both identities mean the same data, and False when a value differs. Manifests are not compared.

        Returns None when no values differ, but one of the identities lacks a value.
        """
        keys = self.of.keys() | other.of.keys()
        pairs = [(self.of.get(key, ""), other.of.get(key, "")) for key in keys]
        if self.kind != other.kind or any(a and b and a != b and ANY not in (a, b) for a, b in pairs):
            return False
        return True if pairs and all(a and b for a, b in pairs) else None

    @property
    def place(self) -> tuple[str, str, str]:
        """Kind, machine and path of the data. A value that was not measured is empty. If all three values were measured, no
        other data has the same three values.
        """
        return self.kind, self.of.get("at", ""), self.of.get("path", "")

    def __str__(self) -> str:
        told = ", ".join(f"{key} {value}" for key, value in self.of.items() if value != ANY)
        return f"{self.kind} {told}" + (f" (manifest {self.manifest[:12]})" if self.manifest else "")


class Thing(NamedTuple):
    """Identity of the service that an inventory entry describes.

    Two entries with equal identities describe the same service.
    """

    host: str
    """Address of the service's machine, followed by the addresses of the gateways through which the machine is reached."""
    name: str
    """Name of the service's lock on that machine, such as ``postgres-5432``."""
    part: str = ""
    """Name of the part of a server, such as one database, when only this part is the service. It is empty when the whole
    server is the service.
    """
    data: str = ""
    """Folder on the host with the data of the service. The path is empty when the inventory does not name it."""

    @property
    def place(self) -> str:
        """Name of the lock and address of the machine as text, such as ``postgres-5432 on db1:22``."""
        return f"{self.name} on {self.host}"


class LockName(NamedTuple):
    """Lock of a run: its name on the host, the address of the host, and the services that the lock protects."""

    name: str
    host: str
    services: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Text with the services and the name of the lock. For a lock without services, it is only the name."""
        named = ", ".join(self.services)
        return f"{named} ({self.name})" if named else self.name


def thing(service: Service, hosts: Mapping[str, Target]) -> Thing:
    """Return the identity of the inventory entry ``service``. ``hosts``: the hosts of the same inventory."""
    return Thing(host_place(service.host, hosts), service.lock_name, service.part, service.data)


def same_thing(services: Mapping[str, Service], hosts: Mapping[str, Target], a: str, b: str) -> bool:
    """Return True when the names ``a`` and ``b`` of one inventory mean the same service.

    For an unknown name, return False.
    """
    if a not in services or b not in services:
        return False
    return a == b or thing(services[a], hosts) == thing(services[b], hosts)


def place_of(services: Mapping[str, Service], hosts: Mapping[str, Target], name: str) -> str:
    """Return a text that tells where a service is: its lock name and its machine. ``name``: name of the service in
    ``services``. For an unknown name, return this name.
    """
    return thing(services[name], hosts).place if name in services else name


def host_place(name: str, hosts: Mapping[str, Target]) -> str:
    """Return the address, the SSH port and the gateway of the host ``name`` as text.

    The text is equal for two names of the same host.
    """
    place, target = address_of(name, hosts), hosts.get(name)
    return f"{place} by {host_place(target.gateway, hosts)}" if target and target.gateway in hosts else place


def address_of(name: str, hosts: Mapping[str, Target]) -> str:
    """Return the address and the SSH port of the host ``name`` as text.

    Two hosts with different texts are different machines. Two hosts with equal texts are one machine, unless they are
    behind different gateways.
    """
    target = hosts.get(name)
    if target is None or target.local:
        return "this machine"
    address = (target.address or name).lower()
    return f"{'localhost' if address in LOOPBACK else address}:{target.port or 22}"

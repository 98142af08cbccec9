"""An inventory: the hosts, groups, services and contacts of one environment, read from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook import strict
from drillbook.errors import InventoryError, PlanError
from drillbook.host import Target
from drillbook.services import AnyService, Service
from drillbook.values import Secret

CONTROLLER = "controller"
"""The name of the machine that Drillbook itself runs on; every inventory has it."""

LabLookup = Callable[[str], str | int]


class Contact(BaseModel):
    """A person or team to turn to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str = Field(description="What they are, such as 值班工程师 or DBA.")
    duty: str = Field(default="", description="What they answer for.")
    email: str = Field(default="", description="Mail address.")
    phone: str = Field(default="", description="Telephone number.")


class Inventory(BaseModel):
    """Everything that drills may name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str = Field(min_length=1, description="lab, staging, production, or any word.")
    lab: str = Field(default="", description="`embedded`: drills start the embedded lab when it is down.")
    hosts: dict[str, Target] = Field(default_factory=dict, description="Hosts by name.")
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Names of hosts by group.")
    services: dict[str, AnyService] = Field(default_factory=dict, description="Services by name.")
    contacts: dict[str, Contact] = Field(default_factory=dict, description="Contacts by name.")

    @model_validator(mode="before")
    @classmethod
    def _names(cls, data: Any) -> Any:
        """Give hosts and services the name of their key."""
        if not isinstance(data, dict):
            return data
        named = dict(data)
        for part in ("hosts", "services"):
            if isinstance(data.get(part), dict):
                named[part] = {key: {"name": key, **({} if value is None else value)}
                               if value is None or isinstance(value, dict) else value
                               for key, value in data[part].items()}
        return named

    @model_validator(mode="after")
    def _known(self) -> Self:
        hosts = {*self.hosts, CONTROLLER}
        for group, members in self.groups.items():
            if unknown := [name for name in members if name not in hosts]:
                raise ValueError(f"group {group!r} names the host {unknown[0]!r}, which is not in `hosts`")
            if group in self.hosts:
                raise ValueError(f"{group!r} is the name of a host and of a group")
        for service in self.services.values():
            if service.host not in hosts:
                near = strict.did_you_mean(service.host, hosts)
                wrong = f"service {service.name!r} runs on {service.host!r}, which is not in `hosts`"
                raise ValueError(f"{wrong}; {near}" if near else wrong)
        for target in self.hosts.values():
            if target.gateway and target.gateway not in self.hosts:
                raise ValueError(f"host {target.name!r} has the gateway {target.gateway!r}, which is not in `hosts`")
        return self

    def target(self, name: str) -> Target:
        """The host ``name``; the controller is a local one."""
        if name == CONTROLLER and name not in self.hosts:
            return Target(name=CONTROLLER, local=True)
        return self.hosts[name]

    def expand(self, patterns: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
        """Hosts that the names of hosts and groups stand for, in the order of the inventory. Raises PlanError."""
        wanted: set[str] = set()
        for name in [patterns] if isinstance(patterns, str) else patterns:
            if name == "all":
                wanted |= set(self.hosts)
            elif name in self.groups:
                wanted |= set(self.groups[name])
            elif name in self.hosts or name == CONTROLLER:
                wanted.add(name)
            else:
                near = strict.did_you_mean(name, [*self.hosts, *self.groups])
                raise PlanError(f"there is no host or group {name!r} in the inventory",
                                hint=f"{near}hosts: {', '.join(self.hosts)}; groups: {', '.join(self.groups) or 'none'}")
        return tuple(name for name in (*self.hosts, CONTROLLER) if name in wanted)

    def secrets(self) -> list[Secret]:
        """Every secret in the inventory."""
        found: list[Secret] = []
        for service in self.services.values():
            _collect(service, found)
        return found


def _collect(value: Any, found: list[Secret]) -> None:
    if isinstance(value, Secret):
        found.append(value)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            _collect(getattr(value, name), found)


def load(path: Path, *, lab: LabLookup | None = None) -> Inventory:
    """Read an inventory file.

    ``lab`` answers the tags ``!lab`` and ``!lab_secret``: values that only a running embedded lab knows. Paths in
    ``!file`` are relative to the file's folder. Raises InventoryError with file, line and column.
    """
    document = strict.load(path, tags=_tags(path.parent, lab), error_type=InventoryError)
    return document.validate(Inventory, document.value)


def _tags(folder: Path, lab: LabLookup | None) -> Mapping[str, strict.TagReader]:
    def env(value: Any) -> Secret:
        if not isinstance(value, str) or not value.isidentifier():
            raise ValueError("expected the name of an environment variable")
        return Secret(source="env", name=value)

    def file(value: Any) -> Secret:
        if not isinstance(value, str) or not value:
            raise ValueError("expected the path of a file")
        return Secret(source="file", name=str(folder / Path(value).expanduser()))

    def command(value: Any) -> Secret:
        if not (isinstance(value, list) and value and all(isinstance(part, str) for part in value)):
            raise ValueError("expected a list: the program and its arguments")
        return Secret(source="command", name=tuple(value))

    def of_lab(value: Any) -> str | int:
        if lab is None or not isinstance(value, str):
            raise ValueError("only the embedded lab's inventory has values of the lab")
        return lab(value)

    def lab_secret(value: Any) -> Secret:
        return Secret(source="file", name=str(of_lab(f"secrets.{value}")))

    return {"!env": env, "!file": file, "!command": command, "!lab": of_lab, "!lab_secret": lab_secret}


def service_names(services: Mapping[str, Service]) -> dict[str, Any]:
    """Services as expressions see them: plain values, secrets as ``***``."""
    return {name: {key: str(value) if isinstance(value, Secret) else value
                   for key, value in dict(service).items() if not isinstance(value, BaseModel) or isinstance(value, Secret)}
            for name, service in services.items()}

"""An inventory: the hosts, groups, services and contacts of one environment, read from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.errors import LabError, PlanError, SecretError
from drillbook.inventory import protection, yaml_files
from drillbook.inventory.kinds import OfItsKind
from drillbook.inventory.yaml_files import AnsibleSource
from drillbook.language import strict
from drillbook.language.patterns import PatternError
from drillbook.language.patterns import expand as pattern_hosts
from drillbook.sdk.host import Target
from drillbook.sdk.identity import Thing, same_thing, thing
from drillbook.sdk.service import Service
from drillbook.values import PATIENCE_S, Secret, SecretName

CONTROLLER = "controller"
"""The name of the machine that Drillbook itself runs on; every inventory has it."""

LabLookup = Callable[[str], str | int]

Occasion = Literal["start", "end", "abort", "residue"]
OCCASIONS: tuple[Occasion, ...] = ("start", "end", "abort", "residue")


YES_OR_NO: dict[str, Any] = {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no"]}, {"type": "null"}]}


class Contact(BaseModel):
    """A person or team to turn to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str = Field(description="What they are, such as 值班工程师 or DBA.")
    duty: str = Field(default="", description="What they answer for.")
    email: str = Field(default="", description="Mail address.")
    phone: str = Field(default="", description="Telephone number.")
    notify: tuple[Secret, ...] = Field(
        default=(), description="How to tell them: service URLs of apprise, each a secret; see below."
    )
    on: tuple[Occasion, ...] = Field(default=OCCASIONS, description="What they are told of.")


class Inventory(BaseModel):
    """Everything that drills may name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: str | tuple[str, ...] | None = Field(
        default=None, exclude=True, description="Inventory files to read first; what this file says wins."
    )
    ansible: str | tuple[str, ...] | AnsibleSource | None = Field(
        default=None, exclude=True, description="Ansible inventories whose hosts and groups are taken; see inventory.md."
    )
    environment: str = Field(
        min_length=1, description=("lab, dev, test or staging; production; or any other word, which then needs `protected`.")
    )
    protected: bool | None = Field(
        default=None,
        json_schema_extra=YES_OR_NO,
        description=(
            "yes: drills need `--confirm ENVIRONMENT` and a signed approval. lab, dev, test and staging are not protected "
            "unless this says so, production always is, every other word must say it."
        ),
    )
    lab: str = Field(default="", description=("`embedded` or `docker`: drills start that lab when it is down."))
    hosts: dict[str, Target] = Field(default_factory=dict, description="Hosts by name.")
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Names of hosts by group.")
    services: dict[str, Annotated[Service, OfItsKind]] = Field(default_factory=dict, description="Services by name.")
    contacts: dict[str, Contact] = Field(default_factory=dict, description="Contacts by name.")
    approvers: str = Field(
        default="", description="Who may approve drills: an allowed-signers file as in ssh-keygen(1), beside this file."
    )

    @model_validator(mode="before")
    @classmethod
    def _names(cls, data: Any) -> Any:
        """Give hosts and services the name of their key."""
        if not isinstance(data, dict):
            return data
        named = dict(data)
        for part in ("hosts", "services"):
            if isinstance(data.get(part), dict):
                named[part] = {key: cls._named(part, key, value) for key, value in data[part].items()}
        return named

    @staticmethod
    def _named(part: str, key: Any, value: Any) -> Any:
        if value is not None and not isinstance(value, dict):
            return value
        if (value or {}).get("name", key) != key:
            raise strict.Misplaced(f"the name of {key!r} is its key", (part, key, "name"), "remove `name`")
        return {**(value or {}), "name": key}

    @model_validator(mode="after")
    def _known(self) -> Self:
        hosts = [*self.hosts, *([] if CONTROLLER in self.hosts else [CONTROLLER])]
        known = f"hosts: {', '.join(hosts)}"
        for name in ("all", *self.groups):
            if name in self.hosts:
                raise strict.Misplaced(
                    f"{name!r} is the name of a host and of a group", ("hosts", name), "rename one of them"
                )
        for group, members in self.groups.items():
            for index, name in enumerate(members):
                if name not in hosts:
                    raise strict.Misplaced(
                        f"group {group!r} names the host {name!r}, which is not in `hosts`",
                        ("groups", group, index),
                        strict.did_you_mean(name, hosts) + known,
                    )
        for key, service in self.services.items():
            if service.host not in hosts:
                raise strict.Misplaced(
                    f"service {key!r} runs on {service.host!r}, which is not in `hosts`",
                    ("services", key, "host"),
                    strict.did_you_mean(service.host, hosts) + known,
                )
            self._needs(key, getattr(service, "needs", ()))
        for key, target in self.hosts.items():
            if target.gateway and target.gateway not in self.hosts:
                raise strict.Misplaced(
                    f"host {key!r} has the gateway {target.gateway!r}, which is not in `hosts`",
                    ("hosts", key, "gateway"),
                    strict.did_you_mean(target.gateway, self.hosts) + known,
                )
            self._circle(key)
        return self

    def _needs(self, key: str, names: Sequence[str]) -> None:
        """What a service depends on must be other services."""
        others = [name for name in self.services if name != key]
        for index, name in enumerate(names):
            if name not in others:
                said = "itself" if name == key else f"{name!r}, which is not in `services`"
                raise strict.Misplaced(
                    f"service {key!r} needs {said}",
                    ("services", key, "needs", index),
                    f"{strict.did_you_mean(name, others)}services: {', '.join(others)}",
                )

    def _circle(self, name: str) -> None:
        """Gateways must end somewhere."""
        way = [name]
        while (gateway := self.hosts[way[-1]].gateway) in self.hosts:
            if gateway in way:
                raise strict.Misplaced(
                    f"the gateways lead in a circle: {' > '.join([*way, gateway])}",
                    ("hosts", name, "gateway"),
                    "the first of them is reached directly: no `gateway`",
                )
            way.append(gateway)

    @property
    def is_protected(self) -> bool:
        """Do drills here need the environment's name and an approval?"""
        return protection.is_protected(self.environment, self.protected)

    def target(self, name: str) -> Target:
        """The host ``name``; the controller is a local one."""
        if name == CONTROLLER and name not in self.hosts:
            return Target(name=CONTROLLER, local=True)
        return self.hosts[name]

    def thing(self, service: str) -> Thing:
        """The thing that the service is, whatever its name: equal things are one and the same."""
        return thing(self.services[service], self.hosts)

    def same_thing(self, a: str, b: str) -> bool:
        """Do the names ``a`` and ``b`` of services mean the same thing?"""
        return same_thing(self.services, self.hosts, a, b)

    def expand(self, patterns: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
        """Hosts that patterns such as ``db:!db-2`` stand for, in the order of the inventory. Raises PlanError.

        ``controller`` is a host for every inventory, but ``all`` means those that the inventory describes.
        """
        try:
            wanted = pattern_hosts(patterns, tuple(self.hosts), self.groups, aside=(CONTROLLER,))
        except PatternError as error:
            raise PlanError(str(error), hint=error.hint) from None
        return tuple(name for name in dict.fromkeys((*self.hosts, CONTROLLER)) if name in wanted)

    def secrets_of(self, services: Iterable[str]) -> dict[str, Secret]:
        """The secrets of ``services`` by their keys, such as ``services.cache.password``."""
        return dict(pair for key in services for pair in _secrets(self.services[key], f"services.{key}"))

    def revealed(self, services: Collection[str], hide: Callable[[str], None]) -> list[str]:
        """Values to hide where ``services`` are at work: those of each of their secrets, read now.

        Other secrets, and ways to contacts, are hidden as well where nothing has to be run for them and nobody has to be
        waited for: a target may show them. ``hide`` learns those that are read after all. Raises SecretError, which names
        the secret by its keys.
        """
        found = [read_secret(place, secret) for place, secret in self.secrets_of(services).items()]
        others = self.secrets_of(name for name in self.services if name not in services).values()
        for secret in (*others, *(way for contact in self.contacts.values() for way in contact.notify)):
            with suppress(SecretError):
                found += [secret.reveal()] if secret.at_hand else []
            secret.hidden_by(hide)
        return found


def _secrets(value: Any, place: str) -> Iterator[tuple[str, Secret]]:
    if isinstance(value, Secret):
        yield place, value
    elif isinstance(value, BaseModel):
        for name, inner in value:
            field = type(value).model_fields.get(name)
            yield from _secrets(inner, f"{place}.{(field and field.alias) or name}")


def read_secret(place: str, secret: Secret, within_s: float = PATIENCE_S) -> str:
    """The value of the secret at the keys ``place`` of an inventory. Raises SecretError, which names them."""
    try:
        return secret.reveal(within_s)
    except SecretError as error:
        raise SecretError(f"{place} of the inventory: {error.message}", hint=error.hint) from None


def load(path: Path, *, lab: LabLookup | None = None) -> Inventory:
    """Read an inventory file, the files that it includes, and the Ansible inventories that these name.

    ``lab`` answers the tags ``!lab`` and ``!lab_secret``: values that only a running lab knows. Paths in
    a file are relative to its folder. Raises InventoryError with file, line and column.
    """
    found = yaml_files.documents(path, lambda folder: _tags(folder, lab))
    made = yaml_files.resolve(Inventory, found)
    _decided(made, found)
    if not made.approvers:
        return made
    said = next(document for document in reversed(found) if "approvers" in document.value)
    approvers = Path(said.file).parent.absolute() / os.path.expanduser(made.approvers)  # noqa: PTH111  Path raises for ~nobody
    return made.model_copy(update={"approvers": str(approvers)})


def _decided(made: Inventory, found: Sequence[strict.Document]) -> None:
    """Refuse an inventory that leaves open if its environment is protected. Raises InventoryError with its place.

    What an included file says of its own environment decides nothing for another word that a later file puts there,
    except that it is protected.
    """
    named, said = (
        max((number for number, document in enumerate(found) if document.value.get(key) is not None), default=-1)
        for key in ("environment", "protected")
    )
    counts = made.protected if made.protected or said >= named else None
    if why := protection.problem(made.environment, counts):
        key = "environment" if counts is None else "protected"
        raise found[named if counts is None else said].error(
            (key,),
            why,
            hint=("write `protected: yes`, or `protected: no`, beside it" if counts is None else "remove `protected`"),
        )


def _tags(folder: Path, lab: LabLookup | None) -> Mapping[str, strict.TagReader]:
    def env(value: Any) -> Secret:
        if not isinstance(value, str) or not (value.isidentifier() and value.isascii()):
            raise ValueError("expected the name of an environment variable")
        return Secret(source="env", name=value)

    def file(value: Any) -> Secret:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("expected the path of a file")
        return Secret(source="file", name=str(folder / os.path.expanduser(value)))  # noqa: PTH111  Path raises for ~nobody

    def command(value: Any) -> Secret:
        if not (isinstance(value, list) and value and all(isinstance(part, str) for part in value)):
            raise ValueError("expected a list: the program and its arguments")
        return Secret(source="command", name=tuple(value))

    def of_lab(value: Any) -> str | int:
        if lab is None or not isinstance(value, str):
            raise ValueError("only a lab's inventory has values of the lab")
        try:
            return lab(value)
        except LabError as error:
            raise ValueError(f"{error.message}; {error.hint}".removesuffix("; ")) from None

    def lab_secret(value: Any) -> Secret:
        return Secret(source="file", name=str(of_lab(f"secrets.{value}")))

    return {"!env": env, "!file": file, "!command": command, "!lab": of_lab, "!lab_secret": lab_secret}


def service_names(services: Mapping[str, Service]) -> dict[str, Any]:
    """Services as expressions see them: plain values, and the places of secrets."""
    return {
        name: {
            key: SecretName(f"services.{name}.{key}") if isinstance(value, Secret) else value
            for key, value in dict(service).items()
            if not isinstance(value, BaseModel) or isinstance(value, Secret)
        }
        for name, service in services.items()
    }

"""An inventory: the hosts, groups, services and contacts of one environment, read from a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.errors import InventoryError, PlanError, SecretError
from drillbook.inventory import cross_references, merging, protection
from drillbook.inventory.controller import CONTROLLER as CONTROLLER  # noqa: PLC0414  re-exported: most modules also need Inventory
from drillbook.inventory.kinds import OfItsKind, SourceOfItsKind
from drillbook.inventory.sources.ansible import AnsibleSource
from drillbook.inventory.sources.source import LabLookup, expanded
from drillbook.language import strict
from drillbook.language.mistakes import Mistakes
from drillbook.language.patterns import PatternError
from drillbook.language.patterns import expand as pattern_hosts
from drillbook.sdk.host import Target
from drillbook.sdk.identity import Thing, same_thing, thing
from drillbook.sdk.service import Service
from drillbook.values import PATIENCE_S, Secret, SecretName

Occasion = Literal["start", "end", "abort", "residue", "missed"]
OCCASIONS: tuple[Occasion, ...] = ("start", "end", "abort", "residue", "missed")


YES_OR_NO: dict[str, Any] = {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no"]}, {"type": "null"}]}


class Contact(BaseModel):
    """A person or team to call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str = Field(description="Role of the contact, such as on-call engineer or DBA.")
    duty: str = Field(default="", description="Responsibility of the contact, such as first-line support.")
    email: str = Field(default="", description="Mail address.")
    phone: str = Field(default="", description="Telephone number.")
    notify: tuple[Secret, ...] = Field(
        default=(),
        description=(
            "Secrets that contain service URLs of apprise. Notifications for this contact are sent to these URLs; see below."
        ),
    )
    on: tuple[Occasion, ...] = Field(default=OCCASIONS, description="Occasions on which this contact is notified.")


class Inventory(BaseModel):
    """An inventory. It contains everything that drills may refer to by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: str | tuple[str, ...] | None = Field(
        default=None,
        exclude=True,
        description=("Other inventory files to include. Values of this file have precedence over values of included files."),
    )
    ansible: str | tuple[str, ...] | AnsibleSource | None = Field(
        default=None, exclude=True, description="Ansible inventories whose hosts and groups are added; see inventory.md."
    )
    environment: str = Field(
        min_length=1,
        description=(
            "Name of the environment: lab, dev, test, staging, production, or any other word. The key `protected` is "
            "required unless the name is one of these five or contains the word production or prod, or the inventory has "
            "`environment: docker-lab` and `lab: docker`."
        ),
    )
    protected: bool | None = Field(
        default=None,
        json_schema_extra=YES_OR_NO,
        description=(
            "yes: drills need `--confirm ENVIRONMENT` and a signed approval. The default is no for lab, "
            "dev, test, staging and the Docker lab. An environment whose name contains the word production or prod is "
            "always protected. For any other environment, this key is required."
        ),
    )
    lab: str = Field(
        default="",
        description=("Lab of this environment, `embedded` or `docker`. A drill starts the lab if the lab is not running."),
    )
    hosts: dict[str, Target] = Field(default_factory=dict, description="Hosts by name.")
    groups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description=("Groups of hosts: the names of the hosts of each group.")
    )
    services: dict[str, Annotated[Service, OfItsKind]] = Field(default_factory=dict, description="Services by name.")
    backups: dict[str, Annotated[Service, SourceOfItsKind]] = Field(
        default_factory=dict,
        exclude=True,
        description=(
            "Sources of backups that a team takes with its own tools, by name. A step names such a source in the same way as "
            "a service. See sandbox.md."
        ),
    )
    contacts: dict[str, Contact] = Field(default_factory=dict, description="Contacts by name.")
    approvers: str = Field(
        default="",
        description=(
            "File with the public keys of the people who may approve drills, in the allowed-signers format of "
            "ssh-keygen(1). The path is relative to the folder of this file."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _names(cls, data: Any) -> Any:
        """Set the name of each host, service and backup source to its key in the file."""
        if not isinstance(data, dict):
            return data
        named = dict(data)
        for part in ("hosts", "services", "backups"):
            if isinstance(data.get(part), dict):
                named[part] = {key: cls._named(part, key, value) for key, value in data[part].items()}
        if isinstance(named.get("backups"), dict) and isinstance(named.get("services"), dict):
            named["backups"] = {key: on_host(value, named["services"]) for key, value in named["backups"].items()}
        return named

    @staticmethod
    def _named(part: str, key: Any, value: Any) -> Any:
        if value is not None and not isinstance(value, dict):
            return value
        if (value or {}).get("name", key) != key:
            raise strict.Misplaced(f"the name of {key!r} must be the same as its key", (part, key, "name"), "remove `name`")
        return {**(value or {}), "name": key}

    @model_validator(mode="after")
    def _sources(self) -> Self:
        """Add each backup source to the services, so that steps can refer to it by name."""
        for key, source in self.backups.items():
            if key in self.services and self.services[key] != source:
                raise strict.Misplaced(
                    f"{key!r} is the name of both a service and a backup", ("backups", key), "rename one of them"
                )
        self._known()
        if self.backups:
            # The model is frozen for all other code; only this validator completes it.
            self.__dict__["services"] = {**self.services, **self.backups}
        return self

    def _known(self) -> None:
        """Raise the first error that ``cross_references.wrong`` finds, such as a reference to a host that the inventory does
        not contain."""
        parts = {
            key: {name: dict(entry) for name, entry in getattr(self, key).items()}
            for key in ("hosts", "services", "backups")
        }
        for error in cross_references.wrong({**parts, "groups": self.groups}, CONTROLLER):
            raise error

    @property
    def is_protected(self) -> bool:
        """True when drills in this environment need an approval and the option ``--confirm`` with the environment's name."""
        return protection.is_protected(self.environment, self.protected, self.lab)

    def target(self, name: str) -> Target:
        """Return the host ``name``. ``controller`` is this machine, unless the inventory describes a host of this name."""
        if name == CONTROLLER and name not in self.hosts:
            return Target(name=CONTROLLER, local=True)
        return self.hosts[name]

    def thing(self, service: str) -> Thing:
        """Return the identity of the server or data behind ``service``.

        Services with equal identities are different names for the same server or data.
        """
        return thing(self.services[service], self.hosts)

    def same_thing(self, a: str, b: str) -> bool:
        """Return True when ``a`` and ``b`` are two names for the same server or data."""
        return same_thing(self.services, self.hosts, a, b)

    def expand(self, patterns: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
        """Return the names of the hosts that match patterns such as ``db:!db-2``, in the order of the inventory. Raises
        PlanError when a pattern is invalid or matches nothing.

        Every inventory has a host ``controller``. The pattern ``all`` matches this host only if the inventory file describes
        it.
        """
        try:
            wanted = pattern_hosts(patterns, tuple(self.hosts), self.groups, aside=(CONTROLLER,))
        except PatternError as error:
            raise PlanError(str(error), hint=error.hint) from None
        return tuple(name for name in dict.fromkeys((*self.hosts, CONTROLLER)) if name in wanted)

    def secrets_of(self, services: Iterable[str]) -> dict[str, Secret]:
        """Return the secrets of ``services``.

        The key of each secret is its path in the inventory, such as ``services.cache.password``.
        """
        return dict(pair for key in services for pair in _secrets(self.services[key], f"services.{key}"))

    def secrets_of_hosts(self) -> dict[str, Secret]:
        """Return the passwords in the key `become` of all hosts. The key of each password is its path in the inventory."""
        return dict(pair for key, target in self.hosts.items() for pair in _secrets(target, f"hosts.{key}"))

    def revealed(
        self, services: Collection[str], hide: Callable[[str], None], unread: list[SecretError] | None = None
    ) -> list[str]:
        """Read all secrets of ``services``, and return the values to hide in the output of a run.

        The run must also hide the secrets of other services, the passwords of hosts, and the addresses of contacts. These
        secrets are returned as well if they can be read at once: from a regular file or an environment variable, but not
        from a command or a pipe. When one of the remaining secrets is read later, ``hide`` is called with its value.

        Raises SecretError when secrets of ``services`` cannot be read. The error names all of them by their paths in the
        inventory. If the list ``unread`` is given, nothing is raised, and the errors are added to the list.
        """
        values, errors = [], []
        for place, secret in self.secrets_of(services).items():
            try:
                values.append(read_secret(place, secret))
            except SecretError as error:
                errors.append(error)
                secret.hidden_by(hide)
        if unread is not None:
            unread += errors
        elif errors:
            raise all_unread(errors)
        others = [
            *self.secrets_of(name for name in self.services if name not in services).values(),
            *self.secrets_of_hosts().values(),
        ]
        for secret in (*others, *(way for contact in self.contacts.values() for way in contact.notify)):
            with suppress(SecretError):
                values += [secret.reveal()] if secret.at_hand else []
            secret.hidden_by(hide)
        return values


def on_host(source: Any, services: Mapping[str, Any]) -> Any:
    """Return the fields of a backup source. If they contain no host, add the host of the service that is backed up."""
    if not isinstance(source, dict) or source.get("host") is not None:
        return source
    service = services.get(source.get("service", ""))
    host = service.get("host") if isinstance(service, dict) else getattr(service, "host", None)
    return {**source, "host": host} if host is not None else source


def _secrets(value: Any, place: str) -> Iterator[tuple[str, Secret]]:
    if isinstance(value, Secret):
        yield place, value
    elif isinstance(value, BaseModel):
        for name, inner in value:
            field = type(value).model_fields.get(name)
            yield from _secrets(inner, f"{place}.{(field and field.alias) or name}")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets(inner, f"{place}.{name}")


def read_secret(place: str, secret: Secret, within_s: float = PATIENCE_S) -> str:
    """Read the secret at the path ``place`` of an inventory. Raises SecretError, whose message contains ``place``."""
    try:
        return secret.reveal(within_s)
    except SecretError as error:
        raise SecretError(f"{place} of the inventory: {error.message}", hint=error.hint) from None


def unreadable(secrets: Mapping[str, Secret]) -> list[SecretError]:
    """Read ``secrets``. Return an error for each secret that cannot be read. Each key is the path of the secret in the
    inventory.
    """
    errors = []
    for place, secret in secrets.items():
        try:
            read_secret(place, secret)
        except SecretError as error:
            errors.append(error)
    return errors


def all_unread(errors: Sequence[SecretError]) -> SecretError:
    """Return one error that names all secrets of ``errors``, and contains their hints."""
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    return SecretError("; ".join(error.message for error in errors), hint="; ".join(hints))


def load(path: Path, *, lab: LabLookup | None = None) -> Inventory:
    """Read an inventory file, the files that it includes, and the Ansible inventories that these files list.

    ``lab``: function that looks up the values of the tags ``!lab`` and ``!lab_secret`` in a running lab. Paths in a file
    are relative to the folder of that file. Raises InventoryError with file, line and column when a file is invalid.
    """
    mistakes = Mistakes()
    documents = merging.documents(path, lab, mistakes=mistakes)
    made = mistakes.of(_made, documents, mistakes)
    if made is not None:
        mistakes.of(_decided, made.environment, made.protected, made.lab, documents)
    mistakes.report()
    if made is None:
        raise PlanError("the inventory cannot be read")
    _located(made, documents)
    if not made.approvers:
        return made
    said = next(document for document in reversed(documents) if "approvers" in document.value)
    approvers = expanded(Path(said.file).parent.absolute(), made.approvers)
    return made.model_copy(update={"approvers": str(approvers)})


def _made(documents: list[strict.Document], mistakes: Mistakes) -> Inventory:
    """Merge ``documents`` to one inventory, and validate it. Raises InventoryError when the inventory is invalid.

    Before this error is raised, all mistakes of the inventory are added to ``mistakes``. They include references to parts that
    the inventory does not contain.
    """
    merged, value = merging.resolve(documents)
    try:
        return merged.validate(Inventory, value)
    except InventoryError as error:
        mistakes.errors += [error, *error.others]
        error.others = ()
        for wrong in cross_references.wrong(value, CONTROLLER):
            mistakes.errors.append(merged.error(wrong.place, str(wrong), hint=wrong.hint))
        if isinstance(environment := value.get("environment"), str) and value.get("protected") is None:
            mistakes.of(_decided, environment, None, str(value.get("lab") or ""), documents)
        raise


def _located(made: Inventory, documents: Sequence[strict.Document]) -> None:
    """Store in each host, service and backup source the file and the line that describe it. Hints name this line."""
    for document in documents:
        lines: dict[tuple[str, str], dict[str, int]] = {}
        for place, (line, _) in document.keys.items():
            if len(place) in (2, 3) and place[0] in ("hosts", "services", "backups"):
                fields = lines.setdefault((str(place[0]), str(place[1])), {})
                fields["".join(map(str, place[2:]))] = line + 1
        for (section, name), fields in lines.items():
            entry = made.hosts.get(name) if section == Target.SECTION else made.services.get(name)
            if entry is not None and section == entry.SECTION:
                entry.written_at(document.file, fields.pop("", 1), fields)


def _decided(environment: str, protected: bool | None, lab: str, documents: Sequence[strict.Document]) -> None:
    """Raise InventoryError when the value of `protected` is missing but required, or is not allowed for the
    environment.

    A file may set another environment than a file that it includes. In this case `protected: true` in the included file
    still applies, but `protected: false` is ignored.
    """
    named, said = (
        max((number for number, document in enumerate(documents) if document.value.get(key) is not None), default=-1)
        for key in ("environment", "protected")
    )
    counts = protected if protected or said >= named else None
    if why := protection.problem(environment, counts, lab):
        key = "environment" if counts is None else "protected"
        remedy = "write `protected: yes` or `protected: no` next to `environment`"
        if environment == protection.DOCKER_LAB:
            remedy += "; in the inventory of the Docker lab of Drillbook, write `lab: docker` instead"
        raise documents[named if counts is None else said].error(
            (key,), why, hint=remedy if counts is None else "remove `protected`"
        )


def service_names(services: Mapping[str, Service]) -> dict[str, Any]:
    """Return the fields of ``services`` for use in expressions.

    Each secret is replaced by a SecretName that holds the path of the secret in the inventory.
    """
    return {
        name: {
            key: SecretName(f"services.{name}.{key}") if isinstance(value, Secret) else value
            for key, value in dict(service).items()
            if not isinstance(value, BaseModel) or isinstance(value, Secret)
        }
        for name, service in services.items()
    }

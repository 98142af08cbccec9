"""Base classes of actions: named operations with typed parameters, where the fields of the class are the keys in YAML.

The name of an action consists of its family and its class: class ``Dump`` in the family ``postgres`` is ``postgres.dump``.
Plans, documentation and contract tests include every action automatically.
"""

from __future__ import annotations

import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from drillbook.errors import HostError, PlanError
from drillbook.events.content import Content
from drillbook.redact import RedactingWriter, Redactor
from drillbook.sdk import discovery, target_folders
from drillbook.sdk.earlier import EarlierStep
from drillbook.sdk.evidence_file import EvidenceFile
from drillbook.sdk.host import Deadline, Host, Output, Target
from drillbook.sdk.identity import Identity, same_thing
from drillbook.sdk.late_values import NotKnownYet, validator_of
from drillbook.sdk.service import S3, Service
from drillbook.sdk.target_folders import scratch_of
from drillbook.sdk.undo import Undo as Undo  # noqa: PLC0414  re-exported: modules of actions import everything from here

Facts = dict[str, Any]
"""Results of an action, as JSON. Large data goes to an evidence file, and the fact holds the SHA-256 of that file."""

ServiceT = TypeVar("ServiceT", bound=Service)


class Effect(StrEnum):
    """Effect of an action on its target."""

    READ = "read"
    WRITE = "write"
    FAULT = "fault"


class Place(StrEnum):
    """Default place of a step that names no ``hosts``."""

    SERVICE = "service"  # on the host of the service in its `service` field
    HOSTS = "hosts"  # the step must name hosts
    CONTROLLER = "controller"  # on the machine that runs Drillbook


@dataclass(frozen=True, slots=True)
class Context:
    """Context of an action: one host, the inventory's services, a deadline, and storage for evidence."""

    run_id: str
    step: str
    host: Host
    services: Mapping[str, Service]
    host_named: Callable[[str], Host]
    deadline: Deadline
    folder: Path
    note: Callable[[Content], None] = field(default=lambda what: None)
    redactor: Redactor = field(default_factory=lambda: Redactor(()))
    book: object | None = None  # diagnosis trees and inventory, for actions that diagnose a service
    proofs: frozenset[str] = frozenset()
    """Names of the actions that verify a backup of the step's service in the backup phase of this drill."""
    spares: bool = False
    """True after a fault was injected: evidence that cannot be written is then skipped with a note instead of an error."""
    hosts: Mapping[str, Target] = field(default_factory=dict)
    """The hosts of the inventory by name."""
    traceparent: str = ""
    """W3C header that makes a request part of the run's trace; empty when the run is not traced."""
    vouchers: Any = None  # Vouchers, or None when the run neither makes nor checks signatures
    earlier: Callable[[str, str], EarlierStep | None] = lambda action, service: None  # newest passed step of an earlier run
    former: frozenset[str] = frozenset()  # hosts with temporary files of the run in the folder that an older version used

    def service(self, name: str, kind: type[ServiceT]) -> ServiceT:
        """Return the service ``name``. Raises PlanError when the inventory lacks it, or it is not of ``kind``."""
        service = self.services.get(name)
        if not isinstance(service, kind):
            found = f"has the kind {getattr(service, 'kind', '?')}" if service else "is not in the inventory"
            raise PlanError(f"{self.step} needs a service of kind {kind.__name__.lower()}, but {name!r} {found}")
        return service

    def same_service(self, a: str, b: str) -> bool:
        """Return True when the names ``a`` and ``b`` denote the same service, or when both are empty (steps without a service)."""
        return a == b or same_thing(self.services, self.hosts, a, b)

    def bucket(self, uri: str) -> S3:
        """Return the S3 service that holds ``s3://bucket/...``. Raises PlanError unless the inventory has exactly one."""
        match = re.match(r"s3://([^/#]+)", uri)
        found = [s for s in self.services.values() if isinstance(s, S3) and match and s.bucket == match[1]]
        if len(found) != 1:
            raise PlanError(f"{self.step}: {uri!r} needs exactly one s3 service with that bucket, found {len(found)}")
        return found[0]

    def run(self, *argv: str, **options: Any) -> Output:
        """Run a command on the step's host within the step's deadline; see Host.run for ``options``."""
        return self.host.run(argv, deadline=self.deadline, **options)

    @property
    def scratch(self) -> str:
        """Folder for this run's temporary files on the step's host; the runner removes it at the end of the run."""
        return self.scratch_on(self.host)

    def scratch_on(self, host: Host) -> str:
        """Folder for this run's temporary files on ``host``."""
        return scratch_of(host, self.run_id, former=host.name in self.former)

    def make_scratch(self, name: str = "") -> str:
        """Create ``scratch`` and in it an empty, private folder ``name``; return the path of ``name``. Raises NotReady, HostError."""
        return target_folders.make(self.host, self.scratch, name, deadline=self.deadline)

    @contextmanager
    def temporary(self, name: str) -> Iterator[str]:
        """Yield a new, empty folder for this step on its host; the folder is removed after the `with`, also after an error."""
        path = f"{self.scratch}/{name}-{self.step}"
        try:
            yield self.make_scratch(f"{name}-{self.step}")
        finally:
            with suppress(HostError):
                self.host.run(("rm", "-rf", "--", path), deadline=Deadline.after(60))

    def evidence(self, name: str, content: bytes | str, *, sync: bool = False) -> Facts:
        """Store ``content`` as an evidence file of the run; returns ``{"file", "sha256", "bytes"}`` for the facts.

        With ``sync`` the file is flushed to the disk, and a failure raises OSError: for data that a recovery needs.
        """
        with self.evidence_stream(name, sync=sync) as (writer, facts):
            writer.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        return facts

    @contextmanager
    def evidence_stream(self, name: str, *, sync: bool = False) -> Iterator[tuple[RedactingWriter, Facts]]:
        """Open an evidence file for writing; yield the writer, and the facts, which are filled in when the file is closed."""
        name, taken = self._evidence_file(name), len(self.kept_evidence(name))
        path = self.folder / "evidence" / (f"{name}~{taken + 1}" if taken else name)
        file = EvidenceFile(path, optional=self.spares, vital=sync)
        facts: Facts = {"file": f"evidence/{file.path.name}"}
        writer = self.redactor.writer(file)
        try:
            yield writer, facts
        finally:
            writer.finish()
            file.close(sync=sync)
            facts |= file.facts

    def kept_evidence(self, name: str) -> list[Path]:
        """Return the evidence files that this step stored under ``name`` on this host, in all its attempts."""
        file, folder = self._evidence_file(name), self.folder / "evidence"
        return [path for path in (folder.iterdir() if folder.is_dir() else ()) if path.name.partition("~")[0] == file]

    def _evidence_file(self, name: str) -> str:
        return re.sub(r"[^A-Za-z0-9._-]", "_", f"{self.step}.{self.host.name}.{name}")

    @contextmanager
    def reach(self, service: Any) -> Iterator[tuple[str, int]]:
        """Yield an address and port at which the controller reaches ``service``, through an SSH tunnel if needed."""
        if service.socket or getattr(service, "reach", "direct") == "ssh":
            with self.host_named(service.host).forward(service.socket or service.address, service.port) as port:
                yield "127.0.0.1", port
        else:
            yield service.address, service.port


class Action(BaseModel):
    """Base of all actions; subclass Read, Write or Fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    PART: ClassVar[str] = "actions"
    """Name of the field of ``System`` that lists the modules with these classes."""
    EFFECT: ClassVar[Effect] = Effect.READ
    PLACE: ClassVar[Place] = Place.SERVICE
    SERVICE: ClassVar[type[Service] | None] = None
    """Kind of the service that the field ``service`` must name; ``None`` for any."""
    PROVES_BACKUP: ClassVar[bool] = False
    """True when a successful step verifies a stored backup, which is required before a fault that only a restore can undo."""
    RESTORES_WITH: ClassVar[tuple[str, ...]] = ()
    """For a step that verifies backups: names of the actions that restore them; first the action that restores all data."""
    COMPARES: ClassVar[bool] = False
    """True when a successful step shows that the content of its service equals the manifest of a backup."""
    TAKES: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """For a restore: parameters whose values are facts of earlier steps on the same service, each with (action, fact)."""
    OPENED_BY: ClassVar[str] = ""
    """For a restore whose parameter `closed` locks clients out: name of the action that admits clients again."""
    SECRETS: ClassVar[frozenset[str]] = frozenset()
    """Names of the parameters of type ``Handed``, whose values may refer to a secret in the inventory."""
    CODE: ClassVar[str] = ""
    """Parameter whose text is executed literally by a host, a container or a server, such as `argv` or `query`."""
    READY_CODE: ClassVar[str] = ""
    """Parameter whose text is executed already by the action's `ready` check, before the drill begins."""
    TIMEOUT: ClassVar[float] = 60.0
    """Default timeout of a step with this action, in seconds."""
    LEASED: ClassVar[bool] = False
    """True for a change that the target undoes by itself when the run stops renewing its lease, as for a fault."""
    UNDO: ClassVar[tuple[str, ...]] = ("nothing",)
    """Kinds of undo that ``undo`` may return: ``commands``, ``action``, ``restore``, ``nothing``."""

    _unknown: frozenset[str] = PrivateAttr(default=frozenset())
    """Fields whose value is not known yet, see ``with_unknown``."""

    @classmethod
    def name(cls) -> str:
        """Return the name in YAML: family and class, such as ``postgres.lose_data``."""
        return discovery.name_of(cls)

    @property
    def effect(self) -> Effect:
        """Effect of this step; it differs from ``EFFECT`` only for actions whose effect the drill declares in YAML."""
        return self.EFFECT

    @abstractmethod
    def run(self, ctx: Context) -> Facts:
        """Carry out the action. Raises StepFailed, CouldNotVerify, HostError, Cancelled."""

    def ready(self, ctx: Context) -> None:
        """Check before the drill begins that ``run`` could succeed; reads only.

        A field whose value an earlier step supplies has no value yet: call ``known`` first. Raises NotReady.
        """

    @classmethod
    def with_unknown(cls, params: Mapping[str, Any], unknown: Collection[str]) -> Self:
        """Build the action from ``params`` (by YAML key); earlier steps have yet to supply the values of ``unknown``.

        Raises ValidationError.
        """
        if not unknown:
            return cls.model_validate(params)
        names = {info.alias or name: name for name, info in cls.model_fields.items()}
        known = {names.get(key, key): value for key, value in params.items()}
        action = cls.model_construct(
            **{name: validator_of(cls, name).validate_python(value) for name, value in known.items()}
        )
        action._unknown = frozenset(names.get(key, key) for key in unknown)
        for name in action._unknown:
            action.__dict__.pop(name, None)  # remove the default: it is not the value that the step will have
        return action

    def known(self, field_name: str) -> bool:
        """Return False for a field whose value an earlier step has yet to supply; reading it then raises NotKnownYet."""
        if field_name not in type(self).model_fields:
            raise AttributeError(f"{self.name()} has no field {field_name!r}")
        return field_name not in self._unknown

    def if_known(self, field_name: str, otherwise: Any = None) -> Any:
        """Return the value of a field, or ``otherwise`` when it is not known."""
        return getattr(self, field_name) if self.known(field_name) else otherwise

    if not TYPE_CHECKING:  # hidden from type checkers, so that fields keep their declared types

        def __getattr__(self, name: str) -> Any:
            """Raise NotKnownYet for a field that has no value yet, AttributeError for any other missing attribute."""
            if name in type(self).model_fields:
                raise NotKnownYet(f"`{name}` of {self.name()} has no value until an earlier step has finished")
            return super().__getattr__(name)

    def undo(self, ctx: Context) -> Undo:
        """Return the undo of ``run``; called before ``run`` starts."""
        return Undo.nothing("reads only")

    def subject(self, ctx: Context) -> Identity | None:
        """Measure the identity of data that this action destroys, compares or restored, or whose backup the action verifies.

        Returns ``None`` for an action without such data. Raises the errors of the measurement.
        """
        return None

    @classmethod
    def may_lease(cls, effect: Effect) -> bool:
        """Return True when a step with ``effect`` has a lease: the target undoes the step when the run stops renewing the lease."""
        return (effect is Effect.FAULT or cls.LEASED) and "commands" in cls.undo_kinds()

    @classmethod
    def undo_kinds(cls) -> tuple[str, ...]:
        """Return the kinds of undo that ``undo`` may return, without contacting a host."""
        return cls.UNDO

    def active(self, ctx: Context) -> bool | None:
        """Return True when the change of this step is in effect and the undo would remove it; ``None`` when unknown."""
        return None

    @classmethod
    def check_declaration(cls) -> None:
        """Raise TypeError unless the class declares everything that planning needs.

        Called when the module of the class is first inspected.
        """
        _check_declaration(cls)


class Read(Action):
    """Base of actions that only read."""


class Write(Action):
    """Base of actions that change something on purpose, such as a backup or a restore."""

    EFFECT = Effect.WRITE
    UNDO: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def undo(self, ctx: Context) -> Undo:
        """Return the undo, or ``Undo.nothing`` with the reason."""

    def interrupted(self, ctx: Context) -> None:
        """Remove leftovers of an interrupted step that ``undo`` does not cover, such as an unfinished upload.

        Must be safe to run twice, and when the step never began. Raises the errors of its requests.
        """


class Fault(Action):
    """Base of actions that break something."""

    EFFECT = Effect.FAULT
    UNDO: ClassVar[tuple[str, ...]] = ()
    RESTORE_ONLY: ClassVar[bool] = False
    """True when only a restore undoes the fault: the plan then requires a backup phase and a restore phase."""
    PROVEN_BY: ClassVar[tuple[str, ...]] = ()
    """For a fault that only a restore undoes: the actions that verify a backup of the data that this fault destroys."""
    RESTORED_BY: ClassVar[Mapping[str, str]] = {}
    """For a fault that only a restore undoes: name of the restoring action, by name of the action that verifies the backup.

    The restoring step gets the ``location`` of the backup as ``from``, and the parameters that it shares with the fault,
    such as ``service`` and ``table``.
    """

    @property
    def restore_only(self) -> bool:
        """True when only a restore undoes this step; differs from ``RESTORE_ONLY`` only when the drill declares the undo."""
        return self.RESTORE_ONLY

    def run(self, ctx: Context) -> Facts:
        """Inject the fault."""
        return self.inject(ctx)

    @abstractmethod
    def inject(self, ctx: Context) -> Facts:
        """Break the target; returns the facts. Raises the errors of ``run``."""

    @abstractmethod
    def undo(self, ctx: Context) -> Undo:
        """Return the undo, or ``Undo.by_restore``."""

    @abstractmethod
    def active(self, ctx: Context) -> bool | None:
        """Return True when the fault is verified active, False when verified gone; for a partial fault ``None`` or an error."""

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when ``inject`` verifiably changed nothing, ``None`` when unknown; for faults that only a restore undoes.

        Read-only. Called after an injection that failed or was killed, before any restore: True means that no restore is needed.
        An inactive fault is not enough, since half of the damage may be done.
        """
        return None

    def interrupted(self, ctx: Context) -> None:
        """Restart the processes, such as a server, that an interrupted injection stopped before it destroyed anything.

        Only for faults that only a restore undoes; called right before ``untouched``. Must not touch damaged data. Must be safe
        to run twice, and when the injection never began. Raises the errors of its requests.
        """


def _check_declaration(cls: type[Action]) -> None:
    fault = cls if issubclass(cls, Fault) else None
    lost, proof = fault if fault and fault.RESTORE_ONLY else None, cls.PROVES_BACKUP
    changes = issubclass(cls, Write | Fault) and not inspect.isabstract(cls)
    undescribed = [name for name, info in cls.model_fields.items() if not info.description]
    for wrong, said in (
        (not (cls.__doc__ or "").strip(), "has no docstring"),
        (undescribed, f"field {undescribed[:1]} has no description"),
        (changes and cls.undo in (Write.undo, Fault.undo), "declares no undo"),
        (changes and not cls.UNDO, "declares no kinds of undo (`UNDO`)"),
        ((proof or lost) and cls.subject is Action.subject, "does not identify its data (`subject`)"),
        (proof and not cls.RESTORES_WITH, "names no action that restores the backup it verifies (`RESTORES_WITH`)"),
        (fault and fault.active is Fault.active, "declares no proof (`active`)"),
        (lost and lost.untouched is Fault.untouched, "declares no proof that it changed nothing (`untouched`)"),
        (lost and not lost.PROVEN_BY, "names no action that verifies its backup (`PROVEN_BY`)"),
        (lost and not set(lost.RESTORED_BY) & set(lost.PROVEN_BY), "names no action that restores its data (`RESTORED_BY`)"),
    ):
        if wrong and not cls.__name__.startswith("_"):
            raise TypeError(f"{cls.name()} {said}")


def find(name: str, kind: type[Any] = Action) -> type[Any]:
    """Return the class of ``kind`` with this name; imports only the modules of its family. Raises UnknownName."""
    return discovery.find(name, kind)


def known_names(kind: type[Any] = Action) -> list[str]:
    """Names of all classes of ``kind``, sorted; imports the modules of every system."""
    return discovery.known_names(kind)

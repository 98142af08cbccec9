"""An action: a named operation with typed parameters. Its fields are the YAML keys, its name is its place.

Class ``Dump`` in the family ``postgres`` is ``postgres.dump``; plan, documentation and contract tests follow by themselves.
"""

from __future__ import annotations

import inspect
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from drillbook.errors import HostError, PlanError
from drillbook.events.content import Content
from drillbook.redact import RedactingWriter, Redactor
from drillbook.sdk import discovery
from drillbook.sdk import target_folders as scratch
from drillbook.sdk.evidence_file import EvidenceFile
from drillbook.sdk.host import Deadline, Host, Output, Target
from drillbook.sdk.identity import Identity, same_thing
from drillbook.sdk.service import S3, Service
from drillbook.sdk.target_folders import scratch_of
from drillbook.sdk.undo import Undo as Undo  # noqa: PLC0414  actions are written with what is named here

Facts = dict[str, Any]
"""What an action found or made; JSON. Bulk goes to an evidence file and the fact holds its digest."""

ServiceT = TypeVar("ServiceT", bound=Service)


class Effect(StrEnum):
    """What an action does to its target."""

    READ = "read"
    WRITE = "write"
    FAULT = "fault"


class Place(StrEnum):
    """Where a step runs when it names no ``hosts``."""

    SERVICE = "service"  # on the host of the service in its `service` field
    HOSTS = "hosts"  # the step must name hosts
    CONTROLLER = "controller"  # here


@dataclass(frozen=True, slots=True)
class Context:
    """What an action may use: one host, the inventory's services, a deadline, and a place for evidence."""

    run_id: str
    step: str
    host: Host
    services: Mapping[str, Service]
    host_named: Callable[[str], Host]
    deadline: Deadline
    folder: Path
    note: Callable[[Content], None] = field(default=lambda what: None)
    redactor: Redactor = field(default_factory=lambda: Redactor(()))
    book: object | None = None
    """Trees and inventory of a diagnosis, for the actions that make one."""
    proofs: frozenset[str] = frozenset()
    """Actions that prove a backup of the step's service in the backup phase of this drill."""
    spares: bool = False
    """True once something is broken: evidence that cannot be written is left out then, and its facts say so."""
    hosts: Mapping[str, Target] = field(default_factory=dict)
    """The hosts of the inventory by name."""
    traceparent: str = ""
    """The W3C header that makes a request part of the run's trace; empty: the run is not traced."""
    vouchers: Any = None  # Vouchers, or None where no signatures are made or checked
    former: frozenset[str] = frozenset()
    """Hosts on which a run that is recovered has its temporary files where a version before this one had them."""

    def service(self, name: str, kind: type[ServiceT]) -> ServiceT:
        """The service ``name``, which must be of ``kind``. Raises PlanError otherwise."""
        service = self.services.get(name)
        if not isinstance(service, kind):
            found = f"is of kind {getattr(service, 'kind', '?')}" if service else "is not in the inventory"
            raise PlanError(f"{self.step} needs a service of kind {kind.__name__.lower()}, but {name!r} {found}")
        return service

    def same_service(self, a: str, b: str) -> bool:
        """Do two names of services mean the same thing? Two steps without a service work on the same host."""
        return a == b or same_thing(self.services, self.hosts, a, b)

    def bucket(self, uri: str) -> S3:
        """The S3 service that holds ``s3://bucket/...``. Raises PlanError when the inventory has none, or two."""
        match = re.match(r"s3://([^/#]+)", uri)
        found = [s for s in self.services.values() if isinstance(s, S3) and match and s.bucket == match[1]]
        if len(found) != 1:
            raise PlanError(f"{self.step}: {uri!r} needs exactly one s3 service with that bucket, found {len(found)}")
        return found[0]

    def run(self, *argv: str, **options: Any) -> Output:
        """Run a command on the step's host under the step's deadline; see Host.run for ``options``."""
        return self.host.run(argv, deadline=self.deadline, **options)

    @property
    def scratch(self) -> str:
        """Folder for this run's temporary files on the step's host; the runner removes it at the end."""
        return self.scratch_on(self.host)

    def scratch_on(self, host: Host) -> str:
        """Folder for this run's temporary files on ``host``."""
        return scratch_of(host, self.run_id, former=host.name in self.former)

    def make_scratch(self, name: str = "") -> str:
        """Make ``scratch``, and an empty folder in it, for this user alone; its path. Raises NotReady, HostError."""
        return scratch.make(self.host, self.scratch, name, deadline=self.deadline)

    @contextmanager
    def temporary(self, name: str) -> Iterator[str]:
        """An empty folder of this step on its host, removed at the end, also when it could only half be made."""
        path = f"{self.scratch}/{name}-{self.step}"
        try:
            yield self.make_scratch(f"{name}-{self.step}")
        finally:
            with suppress(HostError):
                self.host.run(("rm", "-rf", "--", path), deadline=Deadline.after(60))

    def evidence(self, name: str, content: bytes | str, *, sync: bool = False) -> Facts:
        """Keep ``content`` in the run's folder; returns ``{"file", "sha256", "bytes"}`` for the facts.

        With ``sync`` it is on disk before this returns, or OSError is raised: for what a recovery must know.
        """
        with self.evidence_stream(name, sync=sync) as (writer, facts):
            writer.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        return facts

    @contextmanager
    def evidence_stream(self, name: str, *, sync: bool = False) -> Iterator[tuple[RedactingWriter, Facts]]:
        """A sink that streams into a file of evidence, see there; and the facts about it, complete when it is closed."""
        folder = self.folder / "evidence"
        name, taken = self._evidence_file(name), len(self.kept_evidence(name))
        file = EvidenceFile(folder / (f"{name}~{taken + 1}" if taken else name), spared=self.spares, vital=sync)
        facts: Facts = {"file": f"evidence/{file.path.name}"}
        writer = self.redactor.writer(file)
        try:
            yield writer, facts
        finally:
            writer.finish()
            file.close(sync=sync)
            facts |= file.facts

    def kept_evidence(self, name: str) -> list[Path]:
        """What this step kept under ``name`` on this host, one for each time that it did."""
        file, folder = self._evidence_file(name), self.folder / "evidence"
        return [path for path in (folder.iterdir() if folder.is_dir() else ()) if path.name.partition("~")[0] == file]

    def _evidence_file(self, name: str) -> str:
        return re.sub(r"[^A-Za-z0-9._-]", "_", f"{self.step}.{self.host.name}.{name}")

    @contextmanager
    def reach(self, service: Any) -> Iterator[tuple[str, int]]:
        """Address and port at which the controller reaches ``service``: its own, or through its host's SSH."""
        if getattr(service, "reach", "direct") == "ssh":
            with self.host_named(service.host).forward(service.address, service.port) as port:
                yield "127.0.0.1", port
        else:
            yield service.address, service.port


class Action(BaseModel):
    """Base of all actions; subclass Read, Write or Fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    PART: ClassVar[str] = "actions"
    """Part of a system's declaration that names its module."""
    EFFECT: ClassVar[Effect] = Effect.READ
    PLACE: ClassVar[Place] = Place.SERVICE
    SERVICE: ClassVar[type[Service] | None] = None
    """Kind of the service that the field ``service`` must name; ``None``: any."""
    PROVES_BACKUP: ClassVar[bool] = False
    """True when a successful step shows that a backup is whole where it lies: the gate before a restore-only fault."""
    RESTORES_WITH: ClassVar[tuple[str, ...]] = ()
    """For what proves a backup: the actions that restore from such a one, first the one that restores all of it."""
    COMPARES: ClassVar[bool] = False
    """True when a successful step shows that the content of its service equals the manifest of a backup."""
    TAKES: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """For a restore: parameters that are facts of this run's own steps on its service, as the action and its fact."""
    OPENED_BY: ClassVar[str] = ""
    """For a restore with a parameter `closed`, which keeps clients out: the action that lets them in."""
    SECRETS: ClassVar[frozenset[str]] = frozenset()
    """Parameters, of the type ``Handed``, that take a secret of the inventory."""
    CODE: ClassVar[str] = ""
    """Parameter whose text a host, a container or a server executes as it is written: `argv`, `query`."""
    READY_CODE: ClassVar[str] = ""
    """The same for a parameter whose text is executed when `ready` asks."""
    TIMEOUT: ClassVar[float] = 60.0
    """Seconds that a step of this action may take when it names no ``timeout``."""
    LEASED: ClassVar[bool] = False
    """True for a change that a target must not keep when its controller falls silent: it is leased as a fault is."""
    UNDO: ClassVar[tuple[str, ...]] = ("nothing",)
    """Kinds that ``undo`` may give: ``commands``, ``action``, ``restore``, ``nothing``."""

    @classmethod
    def name(cls) -> str:
        """The name in YAML: family and class, such as ``postgres.lose_data``."""
        return discovery.name_of(cls)

    @property
    def effect(self) -> Effect:
        """Effect of this very use; only actions that declare it in YAML differ from their class."""
        return self.EFFECT

    @abstractmethod
    def run(self, ctx: Context) -> Facts:
        """Carry out the action. Raises StepFailed, CouldNotVerify, HostError, Cancelled."""

    def ready(self, ctx: Context) -> None:
        """Check before anything runs that this action could; reads only.

        Fields whose value comes from an earlier step are not set yet: look at ``known``. Raises NotReady.
        """

    def known(self, field_name: str) -> bool:
        """False in ``ready`` for a field that depends on an earlier step."""
        return field_name in self.__dict__

    def undo(self, ctx: Context) -> Undo:
        """How to put back what ``run`` changes, known before it starts."""
        return Undo.nothing("reads only")

    def subject(self, ctx: Context) -> Identity | None:
        """Identity, measured now, of the thing that this destroys, proves a backup of, compares or has restored.

        ``None``: this has none. Raises what asking raises.
        """
        return None

    @classmethod
    def may_lease(cls, effect: Effect) -> bool:
        """Does the target undo by itself what commands undo, for a use with ``effect``, when its controller falls silent?"""
        return (effect is Effect.FAULT or cls.LEASED) and "commands" in cls.undo_kinds()

    @classmethod
    def undo_kinds(cls) -> tuple[str, ...]:
        """Kinds that ``undo`` may give, known without a host."""
        return cls.UNDO

    def active(self, ctx: Context) -> bool | None:
        """Is there anything for the undo to put back now? ``None``: this action cannot tell."""
        return None

    @classmethod
    def check_declaration(cls) -> None:
        """Raise TypeError unless the class says all that planning relies on; asked when its module is first looked into."""
        _check_declaration(cls)


class Read(Action):
    """Looks and changes nothing."""


class Write(Action):
    """Changes something on purpose: a backup, a restore."""

    EFFECT = Effect.WRITE
    UNDO: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def undo(self, ctx: Context) -> Undo:
        """How to put it back, or ``Undo.nothing`` and why."""

    def interrupted(self, ctx: Context) -> None:
        """Remove what a step that never ended leaves where nobody looks, such as an upload, beside what ``undo`` says.

        Must be safe to carry out twice, and when the step never began. Raises what asking raises.
        """


class Fault(Action):
    """Breaks something."""

    EFFECT = Effect.FAULT
    UNDO: ClassVar[tuple[str, ...]] = ()
    RESTORE_ONLY: ClassVar[bool] = False
    """True when nothing but a restore mends it: the plan then demands a backup phase and a restore phase."""
    PROVEN_BY: ClassVar[tuple[str, ...]] = ()
    """For what only a restore mends: the actions each of which proves a backup of what this fault destroys."""
    RESTORED_BY: ClassVar[Mapping[str, str]] = {}
    """For what only a restore mends: the action that restores it, by the action that proves the backup it restores from.

    It takes the backup's ``location`` as ``from``, and from this fault the parameters that both have: service, table.
    """

    @property
    def restore_only(self) -> bool:
        """Does nothing but a restore mend this very use? Only a fault whose undo a drill declares differs from its class."""
        return self.RESTORE_ONLY

    def run(self, ctx: Context) -> Facts:
        """Inject the fault."""
        return self.inject(ctx)

    @abstractmethod
    def inject(self, ctx: Context) -> Facts:
        """Break it."""

    @abstractmethod
    def undo(self, ctx: Context) -> Undo:
        """How to mend it, or ``Undo.by_restore``."""

    @abstractmethod
    def active(self, ctx: Context) -> bool | None:
        """Proof that the fault is there, and later that it is gone. Half of it is neither: ``None``, or an error."""

    def untouched(self, ctx: Context) -> bool | None:
        """Is it proven that ``inject`` changed nothing? Only for what only a restore mends; only reads.

        Asked after an injection that failed or died, before any restore: True means that none is needed. That the fault
        is not ``active`` is no such proof, since half of the damage may be done. ``None``: nobody can tell.
        """
        return None


def _check_declaration(cls: type[Action]) -> None:
    fault = cls if issubclass(cls, Fault) else None
    lost, proof = fault if fault and fault.RESTORE_ONLY else None, cls.PROVES_BACKUP
    changes = issubclass(cls, Write | Fault) and not inspect.isabstract(cls)
    undescribed = [name for name, info in cls.model_fields.items() if not info.description]
    for wrong, said in (
        (not (cls.__doc__ or "").strip(), "has no docstring"),
        (undescribed, f"field {undescribed[:1]} has no description"),
        (changes and cls.undo in (Write.undo, Fault.undo), "declares no undo"),
        (changes and not cls.UNDO, "does not say which kinds of undo it may give (`UNDO`)"),
        ((proof or lost) and cls.subject is Action.subject, "does not say what it works on (`subject`)"),
        (proof and not cls.RESTORES_WITH, "does not say what restores from what it proves (`RESTORES_WITH`)"),
        (fault and fault.active is Fault.active, "declares no proof (`active`)"),
        (lost and lost.untouched is Fault.untouched, "declares no proof that it changed nothing (`untouched`)"),
        (lost and not lost.PROVEN_BY, "does not say what proves a backup of it (`PROVEN_BY`)"),
        (lost and not set(lost.RESTORED_BY) & set(lost.PROVEN_BY), "does not say what restores it (`RESTORED_BY`)"),
    ):
        if wrong and not cls.__name__.startswith("_"):
            raise TypeError(f"{cls.name()} {said}")


def find(name: str, kind: type[Any] = Action) -> type[Any]:
    """The class of ``kind`` with this name; imports its own family alone. Raises UnknownName."""
    return discovery.find(name, kind)


def known_names(kind: type[Any] = Action) -> list[str]:
    """Names of all classes of ``kind``, sorted; imports the modules of every system."""
    return discovery.known_names(kind)

"""Base classes of actions: named operations with typed parameters, where the fields of the class are the keys in YAML.

The name of an action consists of its family and its class: the class ``Dump`` of the family ``postgres`` is
``postgres.dump``. Plans, documentation and contract tests find every action automatically.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr

from drillbook.sdk import discovery
from drillbook.sdk.context import Context as Context  # noqa: PLC0414  re-exported: modules of actions import everything from here
from drillbook.sdk.context import Facts as Facts  # noqa: PLC0414
from drillbook.sdk.identity import Identity
from drillbook.sdk.late_values import NotKnownYet, validator_of
from drillbook.sdk.service import Service
from drillbook.sdk.undo import Undo as Undo  # noqa: PLC0414


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


class Action(BaseModel):
    """Base of all actions; actions are subclasses of Read, Write or Fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    PART: ClassVar[str] = "actions"
    """Name of the field of ``System`` that lists the modules with action classes."""
    EFFECT: ClassVar[Effect] = Effect.READ
    PLACE: ClassVar[Place] = Place.SERVICE
    SERVICE: ClassVar[type[Service] | None] = None
    """Kind of the service that the field ``service`` must name; ``None`` for any."""
    PROVES_BACKUP: ClassVar[bool] = False
    """True when the success of a step proves that a stored backup is good.

    This is required before a fault that only a restore can undo.
    """
    RESTORES_WITH: ClassVar[tuple[str, ...]] = ()
    """For a step that verifies backups: names of the actions that restore them; the first restores all data."""
    COMPARES: ClassVar[bool] = False
    """True when the success of a step shows that the content of its service equals the manifest of a backup."""
    COMPARES_WITH: ClassVar[str] = ""
    """For a comparison whose `manifest` is no backup: name of the action that recorded the content before the fault."""
    TAKES: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """For a restore: its parameters that get their values from earlier steps on the same service, each with (action, fact)."""
    OPENED_BY: ClassVar[str] = ""
    """For a restore whose parameter `closed` locks clients out: name of the action that later admits clients again."""
    SECRETS: ClassVar[frozenset[str]] = frozenset()
    """Names of the parameters of type ``Handed``, whose values may refer to a secret in the inventory."""
    CODE: ClassVar[str] = ""
    """Name of the parameter whose text a host, a container or a server executes, such as `argv` or `query`."""
    READY_CODE: ClassVar[str] = ""
    """Name of the parameter whose text is executed already by the action's `ready` check, before the drill begins."""
    TIMEOUT: ClassVar[float] = 60.0
    """Default timeout of a step with this action, in seconds."""
    LEASED: ClassVar[bool] = False
    """True for a change that, like a fault, the target undoes by itself when the run stops renewing its lease."""
    UNDO: ClassVar[tuple[str, ...]] = ("nothing",)
    """Kinds of undo that ``undo`` may return: ``commands``, ``action``, ``restore``, ``nothing``."""

    _unknown: frozenset[str] = PrivateAttr(default=frozenset())
    """Fields whose values are not known yet; see ``with_unknown``."""

    @classmethod
    def name(cls) -> str:
        """Return the name in YAML: family and class, such as ``postgres.lose_data``."""
        return discovery.name_of(cls)

    @property
    def effect(self) -> Effect:
        """Effect of this step; it differs from ``EFFECT`` only if the drill declares the effect in YAML."""
        return self.EFFECT

    @abstractmethod
    def run(self, ctx: Context) -> Facts:
        """Carry out the action. Raises StepFailed, CouldNotVerify, HostError, Cancelled."""

    def ready(self, ctx: Context) -> None:
        """Check before the drill begins that ``run`` can succeed; only reads. Raises NotReady.

        Fields whose values come from an earlier step have no value yet: call ``known`` before reading them.
        """

    def programs(self, ctx: Context) -> Sequence[str]:
        """Return names of programs that ``ready`` looks for on the step's host with ``ctx.missing``; contacts no host.

        A drill's checks look for all these programs on a host with one command. A program that is not listed here needs a
        separate command.
        """
        return ()

    def commands(self, ctx: Context) -> Sequence[Sequence[str]]:
        """Return commands that ``run`` starts later on the step's host, as far as they are known before.

        Before the drill begins, sudo is asked if the account of the step may start them, and the commands of the undo.
        """
        return ()

    @classmethod
    def with_unknown(cls, params: Mapping[str, Any], unknown: Collection[str]) -> Self:
        """Build the action from ``params`` (by YAML key); the fields in ``unknown`` get their values later, from earlier
        steps.

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
            action.__dict__.pop(name, None)  # remove the default value: the step will get another one
        return action

    def known(self, field_name: str) -> bool:
        """Return False for a field that gets its value later, from an earlier step; reading such a field raises NotKnownYet."""
        if field_name not in type(self).model_fields:
            raise AttributeError(f"{self.name()} has no field {field_name!r}")
        return field_name not in self._unknown

    def if_known(self, field_name: str, otherwise: Any = None) -> Any:
        """Return the value of a field; if it is not known yet, ``otherwise``."""
        return getattr(self, field_name) if self.known(field_name) else otherwise

    if not TYPE_CHECKING:  # hidden from type checkers, so that fields keep their declared types

        def __getattr__(self, name: str) -> Any:
            """Raise NotKnownYet for a field that has no value yet, AttributeError for any other missing attribute."""
            if name in type(self).model_fields:
                raise NotKnownYet(f"`{name}` of {self.name()} has no value until an earlier step has finished")
            return super().__getattr__(name)

    def undo(self, ctx: Context) -> Undo:
        """Return the undo of ``run``; called before ``run``."""
        return Undo.nothing("reads only")

    def subject(self, ctx: Context) -> Identity | None:
        """Measure which data this action destroys, compares or restored, or whose backup it verifies.

        Returns the identity; ``None`` for an action that does nothing of this. Raises the errors of the measurement.
        """
        return None

    @classmethod
    def may_lease(cls, effect: Effect) -> bool:
        """Return True when a step with ``effect`` has a lease: its target undoes it when the run stops renewing the lease."""
        return (effect is Effect.FAULT or cls.LEASED) and "commands" in cls.undo_kinds()

    @classmethod
    def undo_kinds(cls) -> tuple[str, ...]:
        """Return the kinds of undo that ``undo`` may return, without contacting a host."""
        return cls.UNDO

    def active(self, ctx: Context) -> bool | None:
        """Return True when the change of this step is in effect, so that the undo would remove it; ``None`` when unknown."""
        return None

    @classmethod
    def check_declaration(cls) -> None:
        """Raise TypeError unless the class declares everything that planning needs.

        Called when the class's module is first examined.
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
        """Clean up after an interrupted step what ``undo`` does not cover, such as an unfinished upload.

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
    """For a fault that only a restore undoes: by name of the action that verifies the backup, name of the action that
    restores it.

    The restoring step gets the ``location`` of the backup as ``from``, and the parameters that it shares with the fault,
    such as ``service`` and ``table``.
    """

    @property
    def restore_only(self) -> bool:
        """True when only a restore undoes this step; it differs from ``RESTORE_ONLY`` only if the drill declares the undo."""
        return self.RESTORE_ONLY

    def run(self, ctx: Context) -> Facts:
        """Inject the fault."""
        return self.inject(ctx)

    @abstractmethod
    def inject(self, ctx: Context) -> Facts:
        """Break the target; return the facts. Raises the same errors as ``run``."""

    @abstractmethod
    def undo(self, ctx: Context) -> Undo:
        """Return the undo commands or action, or ``Undo.by_restore``."""

    @abstractmethod
    def active(self, ctx: Context) -> bool | None:
        """Return True when the fault is proven active, False when it is proven gone; for a partial fault, ``None`` or an error."""

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when it is proven that ``inject`` changed nothing, ``None`` when unknown; only for faults that only a
        restore undoes.

        Read-only. Called after an injection that failed or was killed, before any restore; True means that no restore is
        needed. An inactive fault is not enough, since half of the damage may be done.
        """
        return None

    def interrupted(self, ctx: Context) -> None:
        """Restart processes, such as a server, that an interrupted injection stopped before it destroyed anything.

        Only for faults that only a restore undoes; called right before ``untouched``. Must not touch damaged data. Must be
        safe to run twice, and when the injection never began. Raises the errors of its requests.
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
    """Return the class of ``kind`` (Action or Probe) with this name; imports only the modules of its family. Raises UnknownName."""
    return discovery.find(name, kind)


def known_names(kind: type[Any] = Action) -> list[str]:
    """Names of all classes of ``kind`` (Action or Probe), sorted; imports the modules of every system."""
    return discovery.known_names(kind)

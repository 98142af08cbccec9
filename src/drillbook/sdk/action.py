"""Base classes of actions. An action is a named operation. The fields of its class are its parameters, and their names are
the keys in YAML.

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
from drillbook.sdk.effect import Effect as Effect  # noqa: PLC0414
from drillbook.sdk.fact_names import BROKEN as BROKEN  # noqa: PLC0414
from drillbook.sdk.fact_names import NARROWED as NARROWED  # noqa: PLC0414
from drillbook.sdk.fact_names import OTHER_SERVICE as OTHER_SERVICE  # noqa: PLC0414
from drillbook.sdk.fact_names import REMOVED as REMOVED  # noqa: PLC0414
from drillbook.sdk.fact_names import REPLACED as REPLACED  # noqa: PLC0414
from drillbook.sdk.fact_names import RESTORED as RESTORED  # noqa: PLC0414
from drillbook.sdk.identity import Identity
from drillbook.sdk.late_values import NotKnownYet, validated_field
from drillbook.sdk.needs import HostNeeds
from drillbook.sdk.service import Service
from drillbook.sdk.undo import Undo as Undo  # noqa: PLC0414


class Place(StrEnum):
    """Places where a step can run if the step has no key `hosts`."""

    SERVICE = "service"  # on the host of the service in its `service` field
    HOSTS = "hosts"  # the step must name hosts
    CONTROLLER = "controller"  # on the machine that runs Drillbook


class Action(BaseModel):
    """Base of all actions. Each action is a subclass of Read, Write or Fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    PART: ClassVar[str] = "actions"
    """Name of the field of the class ``System`` that lists the modules with action classes."""
    EFFECT: ClassVar[Effect] = Effect.READ
    PLACE: ClassVar[Place] = Place.SERVICE
    SERVICE: ClassVar[type[Service] | None] = None
    """Required kind of the service in the field ``service``. ``None``: the service may be of any kind."""
    PROVES_BACKUP: ClassVar[bool] = False
    """True when the success of a step proves that a stored backup is good.

    A drill needs a step with this proof before a fault that only a restore can undo.
    """
    RESTORES_WITH: ClassVar[tuple[str, ...]] = ()
    """For an action that verifies backups: names of the actions that restore these backups. The first action restores all data."""
    COMPARES: ClassVar[bool] = False
    """True when a step compares the content of its service with the manifest of a backup, and passes only if they are equal.
    """
    COMPARES_WITH: ClassVar[str] = ""
    """Name of the action that recorded the content before the fault. It is set for an action that compares with this recorded
    content instead of the content of a backup.
    """
    ANY_DATA: ClassVar[bool] = False
    """True for an action whose commands or requests are written in the drill, and for an action that asks a person to act.
    It is unknown which data such an action removes or restores.

    If the fact ``effect`` of a step is ``read``, the step changed no data.
    """
    TAKES: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """For a restore: the parameters that get their values from facts of earlier steps on the same service.

    Each key is the name of a parameter. Its value is a pair: the name of the earlier action, and the name of its fact.
    """
    OPENED_BY: ClassVar[str] = ""
    """Name of the action that admits clients again after a restore. It is set for a restore with a parameter `closed`, which
    keeps clients out.
    """
    SECRETS: ClassVar[frozenset[str]] = frozenset()
    """Names of the parameters of type ``Handed``. The value of such a parameter may refer to a secret in the inventory."""
    CODE: ClassVar[str] = ""
    """Name of a parameter, such as `argv` or `query`. A host, a container or a server executes the text of this parameter."""
    READY_CODE: ClassVar[str] = ""
    """Name of a parameter. The action's `ready` check executes the text of this parameter already before the drill begins."""
    TIMEOUT: ClassVar[float] = 60.0
    """Default timeout of a step with this action, in seconds."""
    LEASED: ClassVar[bool] = False
    """True when a change of the action has a lease although the action is not a fault.

    When the run stops renewing the lease, the target undoes the change by itself.
    """
    UNDO: ClassVar[tuple[str, ...]] = ("nothing",)
    """Kinds of undo that ``undo`` may return: ``commands``, ``action``, ``restore``, ``nothing``."""
    UNDO_ACTIONS: ClassVar[tuple[str, ...]] = ()
    """Names of actions that ``undo`` may return in order to undo the change. Only used when ``UNDO`` contains ``action``."""
    UNDO_BY: ClassVar[str] = ""
    """Name of a parameter, if the undo of the action depends on it. A step without this parameter has no undo, and the plan of
    the drill says so.
    """
    NEEDS: ClassVar[HostNeeds | None] = None
    """Commands, rights and ports that the action needs on its hosts. By default, the ``host_needs`` of its system apply."""
    EXAMPLE: ClassVar[str] = ""
    """Example of the action: phases of a drill as YAML text. It is empty when a shipped drill already uses the action. This
    drill may belong to the action's system or to Drillbook.
    """

    _unknown: frozenset[str] = PrivateAttr(default=frozenset())
    """Names of the fields that have no value yet, because an earlier step will supply the value; see ``with_unknown``."""

    @classmethod
    def name(cls) -> str:
        """Return the name in YAML: family and class, such as ``postgres.lose_data``."""
        return discovery.name_of(cls)

    @property
    def effect(self) -> Effect:
        """Effect of this step. It differs from ``EFFECT`` only when the drill itself declares the effect in YAML."""
        return self.EFFECT

    @abstractmethod
    def run(self, ctx: Context) -> Facts:
        """Carry out the action and return its facts.

        Raises StepFailed when the action failed. Raises CouldNotVerify when its result is unknown. Raises HostError when the
        host could not run a command. Raises Cancelled when the run is stopped.
        """

    def ready(self, ctx: Context) -> None:
        """Check before the drill begins that ``run`` can succeed. The check only reads.

        Fields whose values come from an earlier step have no value yet. Call ``known`` before reading them. Raises NotReady
        when ``run`` cannot succeed.
        """

    def programs(self, ctx: Context) -> Sequence[str]:
        """Return the names of the programs that ``ready`` looks for with ``ctx.missing`` on the step's host.

        This method contacts no host. A check of a drill looks for all these programs with one command on each host. Each program that
        this method leaves out costs one more command.
        """
        return ()

    def commands(self, ctx: Context) -> Sequence[Sequence[str]] | None:
        """Return all commands that ``run`` and ``active`` will start on the step's host. Commands of ``ready`` are left
        out.

        Before the drill begins, sudo is asked whether the account of the step may start these commands and the commands
        of the undo. The result is None when the commands become known only at their start. Sudo must then allow the
        programs of the action with any arguments.
        """
        return None

    @classmethod
    def lists_commands(cls, params: Mapping[str, Any]) -> bool:
        """Return True when a step with these ``params`` can list its commands before it runs."""
        return cls.commands is not Action.commands

    @classmethod
    def with_unknown(cls, params: Mapping[str, Any], unknown: Collection[str]) -> Self:
        """Build the action from ``params``. Each key is the YAML name of a parameter.

        ``unknown``: YAML names of the parameters that get their values later, from earlier steps. Raises ValidationError
        when a parameter is invalid.
        """
        if not unknown:
            return cls.model_validate(params)
        names = {info.alias or name: name for name, info in cls.model_fields.items()}
        known = {names.get(key, key): value for key, value in params.items()}
        action = cls.model_construct(**{name: validated_field(cls, name, value) for name, value in known.items()})
        action._unknown = frozenset(names.get(key, key) for key in unknown)
        for name in action._unknown:
            action.__dict__.pop(name, None)  # remove the default value: the step will get another one
        return action

    def known(self, field_name: str) -> bool:
        """Return True when a field has its value already. Return False when an earlier step will supply the value later:
        reading the field now would raise NotKnownYet.
        """
        if field_name not in type(self).model_fields:
            raise AttributeError(f"{self.name()} has no field {field_name!r}")
        return field_name not in self._unknown

    def if_known(self, field_name: str, otherwise: Any = None) -> Any:
        """Return the value of a field, or ``otherwise`` when the field gets its value later."""
        if field_name in self.__dict__:  # a field that gets its value later is not there; the engine asks often
            return self.__dict__[field_name]
        return getattr(self, field_name) if self.known(field_name) else otherwise

    if not TYPE_CHECKING:  # hidden from type checkers, so that fields keep their declared types

        def __getattr__(self, name: str) -> Any:
            """Raise NotKnownYet for a field that has no value yet, and AttributeError for any other missing attribute."""
            if name in type(self).model_fields:
                raise NotKnownYet(f"`{name}` of {self.name()} has no value until an earlier step has finished")
            return super().__getattr__(name)

    def undo(self, ctx: Context) -> Undo:
        """Return the undo of this action. The runner asks for it before it calls ``run``."""
        return Undo.nothing("reads only")

    def subject(self, ctx: Context) -> Identity | None:
        """Identify the data that this action destroys, compares or has restored. Returns ``None`` when there is no such data.

        If the action verifies a backup, this method identifies the data in the backup. Raises an error when the data cannot
        be identified.
        """
        return None

    @classmethod
    def may_lease(cls, effect: Effect) -> bool:
        """Return True when a step with this ``effect`` has a lease.

        When the run stops renewing the lease, the target undoes the step by itself.
        """
        return (effect is Effect.FAULT or cls.LEASED) and "commands" in cls.undo_kinds()

    @classmethod
    def undo_kinds(cls) -> tuple[str, ...]:
        """Return every kind of undo that the method ``undo`` can return. This method contacts no host."""
        return cls.UNDO

    @classmethod
    def proves_content(cls, facts: Facts) -> bool:
        """Return True when a successful step with these ``facts`` proved the content of restored data.

        Such a step compared the data with a backup, with content recorded before the fault, or with production. The audit
        counts such steps. Override this method in an action that compares content and does not set ``COMPARES``.
        """
        return cls.COMPARES

    def active(self, ctx: Context) -> bool | None:
        """Return True while the change of this step is in effect, so that the step still needs its undo. Return False when
        the change is not in effect, and ``None`` when this is unknown.
        """
        return None

    @classmethod
    def check_declaration(cls) -> None:
        """Raise TypeError unless the class declares everything that planning needs.

        Called when the module of the class is first examined.
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
        """Return the undo of this change, or ``Undo.nothing`` with the reason why no undo is needed."""

    def interrupted(self, ctx: Context) -> None:
        """Remove everything that an interrupted step left behind, except for the changes that ``undo`` removes. An example is
        an unfinished upload.

        The method must be safe to run twice, and also when the step never began. Raises the errors of its requests.
        """


class Fault(Action):
    """Base of actions that break something."""

    EFFECT = Effect.FAULT
    UNDO: ClassVar[tuple[str, ...]] = ()
    RESTORE_ONLY: ClassVar[bool] = False
    """True when only a restore undoes the fault. The plan then requires a backup, a restore and a verify phase."""
    PROVEN_BY: ClassVar[tuple[str, ...]] = ()
    """For a fault that only a restore undoes: names of the actions that verify a backup of the destroyed data."""
    RESTORED_BY: ClassVar[Mapping[str, str]] = {}
    """For a fault that only a restore undoes: names of the actions that restore the data.

    Each key is the name of an action that verifies a backup. Its value is the name of the action that restores this backup.
    When a recovery adds the restoring step, the parameter ``from`` of this step is the ``location`` of the backup. Other
    parameters that the fault also has, such as ``service`` and ``table``, get the values of the fault.
    """

    @property
    def restore_only(self) -> bool:
        """True when only a restore undoes this step.

        By default this is the class attribute ``RESTORE_ONLY``. A fault whose undo is declared in the drill overrides the
        property.
        """
        return self.RESTORE_ONLY

    def run(self, ctx: Context) -> Facts:
        """Inject the fault."""
        return self.inject(ctx)

    @abstractmethod
    def inject(self, ctx: Context) -> Facts:
        """Break the target and return the facts. Raises the same errors as ``run``."""

    @abstractmethod
    def undo(self, ctx: Context) -> Undo:
        """Return the undo commands or the undo action of this fault.

        When only a restore can undo it, return ``Undo.by_restore``.
        """

    @abstractmethod
    def active(self, ctx: Context) -> bool | None:
        """Return True when a test proved that the fault is active. Return False when a test proved that the fault is gone.
        When the fault is active only in part, return ``None`` or raise an error.
        """

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when a test proved that ``inject`` changed nothing, so that no restore is needed. Return ``None`` when
        this is unknown. A fault that is not active is no proof: the injection may have done a part of the damage before it
        failed.

        Called for faults that can be undone only by a restore, after an injection failed or was killed, and before any
        restore. The method must not change anything.
        """
        return None

    def interrupted(self, ctx: Context) -> None:
        """Start the processes, such as a server, that an interrupted injection stopped before it destroyed data.

        Called for faults that can be undone only by a restore, right before ``untouched``. It is then not known whether the
        injection destroyed data. The method must not touch damaged data. It must be safe to run the method twice, and to run
        it when the injection never began. Raises the errors of its requests.
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
        (changes and not cls.UNDO, "declares no kinds of undo: set `UNDO`"),
        ((proof or lost) and cls.subject is Action.subject, "does not identify its data: define `subject`"),
        (proof and not cls.RESTORES_WITH, "verifies a backup, but names no action that restores it: set `RESTORES_WITH`"),
        (fault and fault.active is Fault.active, "declares no proof that the fault is active: define `active`"),
        (
            lost and lost.untouched is Fault.untouched,
            ("declares no proof that an injection changed nothing: define `untouched`"),
        ),
        (lost and not lost.PROVEN_BY, "names no action that verifies a backup of the destroyed data: set `PROVEN_BY`"),
        (
            lost and not set(lost.RESTORED_BY) & set(lost.PROVEN_BY),
            ("names no action that restores the destroyed data: set `RESTORED_BY`"),
        ),
    ):
        if wrong and not cls.__name__.startswith("_"):
            raise TypeError(f"{cls.name()} {said}")


def find(name: str, kind: type[Any] = Action) -> type[Any]:
    """Return the class with the name ``name``. ``kind``: Action or Probe. For `postgres.restore`, imports only `postgres`.

    Raises UnknownName when there is no such class.
    """
    return discovery.find(name, kind)


def known_names(kind: type[Any] = Action) -> list[str]:
    """Return the sorted names of all classes of ``kind``, which is Action or Probe. Imports the modules of every system."""
    return discovery.known_names(kind)

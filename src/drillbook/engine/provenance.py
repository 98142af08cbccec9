"""Provenance: ties the backup, its proof, the fault and the restore of one run together by what they are of.

A proof is of the service as it is now, a restore comes from the backup that the gate found proven, and what a restore made
takes the place of what was lost: later steps are compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from drillbook.errors import Cancelled, StepFailed
from drillbook.events.event import Event
from drillbook.events.steps import BackupProven, Done
from drillbook.findings import finding
from drillbook.sdk.action import Action, Context, Effect, Facts, find
from drillbook.sdk.host import once_more
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Reference


@dataclass(frozen=True, slots=True)
class Proven:
    """A backup that was proven in this run for what a fault destroys; ``service`` is the fault's."""

    service: str
    location: Reference
    """With the digest of its manifest."""
    proof: str
    """Name of the action that proved it."""
    fault: str
    """The fault's step."""


@dataclass(slots=True)
class Provenance:
    """Backups that the gate of a run found proven, and the things that its restores made of them."""

    proven: list[Proven] = field(default_factory=list)
    made: list[Identity] = field(default_factory=list)

    @classmethod
    def of(cls, events: Sequence[Event]) -> Provenance:
        """As a journal tells it; of a run of before it tells nothing."""
        found = cls()
        for event in events:
            match event.what:
                case BackupProven(service=service, location=location, proof=proof):
                    found.proven.append(Proven(service, Reference.parse(location), proof, str(event.step)))
                case Done(facts=facts):
                    found.remember(facts)
        return found

    def remember(self, facts: Facts) -> None:
        """Take in what a step that is done has made."""
        if made := Identity.read(facts.get("made")):
            self.made.append(made)

    def holds(self, backup: Identity, thing: Identity) -> bool | None:
        """Is ``backup`` one of ``thing``, or has this run made ``thing`` of it? None: nobody can tell."""
        equal = backup.equals(thing)
        return equal or any(one.manifest == backup.manifest != "" and one.equals(thing) for one in self.made) or equal

    def pinned(self, action: Action, context: Context) -> Action:
        """``action``, when it restores what a fault destroys, from the very backup that was proven for that fault.

        Raises StepFailed when it would restore from another one; then nothing was written.
        """
        origin = source(action)
        if origin is None or action.effect is not Effect.WRITE:
            return action
        known = [one for one in self.proven if context.same_service(one.service, service_of(action))]
        fitting = [one.location for one in known if points_to(origin, one.location)]
        if known and not fitting:
            wanted = " or ".join(sorted({str(one.location) for one in known}))
            raise StepFailed(
                f"{action.name()} would restore from a backup that this run did not prove; nothing was written",
                findings=[finding("backup-unproven", title=service_of(action), wanted=wanted, measured=str(origin))],
            )
        if fitting and origin.sha256 is None and isinstance(getattr(action, "from_", None), str):
            return action.model_copy(update={"from_": str(fitting[0])})
        return action

    def examine(self, action: Action, context: Context, facts: Facts) -> Facts:
        """``facts`` of an action that has ended well, with what it worked on; compared with what that should be.

        Raises StepFailed: a backup of another thing, another thing than a restore of this run made.
        """
        if action.PROVES_BACKUP:
            return facts | self._proof(action, context, facts)
        if action.COMPARES:
            return facts | self._comparison(action, context)
        if getattr(action, "restores", None) is not None:
            return facts | self._made_by_command(action, context)
        origin, digest = source(action), _digest(facts.get("location"))
        if action.effect is not Effect.WRITE or not (origin or digest) or type(action).subject is Action.subject:
            return facts
        now, why = measured(action, context)
        told = {"of": now.saved(origin.sha256 if origin else digest).model_dump()} if now else {"unknown": why}
        return facts | {"made" if origin else "identity": told.get("of", told)}

    def _proof(self, action: Action, context: Context, facts: Facts) -> Facts:
        backup = Identity.read(facts.get("identity"))
        now, why = measured(action, context)
        held = self.holds(backup, now) if backup and now else None
        if backup and now and held is False:
            raise StepFailed(
                f"the backup is whole, but it is not of {service_of(action)}",
                facts=facts,
                findings=[finding("backup-of-another", title=service_of(action), wanted=str(now), measured=str(backup))],
            )
        return {"of_this_service": held if held is not None else f"unknown: {why or 'not all of it is recorded'}"}

    def _made_by_command(self, action: Action, context: Context) -> Facts:
        """Identity of the thing that a command of the drill's own made of a proven backup, asked as its proof asks."""
        origin, name = source(action), service_of(action)
        for one in self.proven:
            if origin and points_to(origin, one.location) and context.same_service(one.service, name):
                there = replace(context, host=context.host_named(context.services[name].host))
                proof = find(one.proof).model_validate({"service": name, "from": str(one.location)})
                now, why = measured(proof, there)
                return {"made": now.saved(one.location.sha256).model_dump() if now else {"unknown": why}}
        return {}

    def _comparison(self, action: Action, context: Context) -> Facts:
        """Require that the compared thing is the one that a restore of this run made there, if there was one."""
        now, _ = measured(action, context) if self.made else (None, "")
        before = [one for one in self.made if now and one.place == now.place]
        if now and before and before[-1].equals(now) is False:
            raise StepFailed(
                f"{service_of(action)} is not what this run restored",
                findings=[finding("thing-replaced", title=service_of(action), wanted=str(before[-1]), measured=str(now))],
            )
        return {}


def measured(action: Action, context: Context) -> tuple[Identity | None, str]:
    """Identity of the thing that ``action`` works on now, or the reason why it is unknown. Raises Cancelled."""
    try:
        found = once_more(partial(action.subject, context))
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001  a driver may raise anything; what could not be asked is unknown
        return None, f"{getattr(error, 'message', '') or f'{type(error).__name__}: {error}'}"
    return found, "" if found else f"{action.name()} does not tell"


def source(action: Action) -> Reference | None:
    """The backup that ``action`` reads: its `from`, or what it says that it restores from."""
    value = getattr(action, "from_", None) or getattr(getattr(action, "restores", None), "from_", None)
    try:
        found = Reference.parse(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found and Reference(found.bucket, found.key.removesuffix("/manifest.json"), found.sha256)


def points_to(origin: Reference, proven: Reference) -> bool:
    """Is ``origin`` the backup ``proven``? By the digest of its manifest, or by its place where it names none."""
    if origin.sha256 is not None:
        return origin.sha256 == proven.sha256
    return (origin.bucket, origin.key) == (proven.bucket, proven.key)


def service_of(action: Action) -> str:
    """The service that ``action`` works on: its `service`, or that of what it says that it restores."""
    named: Any = getattr(action, "restores", None) or action
    return str(getattr(named, "service", "") or "")


def _digest(location: Any) -> str | None:
    try:
        return Reference.parse(location).sha256 if isinstance(location, str) else None
    except ValueError:
        return None

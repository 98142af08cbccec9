"""Provenance: checks that all parts of a run concern the same data. These parts are backup, verification, fault, restore and
comparison.

There are three checks. First, the verified backup must be a backup of the data that the service has now. Second, a restore
must use a backup that this run verified before the fault. Third, the compared data must be the data that the run restored,
and not other data in the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from drillbook.errors import Cancelled, StepFailed
from drillbook.events.event import Event
from drillbook.events.steps import BackupProven, Done, SourceProven
from drillbook.findings import finding
from drillbook.plan.planner import Plan
from drillbook.sdk.action import OTHER_SERVICE, Action, Context, Effect, Facts, find, known_names
from drillbook.sdk.host import once_more
from drillbook.sdk.identity import Identity
from drillbook.sdk.in_place import RestoresSource, VerifiesSource
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.service import is_sandbox


@dataclass(frozen=True, slots=True)
class Proven:
    """A backup that this run verified. It contains the data of ``service`` that a fault destroys."""

    service: str
    location: Reference
    """Location of the backup, with the digest of its manifest."""
    proof: str
    """Name of the action that verified the backup."""
    fault: str
    """Id of the step that injects the fault."""


@dataclass(frozen=True, slots=True)
class ProvenSource:
    """A backup that the team's own tools made, and that this run verified. It contains the data of ``service`` that a fault
    destroys.

    ``source``: backup source in the inventory; ``fault``: id of the step that injects the fault.
    """

    service: str
    source: str
    backup: str
    """Id of the verified backup within its source."""
    proof: str
    """Name of the action that verified the backup."""
    fault: str


@dataclass(slots=True)
class Provenance:
    """Backups that a run verified before its faults.

    ``made``: identities of the databases, files and volumes that the run created by restoring.
    """

    proven: list[Proven] = field(default_factory=list)
    sources: list[ProvenSource] = field(default_factory=list)
    made: list[Identity] = field(default_factory=list)

    @classmethod
    def of(cls, events: Sequence[Event]) -> Provenance:
        """Rebuild the provenance from the events of a journal.

        It is empty when an older version of Drillbook wrote the journal.
        """
        provenance = cls()
        for event in events:
            match event.what:
                case BackupProven(service=service, location=location, proof=proof):
                    provenance.proven.append(Proven(service, Reference.parse(location), proof, str(event.step)))
                case SourceProven(service=service, source=name, backup=backup, proof=proof):
                    provenance.sources.append(ProvenSource(service, name, backup, proof, str(event.step)))
                case Done(facts=facts):
                    provenance.remember(facts)
        return provenance

    def proofs(self, fault: str) -> frozenset[str]:
        """Return the names of the actions that verified the backups on which the fault step ``fault`` relies."""
        backups: list[Proven | ProvenSource] = [*self.proven, *self.sources]
        return frozenset(backup.proof for backup in backups if backup.fault == fault)

    def remember(self, facts: Facts) -> None:
        """Record the identity of the data that a successful step restored, if ``facts`` contain this identity."""
        if made := Identity.read(facts.get("made")):
            self.made.append(made)

    def holds(self, backup: Identity, thing: Identity) -> bool | None:
        """Return True when ``backup`` is a backup of the data with the identity ``thing``. Also return True when this run
        restored this data from ``backup``.

        Returns None when this is unknown, and otherwise False.
        """
        equal = backup.equals(thing)
        return (
            equal
            or any(identity.manifest == backup.manifest != "" and identity.equals(thing) for identity in self.made)
            or equal
        )

    def pinned(self, action: Action, context: Context) -> Action:
        """Return ``action``. If it restores from a backup, add the digest of the verified backup to its parameter
        `from`, so that it restores exactly this backup.

        Raises StepFailed, before anything is written, when the action would restore from a backup that this run did not
        verify.
        """
        if isinstance(action, RestoresSource):
            return self._pinned_source(action, context)
        origin = source(action)
        if origin is None or action.effect is not Effect.WRITE:
            return action
        known = [backup for backup in self.proven if context.same_service(backup.service, service_of(action))]
        fitting = [backup.location for backup in known if points_to(origin, backup.location)]
        if known and not fitting:
            wanted = " or ".join(sorted({str(backup.location) for backup in known}))
            raise StepFailed(
                f"{action.name()} would restore from a backup that this run did not verify; nothing was written",
                findings=[finding("backup-unproven", title=service_of(action), wanted=wanted, measured=str(origin))],
            )
        if fitting and origin.sha256 is None and isinstance(getattr(action, "from_", None), str):
            return action.model_copy(update={"from_": str(fitting[0])})
        return action

    def _pinned_source(self, action: Action, context: Context) -> Action:
        """Return ``action``, which restores from a backup source. Add a parameter with the id of the backup that this run
        verified, so that the action restores exactly this backup.

        Raises StepFailed when this run verified backups of the service, but no backup from this source.
        """
        name, said = service_of(action), str(getattr(action, "from_", ""))
        known = [backup for backup in self.sources if context.same_service(backup.service, name)]
        fitting = [backup for backup in known if backup.source == said]
        if known and not fitting:
            wanted = " or ".join(sorted({f"{backup.backup} of {backup.source}" for backup in known}))
            raise StepFailed(
                f"{action.name()} would restore from a source that this run did not verify; nothing was written",
                findings=[finding("backup-unproven", title=name, wanted=wanted, measured=said)],
            )
        return action.model_copy(update={"backup": fitting[0].backup}) if fitting else action

    def examine(self, action: Action, context: Context, facts: Facts) -> Facts:
        """Check the data that a successful action read or wrote. Return the ``facts`` of the action, together with the
        identity of this data.

        Raises StepFailed in two cases: the verified backup is not a backup of the data that the service has now, or the
        compared data is not the data that this run restored.
        """
        if isinstance(action, VerifiesSource | RestoresSource):
            return facts | _made_in_place(action, context)
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
                f"the backup is intact, but is not a backup of {service_of(action)}",
                facts=facts,
                findings=[finding("backup-of-another", title=service_of(action), wanted=str(now), measured=str(backup))],
            )
        return {
            "of_this_service": held if held is not None else f"unknown: {why or 'the identity is recorded only in part'}"
        }

    def _made_by_command(self, action: Action, context: Context) -> Facts:
        """Return the fact ``made``, the identity of the data that a custom command restored.

        The action that verified the backup now measures the restored data in the same way.
        """
        origin, name = source(action), service_of(action)
        for backup in self.proven:
            if origin and points_to(origin, backup.location) and context.same_service(backup.service, name):
                there = replace(context, host=context.host_named(context.services[name].host))
                proof = find(backup.proof).model_validate({"service": name, "from": str(backup.location)})
                now, why = measured(proof, there)
                return {"made": now.saved(backup.location.sha256).model_dump() if now else {"unknown": why}}
        return {}

    def _comparison(self, action: Action, context: Context) -> Facts:
        """Check that the compared data is the data that this run restored in the same place. Raises StepFailed if it is
        other data.
        """
        now, _ = measured(action, context) if self.made else (None, "")
        before = [identity for identity in self.made if now and identity.place == now.place]
        if now and before and before[-1].equals(now) is False:
            raise StepFailed(
                f"the compared data of {service_of(action)} is not the data that this run restored",
                findings=[finding("thing-replaced", title=service_of(action), wanted=str(before[-1]), measured=str(now))],
            )
        return {}


def _made_in_place(action: Action, context: Context) -> Facts:
    """Return the fact ``made``, the identity of the data that a restore created in the service itself.

    The result is empty for a restore into a sandbox, and for a verification.
    """
    if not isinstance(action, RestoresSource) or is_sandbox(context.services.get(service_of(action))):
        return {}
    now, why = measured(action, context)
    return {"made": now.model_dump() if now else {"unknown": why}}


def measured(action: Action, context: Context) -> tuple[Identity | None, str]:
    """Measure the identity of the data that ``action`` works on.

    Return the identity, or None and the reason why it is unknown. Raises Cancelled when the run is stopped.
    """
    try:
        identity = once_more(partial(action.subject, context))
    except Cancelled:
        raise
    except Exception as error:  # noqa: BLE001  a driver may raise any error; the identity is then unknown
        return None, f"{getattr(error, 'message', '') or f'{type(error).__name__}: {error}'}"
    return identity, "" if identity else f"{action.name()} does not report the identity of its data"


def source(action: Action) -> Reference | None:
    """Return the location of the backup that ``action`` reads.

    It is the parameter `from` of the action, or the `from` in its parameter `restores`.
    """
    value = getattr(action, "from_", None) or getattr(getattr(action, "restores", None), "from_", None)
    try:
        origin = Reference.parse(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return origin and Reference(origin.bucket, origin.key.removesuffix("/manifest.json"), origin.sha256)


def points_to(origin: Reference, proven: Reference) -> bool:
    """Return True when ``origin`` names the backup ``proven``.

    If ``origin`` contains a digest, the digests are compared. Otherwise the locations are compared.
    """
    if origin.sha256 is not None:
        return origin.sha256 == proven.sha256
    return (origin.bucket, origin.key) == (proven.bucket, proven.key)


def elsewhere(action: Action, context: Context, plan: Plan, facts: Facts) -> Facts:
    """Return a fact with the name of the service that ``action`` works on.

    Only actions that restore data, compare content, or record content for a comparison have this fact. The fact is absent when
    the service is the service of the drill or of a probe. Without the fact, the result is empty. ``facts``: facts of the step.
    """
    restores = "made" in facts or isinstance(action, RestoresSource)
    proves = restores or action.COMPARES or action.COMPARES_WITH or action.name() in _recorders()
    name = service_of(action)
    own = {plan.service, *(str(probe.params.get("service") or "") for probe in plan.probes)}
    if not proves or not name or any(context.same_service(name, service) for service in own - {""}):
        return {}
    return {OTHER_SERVICE: name}


@cache
def _recorders() -> frozenset[str]:
    """Return the names of the actions that record content before a fault."""
    return frozenset(find(name).COMPARES_WITH for name in known_names())


def service_of(action: Action) -> str:
    """Return the name of the service that ``action`` works on.

    It is the parameter `service` of the action, or the `service` in its parameter `restores`.
    """
    named: Any = getattr(action, "restores", None) or action
    return str(getattr(named, "service", "") or "")


def _digest(location: Any) -> str | None:
    try:
        return Reference.parse(location).sha256 if isinstance(location, str) else None
    except ValueError:
        return None

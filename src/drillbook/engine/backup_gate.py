"""The gate: what only a restore mends is destroyed only when a backup of that very thing was proven in this very run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drillbook.engine.provenance import Proven, measured, points_to, service_of, source
from drillbook.engine.steps import Stage, build
from drillbook.errors import PlanError
from drillbook.events.event import Event, each
from drillbook.events.steps import BackupProven, Done
from drillbook.findings import Finding, finding
from drillbook.language import template
from drillbook.plan.plan import PlannedStep
from drillbook.plan.restorable import of_one_system, proves, same_service, source_of
from drillbook.sdk.action import Action
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Reference

ASK_S = 15.0
"""Seconds in which a target must say what a fault is about to destroy."""


@dataclass(frozen=True, slots=True)
class _Proof:
    """A proof of this run that ended well on ``host``."""

    step: PlannedStep
    host: str
    action: Action
    identity: Identity | None

    @property
    def location(self) -> Reference:
        """Of the backup that was read, with the digest of its manifest."""
        origin, digest = source(self.action), self.identity.manifest if self.identity else ""
        return Reference(origin.bucket, origin.key, digest) if origin else Reference("unknown", "unknown", digest)


@dataclass(frozen=True, slots=True)
class Gate:
    """Looks before the injection; ``events`` are those of the run so far."""

    stage: Stage
    events: Sequence[Event]

    def refusals(self, steps: Sequence[PlannedStep]) -> list[Finding]:
        """Why some of ``steps`` must not be injected. What may be is written to the journal. Raises Cancelled."""
        wrong: list[Finding] = []
        proven: list[tuple[str, Proven, Identity]] = []
        for step in steps:
            if not step.restore_only or not self._wanted(step):
                continue
            for host in step.hosts:
                try:
                    proven += [(host, *pair) for pair in self._proven(step, host)]
                except _Refused as refused:
                    wrong.append(refused.finding.model_copy(update={"step": step.id, "host": host}))
        if not wrong:
            for host, one, identity in proven:
                self._write(host, one, identity)
        return wrong

    def _write(self, host: str, one: Proven, identity: Identity) -> None:
        self.stage.provenance.proven.append(one)
        self.stage.journal.append(
            BackupProven(service=one.service, location=str(one.location), proof=one.proof, identity=identity.model_dump()),
            step=one.fault,
            host=host,
            sync=True,
        )

    def _wanted(self, step: PlannedStep) -> bool:
        """Will it be injected? What only a step of the injection itself decides may be."""
        try:
            return step.when is None or bool(template.expression(step.when, self.stage.names()))
        except ValueError:
            return True

    def _proven(self, step: PlannedStep, host: str) -> list[tuple[Proven, Identity]]:
        """The proven backups that the restore of this fault comes from, each with what the fault destroys."""
        proofs = [one for one in self._proofs() if proves(self.stage.plan.inventory, one.step, step)]
        if not proofs:
            raise _Refused("a backup that was proven in this run", "none")
        action = self._built(step)
        thing, fitting = self._of_thing(action, step, host, proofs)
        if own := source(action):
            fitting = [one for one in fitting if points_to(own, one.location)]
            if not fitting:
                raise _Refused(_said(proofs), f"{step.action} reads {own}")
        used = self._restored_from(action, fitting, proofs)
        service = service_of(action) or service_of(used[0].action)
        return [(Proven(service, one.location, one.step.action, step.id), thing) for one in used]

    def _proofs(self) -> Iterator[_Proof]:
        backup = {step.id: step for step in self.stage.plan.phase("backup") if step.proves_backup}
        for event, done in each(self.events, Done):
            if event.step in backup:
                step = backup[event.step]
                yield _Proof(step, str(event.host), self._built(step), Identity.read(done.facts.get("identity")))

    def _built(self, step: PlannedStep) -> Action:
        try:
            return build(step, self.stage.names())
        except (ValueError, PlanError) as error:
            raise _Refused("parameters that are known before anything is broken", str(error)) from None

    def _of_thing(
        self, fault: Action, step: PlannedStep, host: str, proofs: Sequence[_Proof]
    ) -> tuple[Identity, list[_Proof]]:
        """Identity of the thing that ``fault`` would destroy, asked from its target, and the proofs of a backup of it."""
        if type(fault).subject is Action.subject:  # a command of the drill's own: what its proven backup is of
            asked = [(one, *self._ask(one.action, one.step.id, one.host)) for one in proofs]
        else:
            thing, why = self._ask(fault, step.id, host)
            asked = [(one, thing, why) for one in proofs]
        fitting = [
            (one, thing)
            for one, thing, _ in asked
            if one.identity and one.identity.manifest and thing and self.stage.provenance.holds(one.identity, thing) is True
        ]
        if not fitting:
            now = "; ".join(dict.fromkeys(str(thing) if thing else f"unknown: {why}" for _, thing, why in asked))
            raise _Refused(f"a proven backup of {now}", _said(proofs))
        return fitting[0][1], [one for one, _ in fitting]

    def _ask(self, action: Action, step: str, host: str) -> tuple[Identity | None, str]:
        return measured(action, self.stage.context(step, host, self.stage.deadline(ASK_S)))

    def _restored_from(self, fault: Action, fitting: Sequence[_Proof], proofs: Sequence[_Proof]) -> list[_Proof]:
        """Those of ``fitting`` that the restore phase restores from; of its service it restores from ``proofs`` alone."""
        service = service_of(fault) or service_of(fitting[0].action)
        used: list[_Proof] = []
        for step in self.stage.plan.phase("restore"):
            if not self._restores(step, service, fitting):
                continue
            origin = source(self._built(step))
            used += [one for one in fitting if origin and points_to(origin, one.location)]
            if not any(origin and points_to(origin, one.location) for one in proofs):
                raise _Refused(_said(fitting), f"{step.id} {step.action} restores from {origin or 'nothing that is known'}")
        if not used:
            raise _Refused(f"a restore from {_said(fitting)}", "no step of `restore` reads it")
        return list({one.location: one for one in used}.values())

    def _restores(self, step: PlannedStep, service: str, fitting: Sequence[_Proof]) -> bool:
        """Does ``step`` write from a backup into what a fault destroys?"""
        said = source_of(step)
        return (
            said is not None
            and same_service(self.stage.plan.inventory, said.service, service)
            and any(of_one_system(step, one.step) for one in fitting)
        )


def _said(proofs: Sequence[_Proof]) -> str:
    told = [str(one.identity) if one.identity else f"{one.location}, which does not say what it is of" for one in proofs]
    return "; ".join(dict.fromkeys(told))


class _Refused(Exception):
    """Why one fault must not be injected."""

    def __init__(self, wanted: str, measured_: str) -> None:
        super().__init__(measured_)
        self.finding = finding("backup-unproven", title="what would be destroyed", wanted=wanted, measured=measured_)

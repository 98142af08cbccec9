"""Gate before faults that destroy data.

A fault is injected only after this run verified a backup of the data that the fault destroys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drillbook.engine.provenance import Proven, ProvenSource, measured, points_to, service_of, source
from drillbook.engine.source_gate import Refused, SourceGate, VerifiedSource
from drillbook.engine.step_context import Stage
from drillbook.engine.steps import build
from drillbook.errors import Cancelled, DrillbookError, PlanError
from drillbook.events.event import Event, each
from drillbook.events.steps import BackupProven, Done, SourceProven
from drillbook.findings import Finding
from drillbook.language import template
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.step_roles import lost_service, of_one_system, of_source, proves, same_service, source_of
from drillbook.sdk.action import Action, Facts, find
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference

ASK_S = 15.0
"""Seconds within which a target must identify the data that a fault is about to destroy."""


@dataclass(frozen=True, slots=True)
class _Proof:
    """A step on ``host`` that successfully verified a backup in this run."""

    step: PlannedStep
    host: str
    action: Action
    identity: Identity | None
    facts: Facts

    @property
    def location(self) -> Reference:
        """Location of the verified backup, with the digest of its manifest. It is ``unknown`` when the step contains no
        location.
        """
        origin, digest = source(self.action), self.identity.manifest if self.identity else ""
        return Reference(origin.bucket, origin.key, digest) if origin else Reference("unknown", "unknown", digest)


@dataclass(frozen=True, slots=True)
class Gate:
    """Checks that this run verified a backup for every fault that destroys data.

    ``events``: events of the run so far.
    """

    stage: Stage
    events: Sequence[Event]

    def refusals(self, steps: Sequence[PlannedStep]) -> list[Finding]:
        """Return a finding for each fault in ``steps`` that must not be injected, because this run verified no backup
        of the data that the fault destroys.

        When no fault is refused, write the verified backups into the journal. Raises Cancelled when the run is stopped.
        """
        wrong: list[Finding] = []
        proven: list[tuple[str, Proven, Identity]] = []
        sources: list[tuple[str, str, SourceProven]] = []
        for step in steps:
            if not step.restore_only or not self._wanted(step):
                continue
            for host in step.hosts:
                try:
                    if verified := self._sources(step, host):
                        sources += [(host, step.id, proof) for proof in verified]
                    else:
                        proven += [(host, *pair) for pair in self._proven(step, host)]
                except Refused as refused:
                    wrong.append(refused.finding.model_copy(update={"step": step.id, "host": host}))
        if not wrong:
            for host, backup, identity in proven:
                self._write(host, backup, identity)
            for host, fault, source_ in sources:
                self._write_source(host, fault, source_)
        return wrong

    def _sources(self, step: PlannedStep, host: str) -> list[SourceProven]:
        """Return the verified backups that the restore phase will use to restore the destroyed service. Only backups that
        the team's own tools took are returned.

        The list is empty when the restore phase uses no backup of these tools. Raises Refused when a check of these backups
        fails.
        """
        gate = SourceGate(self.stage, step, host, lost_service(self.stage.plan, step))
        if not gate.restores():
            return []
        return gate.proven(
            self._built(step), [VerifiedSource(proof.step, proof.facts) for proof in self._proofs(sourced=True)]
        )

    def _write_source(self, host: str, fault: str, proven: SourceProven) -> None:
        self.stage.provenance.sources.append(ProvenSource(proven.service, proven.source, proven.backup, proven.proof, fault))
        self.stage.journal.append(proven, step=fault, host=host, sync=True)

    def _write(self, host: str, proven: Proven, identity: Identity) -> None:
        self.stage.provenance.proven.append(proven)
        self.stage.journal.append(
            BackupProven(
                service=proven.service, location=str(proven.location), proof=proven.proof, identity=identity.model_dump()
            ),
            step=proven.fault,
            host=host,
            sync=True,
        )

    def _wanted(self, step: PlannedStep) -> bool:
        """Return False when the condition `when` of the step is false, otherwise True.

        A condition that cannot be evaluated yet counts as true.
        """
        try:
            return step.when is None or bool(template.expression(step.when, self.stage.names()))
        except ValueError:
            return True

    def _proven(self, step: PlannedStep, host: str) -> list[tuple[Proven, Identity]]:
        """Return the verified backups of the data that ``step`` destroys, with the identity of the data.

        Only backups that the restore phase uses are returned. Raises Refused when there is no such backup.
        """
        proofs = [proof for proof in self._proofs() if proves(self.stage.plan.inventory, proof.step, step)]
        if not proofs:
            raise Refused("a backup that was verified in this run", "none")
        action = self._built(step)
        thing, fitting = self._of_thing(action, step, host, proofs)
        if own := source(action):
            fitting = [proof for proof in fitting if points_to(own, proof.location)]
            if not fitting:
                raise Refused(_said(proofs), f"{step.action} names another backup: {own}")
        used = self._restored_from(action, fitting, proofs)
        service = service_of(action) or service_of(used[0].action)
        return [(Proven(service, proof.location, proof.step.action, step.id), thing) for proof in used]

    def _proofs(self, *, sourced: bool = False) -> Iterator[_Proof]:
        """Yield the successful verifications of backups in this run.

        When ``sourced`` is true, only backups that the team's own tools took (backup sources) are considered. Otherwise,
        only backups that the run itself took are considered.
        """
        steps = [step for step in self.stage.plan.phase("backup") if step.proves_backup and of_source(step) is sourced]
        backup = {step.id: step for step in steps}
        for event, done in each(self.events, Done):
            if event.step in backup:
                step = backup[event.step]
                identity = Identity.read(done.facts.get("identity"))
                yield _Proof(step, str(event.host), self._built(step), identity, done.facts)

    def _built(self, step: PlannedStep) -> Action:
        try:
            return build(step, self.stage.names())
        except (ValueError, PlanError) as error:
            raise Refused("parameters that are known before the fault is injected", str(error)) from None

    def _of_thing(
        self, fault: Action, step: PlannedStep, host: str, proofs: Sequence[_Proof]
    ) -> tuple[Identity, list[_Proof]]:
        """Return the identity of the data that ``fault`` would destroy, and those items of ``proofs`` whose step
        verified a backup of this data. Raises Refused when there is no such item.
        """
        # a custom command cannot identify its data: ask the action that verified the backup of the data
        if type(fault).subject is Action.subject:
            asked = [(proof, *self._ask(proof.action, proof.step.id, proof.host)) for proof in proofs]
        else:
            thing, why = self._ask(fault, step.id, host)
            asked = [(proof, thing, why) for proof in proofs]
        fitting = [
            (proof, thing)
            for proof, thing, _ in asked
            if proof.identity
            and proof.identity.manifest
            and thing
            and self.stage.provenance.holds(proof.identity, thing) is True
        ]
        if not fitting:
            now = "; ".join(dict.fromkeys(str(thing) if thing else f"unknown: {why}" for _, thing, why in asked))
            raise Refused(f"a verified backup of {now}", _said(proofs))
        return fitting[0][1], [proof for proof, _ in fitting]

    def _ask(self, action: Action, step: str, host: str) -> tuple[Identity | None, str]:
        return measured(action, self.stage.context(step, host, self.stage.deadline(ASK_S)))

    def _restored_from(self, fault: Action, fitting: Sequence[_Proof], proofs: Sequence[_Proof]) -> list[_Proof]:
        """Return those verifications in ``fitting`` whose backup is used by the phase `restore`. ``fitting``: verifications
        of backups that can undo the fault. ``proofs``: all verifications of this run. Raises Refused in two cases: `restore`
        uses none of the backups in ``fitting``, or `restore` uses a backup that is not in ``proofs``.
        """
        service = service_of(fault) or service_of(fitting[0].action)
        used: list[_Proof] = []
        for step in self.stage.plan.phase("restore"):
            if not self._restores(step, service, fitting):
                continue
            origin = source(self._built(step))
            used += [proof for proof in fitting if origin and points_to(origin, proof.location)]
            self._supplied(step)
            if not any(origin and points_to(origin, proof.location) for proof in proofs):
                raise Refused(_said(fitting), f"{step.id} {step.action} restores from {origin or 'an unknown backup'}")
        if not used:
            raise Refused(f"a restore from {_said(fitting)}", "no step of `restore` uses this backup")
        return list({proof.location: proof for proof in used}.values())

    def _supplied(self, restore: PlannedStep) -> None:
        """Raise Refused when ``restore`` needs the results of an earlier step that runs in the background, such as a WAL
        receiver, and that step has ended.
        """
        taken = {name for key, (name, _) in find(restore.action).TAKES.items() if restore.params.get(key)}
        service = restore.params.get("service")
        for event, _ in each(self.events, Done):
            step = next((step for step in self.stage.plan.phase("backup") if step.id == event.step), None)
            if step is None or step.action not in taken or step.params.get("service") != service:
                continue
            host, action = str(event.host), self._built(step)
            try:
                active = action.active(self.stage.context(step.id, host, self.stage.deadline(ASK_S)))
            except Cancelled:
                raise
            except DrillbookError as error:
                raise Refused(_running(step, host), f"unknown: {error}") from None
            if active is False:
                raise Refused(_running(step, host), "it has ended, so the restore would lack later changes")

    def _restores(self, step: PlannedStep, service: str, fitting: Sequence[_Proof]) -> bool:
        """Return True when ``step`` restores, from a backup, the service that the fault destroys."""
        said = source_of(step)
        return (
            said is not None
            and same_service(self.stage.plan.inventory, said.service, service)
            and any(of_one_system(step, proof.step) for proof in fitting)
        )


def _running(step: PlannedStep, host: str) -> str:
    return f"{step.action} ({step.id}) still running on {host}, because the restore needs what it collects"


def _said(proofs: Sequence[_Proof]) -> str:
    told = [str(proof.identity) if proof.identity else f"{proof.location}, whose data is not identified" for proof in proofs]
    return "; ".join(dict.fromkeys(told))

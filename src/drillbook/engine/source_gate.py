"""Gate before a fault that destroys data, when only a backup made by the team's own tools can restore this data.

The backup must have been verified in this run, and must still exist unchanged. It must also be new enough. Right before the
fault, the gate measures the loss of a restore: the length of the period whose writes would be lost. This period must not be
longer than the drill's objective `rpo`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drillbook.engine.provenance import measured
from drillbook.engine.step_context import Stage
from drillbook.engine.steps import build
from drillbook.errors import Cancelled, DrillbookError
from drillbook.events.steps import SourceProven
from drillbook.findings import Finding, finding
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.source_rules import moment_of, restores_in_place
from drillbook.plan.step_roles import same_service, verified_origin
from drillbook.sdk.action import Action, Context, Facts, find
from drillbook.sdk.backup_source import AHEAD_S, END, Backup, BackupSource, chosen, parsed_moment, source_of, stamp
from drillbook.sdk.in_place import InPlace, RestoresSource
from drillbook.sdk.service import Service

LIST_S = 60.0
"""Longest time, in seconds, to list the backups of a backup source. The comparison of a backup with the service has the same
limit.
"""


class Refused(Exception):
    """Raised with a finding when a fault must not be injected."""

    def __init__(self, wanted: str, measured_: str, code: str = "backup-unproven") -> None:
        """Make the finding with the code ``code``. ``wanted``: required state. ``measured_``: actual state."""
        super().__init__(measured_)
        self.finding: Finding = finding(code, title="data that the fault would destroy", wanted=wanted, measured=measured_)


@dataclass(frozen=True, slots=True)
class VerifiedSource:
    """A successful verification, in this run, of a backup from a backup source. It holds the step and the facts of the step."""

    step: PlannedStep
    facts: Facts

    @property
    def backup(self) -> dict[str, Any]:
        """The verified backup as a mapping, with its ``id``, ``taken_at``, ``bytes`` and more.

        The value is empty when the step reported no backup.
        """
        reported = self.facts.get("backup")
        return reported if isinstance(reported, dict) else {}


@dataclass(frozen=True, slots=True)
class SourceGate:
    """The checks that must succeed before the step ``fault`` may destroy data of ``service`` on ``host``.

    A check is made for each step of the plan that restores a backup into ``service`` itself. Steps that restore into a
    sandbox are not checked.
    """

    stage: Stage
    fault: PlannedStep
    host: str
    service: str

    def restores(self) -> list[PlannedStep]:
        """Return the steps of the restore phase that restore a backup from a backup source into the service itself."""
        inventory = self.stage.plan.inventory
        return [
            step
            for step in self.stage.plan.phase("restore")
            if restores_in_place(inventory, step) and same_service(inventory, step.params.get("service"), self.service)
        ]

    def proven(self, action: Action, verified: Sequence[VerifiedSource]) -> list[SourceProven]:
        """Return a verified backup for each restore into the service.

        ``action``: the action that injects the fault. Raises Refused when a check fails, and Cancelled when the run is
        stopped.
        """
        return [self._proven(step, verified, self._identity(action, step)) for step in self.restores()]

    def _identity(self, action: Action, restore: PlannedStep) -> dict[str, Any]:
        """Return the identity of the data to destroy.

        The identity is measured by the action of the fault. If this action cannot measure it, the action of the restore
        measures it. Raises Refused when the identity stays unknown.
        """
        asked = build(restore, self.stage.names()) if type(action).subject is Action.subject else action
        thing, why = measured(asked, self._context(self.host if asked is action else restore.hosts[0]))
        if thing is None:
            raise Refused("the identity of the data that the fault would destroy is known", f"unknown: {why}")
        return thing.model_dump()

    def _proven(self, step: PlannedStep, verified: Sequence[VerifiedSource], thing: dict[str, Any]) -> SourceProven:
        name, at = str(step.params["from"]), moment_of(step)
        fitting = [
            candidate
            for candidate in verified
            if verified_origin(candidate.step) == name and moment_of(candidate.step) == at
        ]
        if not fitting:
            raise Refused(f"a backup of {name} that was verified in this run", "none")
        proof = fitting[-1]
        try:
            source = source_of(self._context(self.host), name)
            backup, moment = self._present(source, at, proof)
            loss, rpo = self._loss(source, backup, moment)
            self._alike(step, source, backup, proof)
        except Cancelled:
            raise
        except DrillbookError as error:
            raise Refused(f"a backup of {name} that can be read right before the fault", error.message) from error
        return SourceProven(
            service=self.service,
            source=name,
            backup=backup.id,
            proof=proof.step.action,
            moment=stamp(moment),
            basis=backup.basis,
            loss_s=loss,
            error_s=backup.error_s,
            rpo_s=rpo,
            identity=thing,
        )

    def _context(self, host: str) -> Context:
        return self.stage.context(self.fault.id, host, self.stage.deadline(LIST_S))

    def _present(self, source: BackupSource, at: str, proof: VerifiedSource) -> tuple[Backup, datetime]:
        """List the backups again, to make sure that the verified backup still exists unchanged. Return the verified backup,
        and the time of the last writes that it contains.

        Raises Refused when the verified backup is gone or was changed.
        """
        verified = proof.backup
        listed = source.backups(self._context(source.host))
        backup, moment = chosen(source, listed, at, str(verified.get("id", "")))
        for key in ("taken_at", "bytes"):
            if backup.as_facts()[key] != verified.get(key):
                raise Refused(
                    f"{backup.id} of {source.name} as {proof.step.id} verified it, with {key} {verified.get(key)}",
                    f"the backup was changed after its verification: {key} is now {backup.as_facts()[key]}",
                )
        newest = backup.newest_moment if moment in (None, END) and at == "latest" else moment or backup.taken_at
        begun = parsed_moment(str(proof.facts.get("begun_at", "")))  # a dump contains the state at the time when it began
        return backup, min(newest, begun) if begun else newest

    def _loss(self, source: BackupSource, backup: Backup, moment: datetime) -> tuple[float, float]:
        """Return the loss of a restore at this moment, and the objective `rpo`, both in seconds. The loss is the length
        of the period whose writes are not in the backup.

        Raises Refused when the loss exceeds `rpo`, or when the backup is dated in the future.
        """
        rpo = float(self.stage.plan.objectives.get("rpo") or 0.0)
        loss = (datetime.now(UTC) - moment).total_seconds()
        newest = f"the newest moment that {backup.id} of {source.name} can restore is {stamp(moment)} ({backup.basis})"
        if loss < -AHEAD_S:
            raise Refused(
                "a backup whose newest moment is not in the future", f"{newest}, {-loss:.0f} s in the future", "backup-ahead"
            )
        loss = round(max(0.0, loss), 3)
        if loss + backup.error_s > rpo:
            measured_ = f"{newest}, {loss:.3f} s ago, with an error of {backup.error_s:g} s"
            raise Refused(f"a loss of at most {rpo:g} s, as the objective `rpo` demands", measured_, "backup-too-old")
        return loss, rpo

    def _alike(self, step: PlannedStep, source: BackupSource, backup: Backup, proof: VerifiedSource) -> None:
        """Compare the backup with the present service, by the driver of the backup source. Raises Refused when the backup is
        not a backup of this service.

        ``step``: step that restores the backup. If its action restores only a part of the service, only this part is
        compared.
        """
        service: Service = self.stage.plan.inventory.services[self.service]
        place = source.in_place(self._context(service.host), service)
        why = self._unlike_part(step, place, backup, proof)
        if why is None:
            why = place.unlike(backup, proof.facts)
        if why:
            raise Refused(f"a backup from which {self.service} can be restored", f"{backup.id} of {source.name}: {why}")

    def _unlike_part(self, step: PlannedStep, place: InPlace, backup: Backup, proof: VerifiedSource) -> str | None:
        """Return the reason why ``backup`` cannot restore the part of the service that ``step`` restores.

        Return None for a step that restores the whole service.
        """
        kind = find(step.action)
        if not issubclass(kind, RestoresSource) or kind.unlike is RestoresSource.unlike:
            return None
        action = build(step, self.stage.names())
        return action.unlike(place, backup, proof.facts) if isinstance(action, RestoresSource) else None

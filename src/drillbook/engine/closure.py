"""Closing of residue. Residue means the changes that a run could not undo. To close these changes, a person states why
nothing is left to undo.

Each change is checked again first. A fault that is still active is never closed. A fault in an unknown state is closed only
with the approval of a second person. The run keeps its verdict and its exit status. Its journal records the closing, and
drills may use its hosts again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from drillbook.engine.recovery import Recovery
from drillbook.engine.revert import never_happened
from drillbook.engine.step_context import Stage
from drillbook.engine.steps import fault_gone
from drillbook.engine.teardown import release
from drillbook.events.event import each
from drillbook.events.runs import ResidueSettled, SettlementRefused
from drillbook.events.session import Session
from drillbook.events.steps import FaultGone
from drillbook.findings import Finding, finding
from drillbook.journal.intents import NEVER_HAPPENED, Intent, intents
from drillbook.judge.residue import residue, unsettled
from drillbook.judge.result import Residue, SettledChange
from drillbook.signing.texts import Look

GONE: Literal["gone"] = "gone"
ACTIVE: Literal["active"] = "active"
UNKNOWN: Literal["unknown"] = "unknown"
Approved = Callable[[str], Look]
"""Function that looks for the approval of a second person. Its argument is the hash of the last event in the journal."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of an attempt to close changes. To close a change means to record that nothing of it is left to undo. The changes
    were closed if there are no ``refusals``.
    """

    refusals: tuple[Finding, ...] = ()
    kept: tuple[str, ...] = ()
    """Locks and leases that remain on hosts that do not answer."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """Attempt to close one run: to declare that the changes which the run could not undo need no undo any more.

    ``reason``: the reason why nothing is left to undo, as stated by a person.
    """

    recovery: Recovery
    reason: str
    approved: Approved

    def run(self, header: Session) -> Outcome:
        """Check every remaining change again, and close all of them if there are no findings.

        Raises JournalError when the run is alive, and Locked when another run holds a lock.
        """
        with self.recovery.resumed() as (stage, history):
            self.recovery.begin(stage, history, header)
            left = residue(history.events, stage.plan)
            changes = [_asked(stage, intent) for intent in unsettled(stage.journal.decisive(), stage.plan)]
            if not any(change.proof == ACTIVE for change in changes):
                changes += [_not_removed(change) for change in self.recovery.clean(stage, history)]
            look = self._look(changes, history.head)
            by, told = header["operator"], tuple(change.model_dump(mode="json") for change in changes)
            if refusals := _refusals(changes, look):
                stage.journal.append(
                    SettlementRefused(
                        by=by,
                        reason=self.reason,
                        changes=told,
                        findings=tuple(refusal.model_dump(mode="json") for refusal in refusals),
                    ),
                    sync=True,
                )
                return Outcome(refusals)
            stage.journal.append(
                ResidueSettled(
                    by=by,
                    reason=self.reason,
                    changes=told,
                    approval=look.facts() if look else None,
                    residue=tuple(change.model_dump(mode="json") for change in left),
                    intents=tuple(
                        intent.seq for intent in intents(stage.journal.decisive(), stage.plan.steps) if not intent.settled
                    ),
                ),
                sync=True,
                required=True,
            )
            return Outcome(kept=self.recovery.close(stage, release(stage)))

    def _look(self, changes: Sequence[SettledChange], head: str) -> Look | None:
        """Look for a second person's approval if the state of a change is unknown, and no change is active. Otherwise return
        None.

        If the state of every change is known, no approval is needed. If a change is active, no approval can close it.
        """
        proofs = {change.proof for change in changes}
        return self.approved(head) if UNKNOWN in proofs and ACTIVE not in proofs else None


def _asked(stage: Stage, intent: Intent) -> SettledChange:
    """Check again if the announced change ``intent`` is active. Return the change with the result of the check."""
    change = SettledChange(step=intent.step.id, host=intent.host, what=intent.step.action, proof=UNKNOWN, detail="")
    try:
        gone = fault_gone(stage, intent.step, intent.action(), intent.host, patience=0.0)
        if gone is None and intent.undo.kind == "restore" and never_happened(stage, intent):
            return change.model_copy(update={"proof": GONE, "detail": NEVER_HAPPENED})
    except Exception as error:  # noqa: BLE001  a proof that cannot be checked leaves the state unknown
        return change.model_copy(update={"detail": getattr(error, "message", "") or f"{type(error).__name__}: {error}"})
    said = next(
        what
        for event, what in reversed(list(each(stage.journal.decisive(), FaultGone)))
        if (event.step, event.host) == (intent.step.id, intent.host)
    )
    detail = said.detail or ("" if gone is not None else f"the action {intent.step.action} has no check of its fault")
    return change.model_copy(update={"proof": UNKNOWN if gone is None else GONE if gone else ACTIVE, "detail": detail})


def _not_removed(change: Residue) -> SettledChange:
    """Describe something that could not be removed: rows of a probe, or temporary files. It counts as a change in an
    unknown state."""
    return SettledChange(step=change.step, host=change.host, what=change.what, proof=UNKNOWN, detail=change.why)


def _refusals(changes: Sequence[SettledChange], look: Look | None) -> tuple[Finding, ...]:
    """Return findings that say why the changes cannot be closed. If changes are active, each of them has one finding. If no
    change is active, but the approval of a second person is missing or refused, the findings name each change in an unknown
    state, and the reason for the refusal.
    """
    still = [change for change in changes if change.proof == ACTIVE]
    if still:
        return tuple(
            _finding("residue-active", change, "proof that the fault is gone", "the check shows that the fault is active")
            for change in still
        )
    if look is None or look.refusal is None:
        return ()
    return (
        *(
            _finding(
                "residue-unknown",
                change,
                "proof that the change is gone, or the approval of a second person",
                "unknown state",
            )
            for change in changes
            if change.proof == UNKNOWN
        ),
        look.refusal,
    )


def _finding(code: str, change: SettledChange, wanted: str, otherwise: str) -> Finding:
    return finding(
        code,
        title=f"{change.what} on {change.host}",
        wanted=wanted,
        measured=change.detail or otherwise,
        step=change.step,
        host=change.host,
    )

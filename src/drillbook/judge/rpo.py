"""RPO and lost writes, computed only from the events of a run.

The canaries of the run measure both. If the restored backup was made by the team's own tools, its age can be the RPO
instead. Every figure has an error: the largest possible difference from the true value. docs/clocks.md defines the clocks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

from drillbook.events.event import Event, contents, each
from drillbook.events.probes import CanarySurvivors
from drillbook.events.steps import SourceProven
from drillbook.findings import finding
from drillbook.judge.figures import Figure, Figures
from drillbook.judge.samples import CanaryRecord, canaries, ranges
from drillbook.plan.planner import Plan

OF_BACKUP = "newest moment of the restored backup"
"""Text that tells how an RPO was measured. It is used when no canary measured the RPO, so that the RPO is the age of the
restored backup.
"""


def data_loss(result: Figures, events: Sequence[Event], own: Sequence[Event], plan: Plan, disruption: float | None) -> None:
    """Measure the RPO. If a backup that the team's own tools made was restored, its age can be the RPO; see ``_by_backup``.
    Otherwise the RPO is the largest loss that a canary saw. It is unknown if the loss of any canary is unknown.

    ``own``: the events of the run before its first recovery.
    """
    records = canaries([*own, *read_back_later(events, own)])
    if _by_backup(result, own, records, disruption):
        return
    if not records or disruption is None:
        why = "no fault was injected" if disruption is None else "the drill has no canary"
        result.objectives["rpo"] = result.keep("rpo_s", Figure(None, None, why))
        return
    losses = [_rpo(result, record, disruption) for record in records]
    unknown = [loss for loss in losses if loss.figure.seconds is None]
    worst = unknown[0] if unknown else max(losses, key=lambda loss: loss.figure.seconds or 0.0)
    result.marks |= {
        name: clock
        for name, clock in (("recovery_point", worst.since), ("last_acknowledged", worst.until))
        if clock is not None
    }
    span = (
        min([disruption, *(loss.since for loss in losses if loss.since is not None)]),
        max([disruption, *(loss.until for loss in losses if loss.until is not None)]),
    )
    result.objectives["rpo"] = result.keep("rpo_s", worst.figure, span)
    if result.lost_writes:
        target = plan.objectives.get("rpo")
        wanted = f"at most {target:g} s of writes" if target is not None else "none"
        result.findings.append(
            finding(
                "acknowledged-writes-lost",
                wanted=wanted,
                measured=(
                    f"{result.lost_writes} of {result.acknowledged} acknowledged writes: numbers "
                    + ", ".join(f"{first} to {last}" for first, last in result.lost_numbers[:10])
                ),
            )
        )


def _by_backup(result: Figures, own: Sequence[Event], records: Sequence[CanaryRecord], disruption: float | None) -> bool:
    """Measure the loss as the time from the newest data in a restored backup to the fault.

    Only a backup that the team's own tools made is measured in this way. Returns False, and measures nothing, when no such
    backup was restored. If the restored data contains a canary's write from before the fault, the canary measures the loss,
    and this function returns False, too.
    """
    if disruption is None or not all(_before_all(record, disruption) for record in records):
        return False
    losses = [
        (what.loss_s + max(0.0, disruption - event.clock), what.error_s, event.clock)
        for event, what in each(own, SourceProven)
    ]
    if not losses:
        return False
    loss, error, clock = max(losses)
    result.rpo_clock = OF_BACKUP
    result.objectives["rpo"] = result.keep("rpo_s", Figure(loss, error), (clock, disruption))
    return True


def _before_all(record: CanaryRecord, disruption: float) -> bool:
    """Return True when the canary wrote before the fault, and all writes from before the fault are lost.

    The restored data is then older than the first of these writes.
    """
    before = [write for write in record.acknowledged if write.acknowledged <= disruption]
    survivors = record.survivors
    return bool(before) and survivors is not None and not any(write.number in survivors for write in before)


@dataclass(frozen=True, slots=True)
class _Loss:
    """Lost writes of one canary.

    ``figure``: the RPO of this canary. ``since``: time at which the last write before the first lost write was acknowledged.
    ``until``: time at which the last write before the disruption was acknowledged, or the time of the last lost write if this
    is later.
    """

    figure: Figure
    since: float | None = None
    until: float | None = None


def _rpo(result: Figures, record: CanaryRecord, disruption: float) -> _Loss:
    if record.survivors is None:
        result.findings.append(finding("probe-failed", step=record.probe, measured=record.error or "never read back"))
        return _Loss(Figure(None, None, f"the canary could not be read back: {record.error or 'the read-back never ran'}"))
    before = [write for write in record.acknowledged if write.acknowledged <= disruption]
    if not before:
        return _Loss(Figure(None, None, "no write was acknowledged before the disruption"))
    lost = [write for write in record.acknowledged if write.number not in record.survivors]
    result.lost_writes = (result.lost_writes or 0) + len(lost)
    result.lost_numbers += ranges(write.number for write in lost)
    result.lost_spans += _spans({write.number for write in lost}, record.tried)
    lost_before = [write for write in lost if write.acknowledged <= disruption]
    result.acknowledged = (result.acknowledged or 0) + len(before) + len(lost) - len(lost_before)
    blind = (
        disruption - before[-1].sent
    )  # seconds before the disruption in which no write was sent, so that a loss stays unnoticed
    if not lost:
        return _Loss(Figure(0.0, max(record.every, blind)), None, before[-1].acknowledged)
    end = max(before[-1], lost[-1], key=lambda write: write.acknowledged) if lost_before else lost[-1]
    kept = [write for write in record.acknowledged if write.number < lost[0].number]
    newest = max((w.number for w in before if w.number in record.survivors), default=0)
    if holes := [write for write in lost if write.number < newest]:
        result.findings.append(
            finding(
                "hole-in-survivors",
                step=record.probe,
                wanted=f"every write up to {newest}",
                measured=f"missing writes: {len(holes)}, the first is number {holes[0].number}",
            )
        )
    if not kept:
        least = end.acknowledged - record.acknowledged[0].sent
        older = f"the recovery point is older than the first write of the canary: at least {least:.3f} s were lost"
        return _Loss(Figure(None, None, older), None, end.acknowledged)
    error = max(lost[0].acknowledged - kept[-1].sent, blind)
    return _Loss(Figure(end.acknowledged - kept[-1].acknowledged, error), kept[-1].acknowledged, end.acknowledged)


def _spans(lost: Collection[int], tried: Sequence[int]) -> list[tuple[int, int]]:
    """Group the numbers ``lost`` into spans, each with its first and its last number. Numbers between them that were never sent
    belong to the span, too. ``tried``: numbers of all writes that were sent, in order.
    """
    groups = groupby(tried, key=lost.__contains__)
    spans = [list(numbers) for is_lost, numbers in groups if is_lost]
    return [(span[0], span[-1]) for span in spans]


def read_back_later(events: Sequence[Event], own: Sequence[Event]) -> list[Event]:
    """Return one event for each canary whose rows the run itself did not read back, but a later recovery did.

    If several recoveries read back the rows of a canary, the event of the last of them is returned.
    """
    seen = {what.probe for what in contents(own, CanarySurvivors)}
    later = {what.probe: event for event, what in each(events[len(own) :], CanarySurvivors) if what.probe not in seen}
    return list(later.values())

"""Recoveries of a run, read from the part of the journal that they wrote after the run itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from drillbook.events.event import Event, each
from drillbook.events.holds import LeaseAdopted, LeaseArmed, LeaseFailed, LeaseLog, LockFailed, LockReleased, LockTaken
from drillbook.events.probes import CanarySurvivors
from drillbook.events.runs import RecoveryFinished, RecoveryStarted, ResidueSettled, RunFinished, SettlementRefused
from drillbook.events.steps import Done, Failed, FaultGone, IntentRecorded, StepStarted, UndoFailed, Undone, UndoStarted
from drillbook.judge.faultstate import ending
from drillbook.judge.figures import zero
from drillbook.judge.recovery_record import Act, FaultCheck, Recovery
from drillbook.judge.samples import CanaryRecord, Numbers, canaries
from drillbook.judge.steps import undo_text
from drillbook.language.lists import leading

Sort = Literal["lock", "lease", "undo", "step", "canary", "closing"]
Key = tuple[Sort, str, str]
"""Kind of an act, its step, and its host. For a lock, the name of the lock is in place of the step."""
LEASE = "lease of the run"
UNRELEASED, RELEASED = "taken; no release of it is recorded", "taken, and released at the end"


def recoveries(own: Sequence[Event], events: Sequence[Event]) -> tuple[Recovery, ...]:
    """Return the recoveries of a run, oldest first. ``own``: the events before the first of them."""
    rest = events[len(own) :]
    starts = [number for number, event in enumerate(rest) if isinstance(event.what, RecoveryStarted)]
    intents = {event.seq: what for event, what in each(events, IntentRecorded)} if starts else {}
    armed = {what.intent: event.host or "" for event, what in each(own, LeaseArmed)} if starts else {}
    writes = {record.probe: record for record in canaries(own)} if starts else {}
    recorded: list[Recovery] = []
    before = next((event.at for event, _ in each(own, RunFinished)), own[-1].at)
    for first, end in pairwise([*starts, len(rest)]):
        recorded.append(_recovery(rest[first:end], before, _Acts(intents, armed, writes)))
        before = rest[end - 1].at
    return tuple(recorded)


def _recovery(mine: Sequence[Event], before: str, acts: _Acts) -> Recovery:
    """Return the recovery that wrote the events ``mine``. ``acts``: its acts, still without any."""
    begun = mine[0].what
    assert isinstance(begun, RecoveryStarted)  # noqa: S101  the caller divides the journal at these events
    ended = next(each(mine, RecoveryFinished), None)
    for event in mine:
        acts.add(event)
    return Recovery(
        started=mine[0].at,
        zero=zero(mine[0]),
        operator=begun.operator,
        controller=begun.controller,
        before=before,
        finished=ended[0].at if ended else None,
        end=ended[0].clock if ended else None,
        left=len(ended[1].residue) if ended else 0,
        gone=ended[1].gone if ended else "",
        closed=ended is not None and ended[1].kept is not None,
        acts=tuple(acts.in_order()),
    )


@dataclass(slots=True)
class _Acts:
    """Collects the acts of a recovery from its events, one after the other."""

    intents: Mapping[int, IntentRecorded]
    """Announced changes. The key of a change is the number of the event that announced it."""
    armed: Mapping[int, str]
    """Host of each change whose undo was armed on that host."""
    writes: Mapping[str, CanaryRecord]
    """Writes of each canary that the run itself recorded. The key of each entry is the probe."""
    reverted: set[str] = field(default_factory=set)
    """Hosts that had run the undos of a lease by themselves before the recovery."""
    unread: set[str] = field(default_factory=set)
    """Hosts with a lease that could not be inspected. A host has a lease for each account."""
    held: set[int] = field(default_factory=set)
    """Numbers of the changes whose undo a lease still held: the target had not run it, or it had not succeeded."""
    known: list[dict[str, Any]] = field(default_factory=list)
    open: dict[Key, dict[str, Any]] = field(default_factory=dict)
    """Acts that have begun, and whose outcome is not known yet."""
    checks: dict[tuple[str, str], tuple[int, FaultCheck]] = field(default_factory=dict)
    """Checks of changes that no undo had begun to undo, each with the number of its event."""

    def in_order(self) -> Iterator[Act]:
        """Yield the acts in the order in which they began. An act without a start stands where its outcome was recorded."""
        for fields in sorted(self.known, key=lambda act: act["events"][0]):
            yield Act.model_validate(fields)

    def add(self, event: Event) -> None:
        """Add what ``event`` tells about an act."""
        match event.what:
            case UndoStarted() | FaultGone() | Undone() | UndoFailed():
                self._undo(event)
            case StepStarted(action=action, phase=phase):
                self._begin(event, "step", what=action, phase=phase)
            case Done(facts=facts):
                self._end(event, "step", "done", facts=facts)
            case Failed() as what:
                self._end(event, "step", "allowed" if what.allowed else what.outcome, what.message, facts=what.facts)
            case LockTaken() | LockReleased() | LockFailed() | LeaseAdopted() | LeaseFailed() | LeaseLog():
                self._hold(event)
            case CanarySurvivors() as what:
                read = _read_back(what, self.writes.get(what.probe))
                status, told = ("failed", what.error) if what.error else ("done", read)
                self._once(event, "canary", status, told, step=what.probe, what="read back the writes of the canary")
            case ResidueSettled() | SettlementRefused():
                self._closing(event)

    def _undo(self, event: Event) -> None:
        where = (event.step or "", event.host or "")
        match event.what:
            case UndoStarted(intent=number):
                self._begin(event, "undo", how=undo_text(self.intents.get(number)), **self._change(number))
            case FaultGone(active=active, detail=detail):
                check = FaultCheck(at=event.clock, active=active, detail=detail)
                if act := self.open.get(("undo", *where)):
                    act["check"] = check
                else:
                    self.checks[where] = (event.seq, check)
            case Undone(intent=number) as what:
                self._outcome(event, "done", ending(self.intents.get(number), what) or what.message, number)
            case UndoFailed(intent=number, message=message):
                self._outcome(event, "failed", message, number)

    def _change(self, number: int) -> dict[str, Any]:
        """Return the action of the announced change ``number``, if it is a fault, and if the target had run its undo by itself."""
        intent = self.intents.get(number)
        return {
            "what": intent.action if intent else "",
            "fault": bool(intent and intent.effect == "fault"),
            "intent": number,
            "by_target": self._by_target(number),
        }

    def _by_target(self, number: int) -> bool:
        """Return True when the target had run the undo of the announced change ``number`` by itself, and it had succeeded."""
        return number not in self.held and self.armed.get(number) in self.reverted - self.unread

    def _outcome(self, event: Event, status: str, message: str, number: int) -> None:
        """Add the outcome of an undo. If no undo had begun, add an act that has only this outcome and the last check.

        ``number``: number of the event that announced the change.
        """
        where = (event.step or "", event.host or "")
        if ("undo", *where) in self.open:
            self._end(event, "undo", status, message)
            return
        first, check = self.checks.pop(where, (event.seq, None))
        self._once(event, "undo", status, message, check=check, events=(first, event.seq), **self._change(number))

    def _hold(self, event: Event) -> None:
        match event.what:
            case LockTaken(name=name, services=services):
                self._begin(event, "lock", step=name, what=", ".join(services) or name, message=UNRELEASED)
            case LockReleased(name=name):
                self._end(event, "lock", "done", RELEASED, step=name)
            case LockFailed(name=name, message=message):
                self._once(event, "lock", "failed", message, step=name, what=name)
            case LeaseAdopted(armed=armed, reverted=reverted):
                self.held |= {*armed}
                self.reverted |= {event.host or ""} if reverted else set()
                self._once(event, "lease", "done", _lease(armed, reverted=reverted), what=LEASE)
            case LeaseFailed(message=message):
                self.unread.add(event.host or "")
                self._once(event, "lease", "failed", message, what=LEASE)
            case LeaseLog(file=file, error=error):
                if all((act["sort"], act["host"]) != ("lease", event.host) for act in self.known):
                    self._once(event, "lease", "done", "ended", what=LEASE)
                act = next(act for act in self.known if (act["sort"], act["host"]) == ("lease", event.host))
                act["files"] = (*act.get("files", ()), *filter(None, [file]))
                act["message"] += f"; its log could not be stored: {error}" if error else "; its log was stored"

    def _closing(self, event: Event) -> None:
        match event.what:
            case ResidueSettled() as what:
                names = ", ".join(leading([f"{row.get('step')} on {row.get('host')}" for row in what.changes], 4)[0])
                told = f"by {what.by}, without an undo: {what.reason}"
                unproven = sum(row.get("proof") != "gone" for row in what.changes)
                self._once(event, "closing", "done", told, what=names, closed=len(what.changes), unproven=unproven)
            case SettlementRefused() as what:
                self._once(event, "closing", "failed", f"{what.by} was refused to close the changes", what="")

    def _begin(self, event: Event, sort: Sort, **words: Any) -> None:
        act = {"sort": sort, "step": event.step or "", "host": event.host or "", "start": event.clock, "end": None}
        act |= {"status": "unknown", "events": (event.seq, event.seq), **words}
        self.known.append(act)
        self.open[sort, str(act["step"]), event.host or ""] = act

    def _end(self, event: Event, sort: Sort, status: str, message: str = "", **words: Any) -> None:
        act = self.open.pop((sort, words.get("step", event.step or ""), event.host or ""), None)
        if act is not None:
            act |= {"end": event.clock, "status": status, "message": message, **words}
            act["events"] = (act["events"][0], event.seq)

    def _once(self, event: Event, sort: Sort, status: str, message: str, **words: Any) -> None:
        """Add an act of which the journal has only the outcome."""
        act = {"sort": sort, "step": event.step or "", "host": event.host or "", "start": None, "end": event.clock}
        self.known.append({**act, "status": status, "message": message, "events": (event.seq, event.seq), **words})


def _read_back(what: CanarySurvivors, record: CanaryRecord | None) -> str:
    """Return words about the writes of a canary that a recovery read back. ``record``: writes of the canary that the run recorded. A
    controller that dies has sent some writes that it did not record yet, so these are counted apart.
    """
    if what.ranges is None or record is None or not record.tried:
        return f"{what.count} writes were read back" if what.count is not None else "the writes were read back"
    there = Numbers(what.ranges)
    acknowledged = {write.number for write in record.acknowledged}
    kept, known = (sum(number in there for number in numbers) for numbers in (acknowledged, record.tried))
    doubtful, more = known - kept, sum(last - first + 1 for first, last in what.ranges) - known
    verb = "was" if kept == 1 else "were"
    parts = [f"{kept} of the {len(acknowledged)} acknowledged writes {verb} read back"]
    parts += [f"{doubtful} that {'was' if doubtful == 1 else 'were'} not acknowledged"] if doubtful else []
    parts += [f"{more} more that the run did not record"] if more else []
    return ", ".join(parts[:-1]) + f", and {parts[-1]}" if len(parts) > 1 else parts[0]


def _lease(armed: Sequence[int], *, reverted: bool) -> str:
    """Return words about a lease that was found. ``armed``: changes whose undo the lease still held. The target takes an undo
    out of the lease when the undo has succeeded.
    """
    if not reverted:
        return "found; the target had not undone the changes yet" if armed else "found; no undo was armed"
    failed = f", but {len(armed)} of them did not succeed" if armed else ""
    return f"found; the target itself had already run the undos that were armed on it{failed}"

"""Notes about a run's locks, leases, guards, stops, alerts and contacts. Each note is one short line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drillbook.events.content import Content
from drillbook.events.event import Event, each, of_kinds
from drillbook.events.holds import (
    ContactMissed,
    ContactTold,
    GuardTripped,
    LeaseAdopted,
    LeaseArmed,
    LeaseLapsed,
    LeaseLog,
    LeaseUnrenewed,
    LockLost,
    LockReleased,
    LockTaken,
    OfContact,
    TraceMissed,
)
from drillbook.events.probes import AlertAbsent, AlertCleared, AlertFiring, AlertReceived, AlertRemains
from drillbook.events.runs import PruningFinished, StopRequested
from drillbook.findings import Finding, finding
from drillbook.judge.result import Note, StoredLog

MARK_OF: dict[type[Content], str] = {
    GuardTripped: "guard_tripped",
    StopRequested: "stop_requested",
    LeaseLapsed: "lease_lapsed",
}
"""Kinds of events whose time is marked in the timeline, each with the name of its mark."""
NOTED: tuple[type[Content], ...] = (
    LockTaken,
    LockLost,
    LeaseArmed,
    LeaseLapsed,
    LeaseLog,
    LeaseUnrenewed,
    GuardTripped,
    StopRequested,
    AlertFiring,
    AlertReceived,
    AlertAbsent,
    AlertRemains,
    AlertCleared,
    OfContact,
    PruningFinished,
    TraceMissed,
)
"""Kinds of events that can have a note. Only a few events of a journal are of these kinds, even when the journal is long."""
MOST = 300
MOST_OF_TRACE = 2000
"""Largest length, in characters, of a note about a trace (telemetry that could not be sent). Such a note may end with the
command that installs a missing package, and a shortened command would be of no use.
"""


def told(event: Event) -> str:
    """Return a note about ``event``, shortened to the length ``MOST``, or ``MOST_OF_TRACE`` if it is about a trace.
    The note is empty for kinds of events that have no note.
    """
    text, most = _told(event.what), MOST_OF_TRACE if isinstance(event.what, TraceMissed) else MOST
    return text if len(text) <= most else text[:most] + "…"


def _told(what: Content) -> str:
    text = ""
    match what:
        case LockTaken() | LeaseArmed() | LeaseLapsed() | LeaseLog():
            text = _hold(what)
        case LeaseAdopted(armed=armed, reverted=True):
            text = "the target itself had already run the undos that were armed on it, because the lease was not renewed or the "
            text += "target was rebooted" + (f"; {len(armed)} of them had not succeeded" if armed else "")
        case LockLost() | LeaseUnrenewed():
            text = what.message or "the run lost its locks or its lease on a target"
        case GuardTripped(title=title, condition=condition, measured=measured):
            text = f"guard tripped: {title or condition}" + (f", measured {measured}" if measured else "")
        case StopRequested(by=by, from_=place):
            text = f"stop requested by {by or 'an unknown person'}" + (f" from {place}" if place else "")
        case AlertFiring() | AlertReceived():
            exact = "" if what.error_s is None else f" ± {what.error_s:.3f} s"
            how = "was received" if isinstance(what, AlertReceived) else "began to fire"
            text = f"the alert {what.alert} {how} {what.ago_s:.3f} s ago{exact}"
        case AlertAbsent(message=message) | AlertRemains(message=message):
            text = message
        case AlertCleared(alert=alert):
            text = f"the alert {alert} has cleared"
        case OfContact():
            text = contact(what)
        case PruningFinished():
            text = _pruning(what)
        case TraceMissed(to=to, message=message):
            text = f"the trace could not be sent to {to or 'the collector'}: {message}"
    return text


def loud(event: Event) -> bool:
    """Return True when the note of the event needs attention."""
    match event.what:
        case GuardTripped() | StopRequested() | LeaseLapsed() | TraceMissed():
            return True
        case LockTaken(taken_from=before):
            return bool(before)
        case PruningFinished(message=message):
            return bool(message)
    return False


def notes(events: Sequence[Event]) -> tuple[Note, ...]:
    """Return notes about ``events``, in order.

    Either all events must belong to the run itself, or all to one recovery. The run and each recovery have their own
    clocks, so times of different clocks cannot be compared.
    """
    noted: list[Note] = []
    titles: dict[tuple[str | None, str], str] = {}
    for event in of_kinds(events, *NOTED, LockReleased):
        match event.what:
            case LockReleased(name=name):
                text = f"lock on {titles.get((event.host, name), name)} released"
            case LockTaken(name=name, services=services):
                titles[event.host, name] = ", ".join(services) or name or "the service"
                text = told(event)
            case _:
                text = told(event)
        host, step = event.host or "", event.step or ""
        if text:
            noted.append(Note(at=event.clock, kind=event.kind, host=host, step=step, text=text, loud=loud(event)))
    return tuple(noted)


def lease_logs(events: Sequence[Event]) -> tuple[StoredLog, ...]:
    """Return the leases' logs that were copied into the folder of the run. A lease is an undo that a target runs by itself
    when the controller no longer renews the lease. The target writes a log of each lease.
    """
    return tuple(
        StoredLog(host=event.host or "", file=what.file, sha256=what.sha256, bytes=what.bytes)
        for event, what in each(events, LeaseLog)
        if what.file
    )


def marks(events: Sequence[Event]) -> dict[str, float]:
    """Return the times to mark in the timeline: for each kind of event in ``MARK_OF``, the time of its first event. The key
    of each time is the name of the mark.
    """
    time_by_mark: dict[str, float] = {}
    for event in of_kinds(events, *MARK_OF):
        if mark := MARK_OF.get(type(event.what)):
            time_by_mark.setdefault(mark, event.clock)
    return time_by_mark


def findings(events: Sequence[Event], known: Sequence[Finding]) -> list[Finding]:
    """Make findings about four kinds of events: a guard that stopped the run, a lease that was not renewed, a lock that was
    taken over from another run, and a contact that could not be notified.

    ``known``: the findings made so far. A finding about a guard, a lease or a lock is made only if no finding in ``known``
    has the same code.
    """
    codes = {problem.code for problem in known}
    problems = []
    for event in of_kinds(events, *NOTED):
        host = event.host or None
        match event.what:
            case GuardTripped() as what if "guard-tripped" not in codes:
                problems.append(
                    finding("guard-tripped", wanted=what.condition, measured=what.measured, step=event.step, host=host)
                )
            case LeaseLapsed() if "lease-lapsed" not in codes:
                problems.append(
                    finding(
                        "lease-lapsed",
                        wanted="a lease that is renewed without a gap",
                        measured=told(event),
                        step=event.step,
                        host=host,
                    )
                )
            case LockTaken(taken_from=before) if before and "lock-taken-over" not in codes:
                problems.append(finding("lock-taken-over", measured=told(event), host=host))
            case ContactMissed() as what:
                problems.append(
                    finding(
                        "contact-not-told", title=what.contact, wanted=f"notified of: {what.occasion}", measured=told(event)
                    )
                )
    return problems


def contact(what: OfContact) -> str:
    """Return a sentence about a contact that was notified, or that could not be notified.

    If the contact could not be notified, the sentence contains the reason.
    """
    who, occasion = what.contact or "a contact", what.occasion or "run"
    way = f"service {what.way}" + (f", {what.service}" if what.service else "")
    match what:
        case ContactMissed(message=why):
            return f"{who} could not be notified of the {occasion} by {way}: {why}"
        case ContactTold():
            return f"{who} was notified of the {occasion} by {way}"
    return ""


def _pruning(what: PruningFinished) -> str:
    kept = "" if what.kept is None else f", {what.kept} remain"
    done = f"removed {len(what.pruned)} older backups from {what.store} ({what.bytes} bytes{kept})"
    older = (
        f"the bucket still holds {what.older_versions} bytes of these backups as older versions"
        if what.older_versions
        else ""
    )
    left = (
        f"{len(what.left)} backups stay, such as {what.left[0].get('location')}: {what.left[0].get('why')}"
        if what.left
        else ""
    )
    told = [f"{what.store}: {what.message}" if what.message and not what.pruned else done, older, left]
    return "; ".join(filter(None, [*told, what.message if what.pruned else ""]))


def _hold(what: LockTaken | LeaseArmed | LeaseLapsed | LeaseLog) -> str:
    match what:
        case LockTaken():
            over = f", taken over from {_owner(what.taken_from)}" if what.taken_from else ""
            return f"lock on {', '.join(what.services) or what.name or 'the service'} taken{over} (token {what.token})"
        case LeaseArmed():
            it = "it" if what.what else "the change"  # a rehearsal makes changes, such as a sandbox, but injects no fault
            length = (
                ""
                if what.lease_s is None
                else f"; the target undoes {it} by itself {what.lease_s:g} s after the last renewal"
            )
            return "lease armed" + (f": {what.what}" if what.what else "") + length
        case LeaseLapsed():
            return f"lease lapsed: {what.message or 'the lease was not renewed, so the target undid the changes by itself'}"
        case LeaseLog():
            stored = (
                f"could not be stored: {what.error}"
                if what.error
                else "was stored" + (f": {what.file}" if what.file else "")
            )
            return f"lease ended, and is no longer armed; the target's own log of the lease {stored}"


def _owner(owner: Mapping[str, Any]) -> str:
    operator = f" of {owner['operator']}" if owner.get("operator") else ""
    return f"run {owner.get('run') or 'unknown'}{operator}"

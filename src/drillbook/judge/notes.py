"""Notes of a run on its locks, leases, guards, stops, alerts and contacts: one short line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drillbook.events.content import Content
from drillbook.events.event import Event
from drillbook.events.holds import (
    ContactMissed,
    ContactTold,
    GuardTripped,
    LeaseArmed,
    LeaseLapsed,
    LeaseLog,
    LeaseUnrenewed,
    LockLost,
    LockTaken,
    OfContact,
    TraceMissed,
)
from drillbook.events.probes import AlertAbsent, AlertCleared, AlertFiring, AlertReceived, AlertRemains
from drillbook.events.runs import StopRequested
from drillbook.findings import Finding, finding
from drillbook.judge.result import Note

MARK_OF: dict[type[Content], str] = {
    GuardTripped: "guard_tripped",
    StopRequested: "stop_requested",
    LeaseLapsed: "lease_lapsed",
}
"""Kinds of events that a timeline marks."""
MOST = 300


def told(event: Event) -> str:
    """``event`` in a few words; empty when its kind is none of those that are noted."""
    text = _told(event.what)
    return text if len(text) <= MOST else text[:MOST] + "…"


def _told(what: Content) -> str:
    text = ""
    match what:
        case LockTaken() | LeaseArmed() | LeaseLapsed() | LeaseLog():
            text = _hold(what)
        case LockLost() | LeaseUnrenewed():
            text = what.message or "the run lost its hold on a target"
        case GuardTripped(title=title, condition=condition, measured=measured):
            text = f"guard tripped: {title or condition}" + (f", measured {measured}" if measured else "")
        case StopRequested(by=by, from_=place):
            text = f"stop requested by {by or 'somebody'}" + (f" from {place}" if place else "")
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
        case TraceMissed(to=to, message=message):
            text = f"the trace did not reach {to or 'the collector'}: {message}"
    return text


def loud(event: Event) -> bool:
    """Is it one that must not be overlooked?"""
    match event.what:
        case GuardTripped() | StopRequested() | LeaseLapsed():
            return True
        case LockTaken(taken_from=before):
            return bool(before)
    return False


def notes(events: Sequence[Event]) -> tuple[Note, ...]:
    """Everything that was noted in one session, in order; times on its clock."""
    return tuple(
        Note(at=event.clock, kind=event.kind, host=event.host or "", step=event.step or "", text=text, loud=loud(event))
        for event in events
        if (text := told(event))
    )


def marks(events: Sequence[Event]) -> dict[str, float]:
    """The first of each kind that a timeline marks."""
    found: dict[str, float] = {}
    for event in events:
        if mark := MARK_OF.get(type(event.what)):
            found.setdefault(mark, event.clock)
    return found


def findings(events: Sequence[Event], known: Sequence[Finding]) -> list[Finding]:
    """Findings of it, without those whose code is among ``known``."""
    codes = {one.code for one in known}
    found = []
    for event in events:
        host = event.host or None
        match event.what:
            case GuardTripped() as what if "guard-tripped" not in codes:
                found.append(
                    finding("guard-tripped", wanted=what.condition, measured=what.measured, step=event.step, host=host)
                )
            case LeaseLapsed() if "lease-lapsed" not in codes:
                found.append(
                    finding(
                        "lease-lapsed",
                        wanted="a target that hears from the controller all the time",
                        measured=told(event),
                        step=event.step,
                        host=host,
                    )
                )
            case LockTaken(taken_from=before) if before and "lock-taken-over" not in codes:
                found.append(finding("lock-taken-over", measured=told(event), host=host))
            case ContactMissed() as what:
                found.append(
                    finding("contact-not-told", title=what.contact, wanted=f"told of: {what.occasion}", measured=told(event))
                )
    return found


def contact(what: OfContact) -> str:
    """Contacts that were told, or could not be told and why."""
    who, of = what.contact or "a contact", what.occasion or "run"
    way = f" by way {what.way}" + (f", {what.service}" if what.service else "")
    match what:
        case ContactMissed(message=why):
            return f"{who} could not be told of the {of}{way}: {why}"
        case ContactTold():
            return f"{who} was told of the {of}{way}"
    return ""


def _hold(what: LockTaken | LeaseArmed | LeaseLapsed | LeaseLog) -> str:
    match what:
        case LockTaken():
            over = f", over from {_owner(what.taken_from)}" if what.taken_from else ""
            return f"lock on {', '.join(what.services) or what.name or 'the service'} taken{over} (token {what.token})"
        case LeaseArmed():
            length = (
                "" if what.lease_s is None else (f"; the target reverts by itself after {what.lease_s:g} s without word")
            )
            return "lease armed" + (f": {what.what}" if what.what else "") + length
        case LeaseLapsed():
            return f"lease lapsed: {what.message or 'the target heard nothing from the controller and reverted by itself'}"
        case LeaseLog():
            return "the target's own log of the lease came back" + (f": {what.file}" if what.file else "")


def _owner(owner: Mapping[str, Any]) -> str:
    operator = f" of {owner['operator']}" if owner.get("operator") else ""
    return f"run {owner.get('run') or 'unknown'}{operator}"

"""What a run noted of its locks, leases, guards and stops: one short line each, whatever the event's data holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drillbook.findings import Finding, finding
from drillbook.journal import Event
from drillbook.result import Note

MARK_OF = {"guard.tripped": "guard_tripped", "stop.requested": "stop_requested", "lease.lapsed": "lease_lapsed"}
"""Kinds of events that a timeline marks."""
LOUD = ("guard.tripped", "stop.requested", "lease.lapsed", "fenced")
MOST = 300


def told(event: Event) -> str:
    """``event`` in a few words; empty when its kind is none of those that are noted."""
    tell = _TELL.get(event.kind)
    text = tell(event.data) if tell else ""
    return text if len(text) <= MOST else text[:MOST] + "…"


def loud(event: Event) -> bool:
    """Is it one that must not be overlooked?"""
    return event.kind in LOUD or (event.kind == "lock.taken" and bool(event.data.get("taken_from")))


def notes(events: Sequence[Event]) -> tuple[Note, ...]:
    """Everything that was noted in one session, in order; times on its clock."""
    return tuple(Note(at=event.clock, kind=event.kind, host=event.host or str(event.data.get("host") or ""),
                      step=event.step or "", text=text, loud=loud(event)) for event in events if (text := told(event)))


def marks(events: Sequence[Event]) -> dict[str, float]:
    """The first of each kind that a timeline marks."""
    found: dict[str, float] = {}
    for event in events:
        if event.kind in MARK_OF:
            found.setdefault(MARK_OF[event.kind], event.clock)
    return found


def findings(events: Sequence[Event], known: Sequence[Finding]) -> list[Finding]:
    """What of it is a finding; those whose code is among ``known`` were told already."""
    codes = {one.code for one in known}
    found = []
    for event in events:
        host = event.host or str(event.data.get("host") or "") or None
        if event.kind == "guard.tripped" and "guard-tripped" not in codes:
            found.append(finding("guard-tripped", wanted=_text(event.data, "condition"),
                                 measured=_text(event.data, "measured"), step=event.step, host=host))
        elif event.kind == "lease.lapsed" and "lease-lapsed" not in codes:
            found.append(finding("lease-lapsed", wanted="a target that hears from the controller all the time",
                                 measured=told(event), step=event.step, host=host))
        elif event.kind == "lock.taken" and event.data.get("taken_from") and "lock-taken-over" not in codes:
            found.append(finding("lock-taken-over", measured=told(event), host=host))
        elif event.kind == "contact.missed":
            found.append(finding("contact-not-told", title=_text(event.data, "contact"),
                                 wanted=f"told of: {_text(event.data, 'occasion')}", measured=told(event)))
    return found


def _text(data: Mapping[str, Any], *keys: str) -> str:
    """The first of ``keys`` that says something."""
    return next((str(data[key]) for key in keys if data.get(key) not in (None, "", [], {})), "")


def _owner(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    operator = _text(value, "operator")
    return f"run {_text(value, 'run') or 'unknown'}" + (f" of {operator}" if operator else "")


def _lock(data: Mapping[str, Any]) -> str:
    name, token = ", ".join(map(str, data.get("services") or ())) or _text(data, "name"), _text(data, "token")
    over = f", over from {_owner(data['taken_from'])}" if data.get("taken_from") else ""
    return f"lock on {name or 'the service'} taken{over}" + (f" (token {token})" if token else "")


def _armed(data: Mapping[str, Any]) -> str:
    what, length = _text(data, "what", "action"), _text(data, "lease_s")
    return "lease armed" + (f": {what}" if what else "") + (
        f"; the target reverts by itself after {length} s without word" if length else "")


def _lapsed(data: Mapping[str, Any]) -> str:
    why = _text(data, "message", "why", "what")
    return "lease lapsed: " + (why or "the target heard nothing from the controller and reverted by itself")


def _log(data: Mapping[str, Any]) -> str:
    where = _text(data, "file", "evidence") if isinstance(data.get("file") or data.get("evidence"), str) else ""
    return "the target's own log of the lease came back" + (f": {where}" if where else "")


def _guard(data: Mapping[str, Any]) -> str:
    measured = _text(data, "measured")
    condition = _text(data, "title", "condition") or "a condition of abort_if"
    return f"guard tripped: {condition}" + (f", measured {measured}" if measured else "")


def _approval(data: Mapping[str, Any]) -> str:
    who, until = _text(data, "approver", "by", "who"), _text(data, "until")
    return f"approved by {who or 'somebody whom the journal does not name'}" + (f" until {until}" if until else "")


def _stop(data: Mapping[str, Any]) -> str:
    by, place = _text(data, "by", "who"), _text(data, "from")
    return f"stop requested by {by or 'somebody'}" + (f" from {place}" if place else "")


def _lost(data: Mapping[str, Any]) -> str:
    return _text(data, "message") or "the run lost its hold on a target"


def _trace(data: Mapping[str, Any]) -> str:
    return f"the trace did not reach {_text(data, 'to') or 'the collector'}: {_text(data, 'message')}"


def contact(data: Mapping[str, Any]) -> str:
    """Who was told of what, or could not be told and why."""
    service, why = _text(data, "service"), _text(data, "message")
    way = f" by way {_text(data, 'way')}" + (f", {service}" if service else "")
    who, of = _text(data, "contact") or "a contact", _text(data, "occasion") or "run"
    return f"{who} could not be told of the {of}{way}: {why}" if why else f"{who} was told of the {of}{way}"


def _alert(data: Mapping[str, Any]) -> str:
    if why := _text(data, "message"):
        return why
    ago, error = data.get("ago_s"), data.get("error_s")
    if not isinstance(ago, int | float):
        return f"the alert {_text(data, 'alert')} has cleared"
    exact = f" ± {error:.3f} s" if isinstance(error, int | float) else ""
    what = "was received" if "receivers" in data else "began to fire"
    return f"the alert {_text(data, 'alert')} {what} {ago:.3f} s ago{exact}"


def _fenced(data: Mapping[str, Any]) -> str:
    what = _text(data, "what", "message", "name")
    return "fenced off: this run no longer holds the lock" + (f" ({what})" if what else "")


_TELL: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "lock.taken": _lock, "lease.armed": _armed, "lease.lapsed": _lapsed, "lease.log": _log, "guard.tripped": _guard,
    "lock.lost": _lost, "lease.unrenewed": _lost, "approval": _approval, "stop.requested": _stop, "fenced": _fenced,
    "alert.firing": _alert, "alert.received": _alert, "alert.absent": _alert, "alert.cleared": _alert,
    "alert.remains": _alert, "contact.told": contact, "contact.missed": contact,
    "trace.missed": _trace}

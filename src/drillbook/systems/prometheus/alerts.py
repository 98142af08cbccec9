"""Alerting rules of Prometheus: the state of an alert, how often it is evaluated, and since when it has been firing.

Times of Prometheus are on the clock of its own machine. None of them is compared with the controller's: only how long ago
something was, by Prometheus' clock alone, is taken from it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from drillbook.errors import CouldNotVerify
from drillbook.language.strict import did_you_mean
from drillbook.systems.prometheus.client import Api
from drillbook.systems.prometheus.series import mappings

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
STATES = ("inactive", "pending", "firing")

State = Literal["inactive", "pending", "firing"]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule with the alerts that it has made now."""

    name: str
    state: State
    """The most serious state of those alerts that have the wanted labels."""
    active: tuple[dict[str, Any], ...]
    evaluation_s: float
    """Seconds between two evaluations of the rule."""
    evaluated: tuple[str, ...]
    """When each rule of this name was evaluated last, by Prometheus' clock."""


def state_of(api: Api, name: str, labels: Mapping[str, str]) -> Alert:
    """The alert ``name`` now. Raises CouldNotVerify when there is no such rule, or when it cannot be evaluated."""
    groups = list(mappings(api.get("/api/v1/rules", [("type", "alert")]), "groups"))
    rules = [(group, rule) for group in groups for rule in mappings(group, "rules") if rule.get("name") == name]
    if not rules:
        known = sorted({str(rule.get("name")) for group in groups for rule in mappings(group, "rules")})
        raise CouldNotVerify(
            f"{api.service.name} has no alerting rule {name!r}",
            hint=f"{did_you_mean(name, known)}it has: {', '.join(known) or 'none'}",
        )
    for _, rule in rules:
        if rule.get("health") == "err":
            raise CouldNotVerify(f"the rule {name!r} cannot be evaluated: {rule.get('lastError')}")
    active = [one for _, rule in rules for one in mappings(rule, "alerts") if _has(one, labels)]
    found = {str(one.get("state")) for one in active}
    state: State = "firing" if "firing" in found else "pending" if "pending" in found else "inactive"
    return Alert(
        name,
        state,
        tuple(active),
        max(float(group.get("interval", 0)) for group, _ in rules),
        tuple(str(rule.get("lastEvaluation", "")) for _, rule in rules),
    )


def _has(alert: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    own = alert.get("labels")
    return isinstance(own, dict) and all(own.get(key) == value for key, value in labels.items())


def scrape_s(api: Api) -> float:
    """The longest interval at which a target is scraped, in seconds. Raises CouldNotVerify when none can be read."""
    targets = mappings(api.get("/api/v1/targets", [("state", "active")]), "activeTargets")
    found = [duration(str(one.get("scrapeInterval", ""))) for one in targets]
    known = [one for one in found if one is not None]
    if not known:
        raise CouldNotVerify(
            f"{api.service.name} does not tell how often it scrapes its targets, so how exactly an alert "
            "tells the time of detection is not known"
        )
    return max(known)


def duration(text: str) -> float | None:
    """Seconds of a duration as Prometheus writes it, such as ``1m30s``; None when it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True)
class Fired:
    """Since when an alert has been firing: ``at`` on the controller's monotonic clock, and how far that may be off."""

    at: float
    error_s: float


def fired(api: Api, alert: Alert, labels: Mapping[str, str], back_s: float) -> Fired | None:
    """Since when ``alert`` has been firing, at most ``back_s`` seconds ago; None when its history does not tell.

    Prometheus keeps a sample of ``ALERTS`` at every evaluation. Its own clock says how long ago the first one was; the
    time between question and answer is the error.
    """
    wanted = {"alertname": alert.name, "alertstate": "firing", **labels}
    selector = ",".join(f"{key}={quoted(value)}" for key, value in wanted.items())
    history = api.post("/api/v1/query", [("query", f"ALERTS{{{selector}}}[{int(back_s * 1000)}ms]")])
    asked = time.monotonic()
    now = api.post("/api/v1/query", [("query", "time()")])
    answered = time.monotonic()
    try:
        clock = float(now["result"][1])
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    series = [[float(at) for at, _ in one.get("values", [])] for one in mappings(history, "result")]
    # A series that ended is an alert of before, for another instance or route.
    begun = [
        _episode(times, alert.evaluation_s) for times in series if times and clock - times[-1] <= 2.5 * alert.evaluation_s
    ]
    starts = [one for one in begun if one is not None]
    return Fired(answered - (clock - min(starts)), answered - asked) if starts else None


def _episode(times: list[float], evaluation_s: float) -> float | None:
    """When the newest stretch without a gap began."""
    start = times[0] if times else None
    for before, after in pairwise(times):
        if after - before > 2.5 * evaluation_s:
            start = after
    return start


def quoted(text: str) -> str:
    """``text`` as a string of PromQL."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'

"""Alerting rules of Prometheus: reads the state of an alert, its evaluation interval, and the time when it began to fire.

Prometheus uses the clock of its own machine, which is never compared with the controller's: only ages are used, and both
ends of an age are measured by Prometheus' clock.
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
    """Alerting rule and its active alerts, one for each set of labels."""

    name: str
    state: State
    """Most severe state of the alert's instances that have the wanted labels."""
    active: tuple[dict[str, Any], ...]
    evaluation_s: float
    """Seconds between two evaluations of the rule."""
    evaluated: tuple[str, ...]
    """Time of the last evaluation of each rule of this name, by Prometheus' clock."""


def state_of(api: Api, name: str, labels: Mapping[str, str]) -> Alert:
    """Return the present alert ``name``. Raises CouldNotVerify when no such rule exists, or its evaluation fails."""
    groups = list(mappings(api.get("/api/v1/rules", [("type", "alert")]), "groups"))
    rules = [(group, rule) for group in groups for rule in mappings(group, "rules") if rule.get("name") == name]
    if not rules:
        known = sorted({str(rule.get("name")) for group in groups for rule in mappings(group, "rules")})
        raise CouldNotVerify(
            f"{api.service.name} has no alerting rule {name!r}",
            hint=f"{did_you_mean(name, known)}its rules: {', '.join(known) or 'none'}",
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
    """Return the longest scrape interval of all targets, in seconds. Raises CouldNotVerify when none can be read."""
    targets = mappings(api.get("/api/v1/targets", [("state", "active")]), "activeTargets")
    found = [duration(str(one.get("scrapeInterval", ""))) for one in targets]
    known = [one for one in found if one is not None]
    if not known:
        raise CouldNotVerify(
            f"{api.service.name} does not report its scrape interval, so the error of the detection time is unknown"
        )
    return max(known)


def duration(text: str) -> float | None:
    """Parse a duration as Prometheus writes it, such as ``1m30s``, to seconds; None when it is invalid."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True)
class Fired:
    """Time at which an alert began to fire: ``at`` on the controller's monotonic clock, and its error in seconds."""

    at: float
    error_s: float


def fired(api: Api, alert: Alert, labels: Mapping[str, str], back_s: float) -> Fired | None:
    """Return the start of the firing of ``alert``; None when its history of the last ``back_s`` seconds does not show it.

    Prometheus stores a sample of ``ALERTS`` at every evaluation. The age of the first sample is measured by Prometheus' own
    clock; the time between request and answer is the error.
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
    # A series that has ended belongs to an earlier alert, of another instance or route.
    begun = [
        _episode(times, alert.evaluation_s) for times in series if times and clock - times[-1] <= 2.5 * alert.evaluation_s
    ]
    starts = [one for one in begun if one is not None]
    return Fired(answered - (clock - min(starts)), answered - asked) if starts else None


def _episode(times: list[float], evaluation_s: float) -> float | None:
    """Return the time of the first sample after the last gap in ``times``; None without samples."""
    start = times[0] if times else None
    for before, after in pairwise(times):
        if after - before > 2.5 * evaluation_s:
            start = after
    return start


def quoted(text: str) -> str:
    """Quote ``text`` as a string literal of PromQL."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'

"""Alerting rules of Prometheus. This module reads the state of an alert, the evaluation interval of its rule, and the time
when the alert began to fire.

Prometheus measures times by the clock of its own machine. This clock is never compared with the controller's clock. Therefore
only differences between two times of Prometheus are used.
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
    """Alerting rule and its active alerts. The rule has one active alert for each set of labels."""

    name: str
    state: State
    """Most severe state among the active alerts of the rule. Only alerts with the wanted labels count."""
    active: tuple[dict[str, Any], ...]
    evaluation_s: float
    """Time between two evaluations of the rule, in seconds."""
    evaluated: tuple[str, ...]
    """Time of the last evaluation of each rule with this name, by the clock of Prometheus."""


def state_of(api: Api, name: str, labels: Mapping[str, str]) -> Alert:
    """Return the alert ``name`` in its present state. Raises CouldNotVerify when no rule with this name exists, or when its
    evaluation fails.
    """
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
    active = [mapping for _, rule in rules for mapping in mappings(rule, "alerts") if _has(mapping, labels)]
    states = {str(alert.get("state")) for alert in active}
    state: State = "firing" if "firing" in states else "pending" if "pending" in states else "inactive"
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
    """Return the longest scrape interval of all targets, in seconds. Raises CouldNotVerify when no interval can be read."""
    targets = mappings(api.get("/api/v1/targets", [("state", "active")]), "activeTargets")
    intervals = [duration(str(target.get("scrapeInterval", ""))) for target in targets]
    known = [interval for interval in intervals if interval is not None]
    if not known:
        raise CouldNotVerify(
            f"{api.service.name} does not report its scrape interval, so the error of the detection time is unknown"
        )
    return max(known)


def duration(text: str) -> float | None:
    """Convert a duration in the format of Prometheus, such as ``1m30s``, to seconds. Return None when the text is invalid."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)


@dataclass(frozen=True, slots=True)
class Fired:
    """Time at which an alert began to fire. ``at`` is this time by the controller's monotonic clock, and ``error_s`` its
    error in seconds.
    """

    at: float
    error_s: float


def fired(api: Api, alert: Alert, labels: Mapping[str, str], back_s: float) -> Fired | None:
    """Return the time at which ``alert`` began to fire. Return None when the history of the last ``back_s`` seconds does not
    show this time.

    Prometheus stores a sample of ``ALERTS`` at every evaluation. The age of the first sample is measured by the clock of
    Prometheus. The error of this age is the time between the request and the answer.
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
    series = [[float(at) for at, _ in mapping.get("values", [])] for mapping in mappings(history, "result")]
    # A series that has ended belongs to an earlier alert, of another instance or route.
    begun = [
        _episode(times, alert.evaluation_s) for times in series if times and clock - times[-1] <= 2.5 * alert.evaluation_s
    ]
    starts = [start for start in begun if start is not None]
    return Fired(answered - (clock - min(starts)), answered - asked) if starts else None


def _episode(times: list[float], evaluation_s: float) -> float | None:
    """Return the time of the first sample after the last gap in ``times``. Return None when there are no samples."""
    start = times[0] if times else None
    for before, after in pairwise(times):
        if after - before > 2.5 * evaluation_s:
            start = after
    return start


def quoted(text: str) -> str:
    """Quote ``text`` as a string literal of PromQL."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'

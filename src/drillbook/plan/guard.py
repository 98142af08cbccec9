"""The guard: may this plan begin now? Pure: plan, clock and approval are given, nothing is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from drillbook.findings import Finding, finding
from drillbook.plan.plan import Plan
from drillbook.plan.window import DAYS, Window

HORIZON_DAYS = 15
"""How far ahead the next window is looked for: each opens once a week, or in two when a change of clocks skips its hour."""
MINUTE = timedelta(minutes=1)


class Approved(Protocol):
    """What was found out about an approval; see ``approval.Look``."""

    @property
    def refusal(self) -> Finding | None:
        """Why it does not count; ``None``: it does."""


def check(plan: Plan, *, now: datetime, confirm: str | None = None, approval: Approved | None = None) -> list[Finding]:
    """Every reason why ``plan`` may not begin now; none: it may.

    ``now`` must know its zone. ``confirm`` is the environment that the operator named; ``None``: they are not asked
    yet, as in a dry run. ``approval`` is what ``approval.look`` found; a plan that needs one is refused without it.
    """
    found: list[Finding] = []
    environment = plan.inventory.environment
    if environment not in plan.environments:
        found.append(finding("guard-environment", wanted=", ".join(plan.environments), measured=environment))
    if (late := _window(plan.guard.windows, now)) is not None:
        found.append(late)
    if not needs_approval(plan):
        return found
    if confirm is not None and confirm != environment:
        found.append(
            finding(
                "guard-confirm",
                wanted=f"--confirm {environment}",
                measured=f"--confirm {confirm}" if confirm else "no --confirm",
                remedy=f"If you mean {environment}, run it with `--confirm {environment}`.",
            )
        )
    refusal = finding("approval-missing") if approval is None else approval.refusal
    return [*found, refusal] if refusal else found


def needs_approval(plan: Plan) -> bool:
    """Protected environments do, and every drill whose guard says so; both then need ``--confirm`` as well."""
    return plan.guard.approval or plan.inventory.is_protected


def message(refusals: Sequence[Finding]) -> str:
    """All ``refusals`` in one sentence."""
    return "; ".join(f"{one.title[0].lower()}{one.title[1:]}{_figures(one)}" for one in refusals)


def _figures(one: Finding) -> str:
    wanted = f", not {one.wanted}" if one.code == "guard-environment" else ""
    return f" ({one.measured}{wanted})" if one.measured else ""


def _window(windows: Sequence[Window], now: datetime) -> Finding | None:
    if not windows or any(is_open(window, now) for window in windows):
        return None
    opens = next_opening(windows, now)
    when = f"it opens {said(*opens, now)}" if opens else f"none opens within {HORIZON_DAYS} days"
    zone = ZoneInfo(windows[0].zone)
    return finding(
        "guard-window",
        wanted="; ".join(map(str, windows)),
        measured=f"it is {now.astimezone(zone):%a %Y-%m-%d %H:%M} {windows[0].zone}; {when}",
        remedy=f"Wait: {when}. Or change `guard.windows` with those who agreed on it.",
    )


def is_open(window: Window, now: datetime) -> bool:
    """Does the wall clock of the window's zone stand in it?

    The wall clock alone decides, so an hour that a change of clocks skips is in no window, and one that comes twice
    is in a window twice. A window that closes at or before the time at which it opens closes on the next day, and
    belongs to the day on which it opened.
    """
    local = now.astimezone(ZoneInfo(window.zone))
    minute = local.hour * 60 + local.minute
    start, end = _minutes(window.start), _minutes(window.end)
    today, yesterday = DAYS[local.weekday()], DAYS[(local.weekday() - 1) % 7]
    if start < end:
        return today in window.days and start <= minute < end
    return (today in window.days and minute >= start) or (yesterday in window.days and minute < end)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def next_opening(windows: Sequence[Window], now: datetime) -> tuple[datetime, Window] | None:
    """When the next of ``windows`` opens after ``now``, in its zone, and which it is."""
    moment = now.astimezone(UTC).replace(second=0, microsecond=0)
    for _ in range(HORIZON_DAYS * 24 * 60):
        moment += MINUTE
        for window in windows:
            if is_open(window, moment):
                return moment.astimezone(ZoneInfo(window.zone)), window
    return None


def said(opens: datetime, window: Window, now: datetime) -> str:
    """A moment for a person: wall clock, zone, and how long until then."""
    minutes = math.ceil((opens.astimezone(UTC) - now.astimezone(UTC)) / MINUTE)
    days, rest = divmod(minutes, 24 * 60)
    hours, rest = divmod(rest, 60)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (rest, "min")) if count][:2]
    return f"{opens:%a %Y-%m-%d %H:%M} {window.zone}, in {' '.join(parts)}"


def lacking(plan: Plan) -> list[Finding]:
    """A finding for everything that has to be installed before services are there that the plan needs."""
    found: dict[str, list[str]] = {}
    for name, what in plan.lacking.items():
        found.setdefault(what, []).append(name)
    return [
        finding(
            "not-run-here",
            title=", ".join(names),
            wanted=f"services that are there: {', '.join(names)}",
            measured=f"it needs {' and '.join(names)}, and {'they are' if len(names) > 1 else 'it is'} not there: "
            f"install {what}",
            remedy=f"Install {what}, then bring the environment up again; nothing was touched.",
        )
        for what, names in found.items()
    ]

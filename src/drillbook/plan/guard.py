"""The guard of a run. It decides whether a plan may begin at a given time. The decision depends only on the plan, the
time, the approval and the confirmed environment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from drillbook.findings import Finding, finding
from drillbook.plan.permitted import ANY_PERMITTED, FORBIDDEN, only_in, permits
from drillbook.plan.plan import Plan
from drillbook.plan.window import HORIZON_DAYS, Window, is_open, next_opening

MINUTE = timedelta(minutes=1)


class Approved(Protocol):
    """Protocol of the result of a search for an approval, such as ``approval.Look``."""

    @property
    def refusal(self) -> Finding | None:
        """Reason why the approval is not valid, as a finding. It is ``None`` when the approval is valid."""


def check(
    plan: Plan, *, now: datetime, confirm: str | None = None, approval: Approved | None = None, instead: str = ANY_PERMITTED
) -> list[Finding]:
    """Return one finding for each reason why ``plan`` may not begin at the time ``now``. The result is empty when the
    plan may begin.

    ``now`` must have a time zone. ``confirm``: environment that the operator confirmed. It is None when the operator
    has not been asked yet, as in a dry run. ``approval``: result of ``approval.look``. If it is None, a plan that needs
    an approval is refused. ``instead``: first sentence of the remedy if the drill may not run in this environment. It tells
    how to run it in a permitted one.
    """
    refusals: list[Finding] = []
    environment = plan.inventory.environment
    if not permits(plan.environments, environment, plan.inventory.lab):
        remedy = f"{instead} If the drill is meant for {environment}, add {environment} to `guard.environments`."
        wanted = ", ".join(plan.environments)
        refusals.append(finding(FORBIDDEN, wanted=wanted, measured=environment, remedy=remedy))
    if (late := _window(plan.guard.windows, now)) is not None:
        refusals.append(late)
    if not needs_approval(plan):
        return refusals
    if confirm is not None and confirm != environment:
        refusals.append(
            finding(
                "guard-confirm",
                wanted=f"--confirm {environment}",
                measured=f"--confirm {confirm}" if confirm else "no --confirm",
                remedy=f"To run the drill in {environment}, add `--confirm {environment}`.",
            )
        )
    refusal = finding("approval-missing") if approval is None else approval.refusal
    return [*refusals, refusal] if refusal else refusals


def needs_approval(plan: Plan) -> bool:
    """Return True when the environment is protected, or when the guard of the drill demands an approval.

    Every plan that needs an approval also needs the option ``--confirm``.
    """
    return plan.guard.approval or plan.inventory.is_protected


def message(refusals: Sequence[Finding]) -> str:
    """Join all ``refusals`` into one sentence."""
    return "; ".join(map(said_of, refusals))


def said_of(refusal: Finding) -> str:
    """Return the text about one refusal in a sentence about all of them."""
    if refusal.code == FORBIDDEN:
        permitted = refusal.wanted.split(", ") if refusal.wanted else ()
        return f"the drill {only_in(permitted)}{f', not in {refusal.measured}' if permitted else ''}"
    return refusal.title[0].lower() + refusal.title[1:] + (f" ({refusal.measured})" if refusal.measured else "")


def _window(windows: Sequence[Window], now: datetime) -> Finding | None:
    if not windows or any(is_open(window, now) for window in windows):
        return None
    opens = next_opening(windows, now)
    when = f"the window opens {said(*opens, now)}" if opens else f"no window opens within {HORIZON_DAYS} days"
    zone = ZoneInfo(windows[0].zone)
    return finding(
        "guard-window",
        wanted="; ".join(map(str, windows)),
        measured=f"it is {now.astimezone(zone):%a %Y-%m-%d %H:%M} {windows[0].zone}; {when}",
        remedy=f"Wait: {when}. Or change `guard.windows` of the drill in agreement with the owners of the system.",
    )


def said(opens: datetime, window: Window, now: datetime) -> str:
    """Format the time at which a window opens: the wall clock time, the time zone, and the time that remains from
    ``now``.
    """
    minutes = math.ceil((opens.astimezone(UTC) - now.astimezone(UTC)) / MINUTE)
    days, rest = divmod(minutes, 24 * 60)
    hours, rest = divmod(rest, 60)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (rest, "min")) if count][:2]
    return f"{opens:%a %Y-%m-%d %H:%M} {window.zone}, in {' '.join(parts)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def lacking(plan: Plan) -> list[Finding]:
    """Return a finding for each package that is missing on this machine, although a service in the plan needs it."""
    by_package: dict[str, list[str]] = {}
    for name, what in plan.lacking.items():
        by_package.setdefault(what, []).append(name)
    return [
        finding(
            "not-run-here",
            title=", ".join(names),
            wanted=f"installed services: {', '.join(names)}",
            measured=f"the drill needs {_listed(names)}, but {'they are' if len(names) > 1 else 'it is'} not installed: "
            f"install {what}",
            remedy=f"Install {what}, then start the environment again. Nothing was changed.",
        )
        for what, names in by_package.items()
    ]

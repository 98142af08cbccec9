"""One diagnosis: applies trees to services, runs the checks, and ranks the causes.

`invoke diagnose` and drills use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from drillbook.diagnosis import ranking, scope
from drillbook.diagnosis.gather import Gathering, Made
from drillbook.diagnosis.ranking import HEALTHY, UNKNOWN, Suspect
from drillbook.diagnosis.scope import Case
from drillbook.diagnosis.tree import Check, Tree
from drillbook.errors import Cancelled
from drillbook.inventory.inventory import Inventory
from drillbook.language import template
from drillbook.sdk.action import Context
from drillbook.sdk.host import Host
from drillbook.sdk.service import kind_of

RECENT_S = 3600.0
"""Maximum age, in seconds, of a log line that counts as evidence. This limit applies when no disruption is known."""
CLOCK_ERROR_S = 0.001
"""Measurement error, in seconds, of the duration of a diagnosis.

The duration is the difference of two times of one monotonic clock. Only its rounding to 1 ms causes an error.
"""
UNSEEN = "could not be examined"
"""Phrase in every message about a check that did not run. Such a message is shown even when another check found a cause."""


@dataclass(frozen=True, slots=True)
class Book:
    """Inputs of a diagnosis: the decision trees, the inventory, and the checks that must not run."""

    trees: tuple[Tree, ...]
    inventory: Inventory
    barred: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    """Checks that must not run. Each key is a pair, the tree and the name of the check, and each value is the reason."""
    as_service: Callable[[str, str], Host] | None = None
    """Function that takes the names of a service and of a host, and returns an object that runs commands on the host. These
    commands run as the operating system account in the setting `become` of the service. If there is no such function, commands
    run as the account of the step.
    """
    disrupted_at: float | None = None
    """Time of the drill's disruption on the controller's monotonic clock. It is None outside a drill, and before its first
    fault.
    """


class CheckResult(BaseModel):
    """Outcome of one check in the result of a diagnosis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    check: str
    action: str
    status: str
    ok: bool
    message: str
    seconds: float
    facts: dict[str, Any]


class Diagnosis(BaseModel):
    """Result of a diagnosis: the cause found, the duration by the controller's monotonic clock, and the evidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    examined: tuple[str, ...]
    found: str
    ranked: tuple[Suspect, ...]
    why: tuple[str, ...]
    seconds: float
    error_s: float
    checks: tuple[CheckResult, ...]


def examine(ctx: Context, book: Book, services: Sequence[str], within_s: float) -> Diagnosis:
    """Diagnose ``services`` of the inventory within ``within_s`` seconds. Nothing is changed.

    In the result, ``found`` is the likeliest cause. If there is no cause, ``found`` is ``unknown`` when ``why`` lists doubts,
    and otherwise ``healthy``. Raises Cancelled when the run is stopped, and PlanError for an unknown service.
    """
    begun = time.monotonic()
    cases = scope.cases(book.trees, book.inventory.services, services)
    since = book.disrupted_at if book.disrupted_at is not None else begun - RECENT_S
    ctx = replace(ctx, evidence_since=since)
    gathering = Gathering(ctx, book.inventory, cases, within_s, book.barred, as_service=book.as_service)
    made = gathering.run()
    if ctx.deadline.cancel.is_set():
        raise Cancelled("the diagnosis was stopped")
    ranked = tuple(
        _reachable(suspect, book.inventory)
        for suspect in ranking.order(
            [suspect for case in cases for suspect in ranking.suspects(case, gathering.names(case))]
        )
    )
    why = _doubts(gathering, cases, book, services)
    return Diagnosis(
        examined=tuple(services),
        found=ranked[0].cause if ranked else UNKNOWN if why else HEALTHY,
        ranked=ranked,
        why=why,
        seconds=round(time.monotonic() - begun, 3),
        error_s=CLOCK_ERROR_S,
        checks=tuple(_result(outcome) for outcome in made.values()),
    )


def _result(made: Made) -> CheckResult:
    return CheckResult(
        subject=made.case.subject,
        check=made.check.id,
        action=made.check.action,
        status=made.status,
        ok=made.ok,
        message=made.message,
        seconds=round(made.seconds, 3),
        facts=made.facts,
    )


def _reachable(suspect: Suspect, inventory: Inventory) -> Suspect:
    """Return ``suspect`` without the contacts that are not in this inventory.

    Several inventories share the diagnosis trees, so a tree may name contacts that only another inventory has.
    """
    return suspect.model_copy(
        update={"contacts": tuple(contact for contact in suspect.contacts if contact in inventory.contacts)}
    )


def _doubts(gathering: Gathering, cases: Sequence[Case], book: Book, services: Sequence[str]) -> tuple[str, ...]:
    """Return the reasons why the result is not `healthy`: checks that did not run, and health conditions that are false
    or unknown.
    """
    doubts: list[str] = [] if services else ["the inventory has no service that can be examined"]
    shown: set[str] = set()
    for case in cases:
        for check in case.tree.checks:
            outcome = gathering.made[case, check.id]
            if outcome.status == "not made" and not check.words.optional:
                doubts.append(f"{case.subject}: {check.words.name or check.id} {UNSEEN}: {outcome.message}")
        for text in case.tree.healthy:
            if _left_out(gathering, case, text):
                continue
            held = ranking.holds(text, gathering.names(case))
            if held:
                shown.add(case.service)
            else:
                behind = _behind(gathering, case, text)
                said = "".join(
                    f"; {check.words.name or check.id}: {seen.message}"
                    for check, seen in behind
                    if seen.status == "made" and not seen.ok and seen.message
                )
                doubts.append(f"{case.subject}: {'not known' if held is None else 'not true'}: {text}{said}")
    for name in services:
        if name not in {case.service for case in cases}:
            doubts.append(f"{name}: no diagnosis tree examines services of kind {kind_of(book.inventory.services[name])}")
        elif name not in shown:
            doubts.append(f"{name}: no check shows that this service is healthy")
    return tuple(dict.fromkeys(doubts))


def _behind(gathering: Gathering, case: Case, text: str) -> list[tuple[Check, Made]]:
    """Return the outcomes of the checks to which the expression ``text`` refers."""
    names = {reference[0] for reference in template.references(text, bare=True)}
    return [(check, gathering.made[case, check.id]) for check in case.tree.checks if check.id in names]


def _left_out(gathering: Gathering, case: Case, text: str) -> bool:
    """Return True when ``text`` names a check that does not apply to this case, and that was therefore left out."""
    return any(outcome.status == "left out" for _, outcome in _behind(gathering, case, text))

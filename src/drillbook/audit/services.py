"""Services of an audit, counted by the best that the period proved of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drillbook.audit.coverage import CoverageRow
from drillbook.report.figures import count

RECOVERED = "broken and recovered in a run that passed"
EXAMINED = "only examined or rehearsed"
"""No passed run proved a fault active and then restored the service."""
UNPROVEN = "drilled without a pass"
UNDRILLED = "not drilled in this period"
EXEMPT = "exempt"


class Place(Protocol):
    """A row about a service in an environment."""

    @property
    def service(self) -> str:
        """Name of the service."""

    @property
    def environment(self) -> str:
        """Name of the environment."""


def named(row: Place, rows: Sequence[Place]) -> str:
    """Return the name of a service, with its environment if ``rows`` have several environments."""
    return f"{row.service} in {row.environment}" if len({one.environment for one in rows}) > 1 else row.service


def exempt(covered: Sequence[CoverageRow]) -> list[tuple[str, list[str]]]:
    """Return the services that are exempt from drills and had no run, by the reason in the inventory."""
    found: dict[str, list[str]] = {}
    for row in covered:
        if row.left_out and not row.runs:
            found.setdefault(row.left_out, []).append(named(row, covered))
    return sorted(found.items())


def sentence(covered: Sequence[CoverageRow]) -> str:
    """Return a sentence about the services. Its numbers add up: each service that is not exempt is counted once."""
    numbers = service_counts(covered)
    exempt = numbers.pop(EXEMPT)
    parts = [f"{number} {'was' if number == 1 else 'were'} {what}" for what, number in numbers.items() if number]
    text = f"Of {count(sum(numbers.values()), 'service')}, {', '.join(parts) or 'none is known'}"
    more = (
        f"{count(exempt, 'more service')} {'is' if exempt == 1 else 'are'} exempt from drills, for a reason in the inventory"
    )
    return f"{text}. {more}." if exempt else f"{text}."


def service_counts(covered: Sequence[CoverageRow]) -> dict[str, int]:
    """Return the number of services by the best that the period proved of them. Each service is counted once."""
    found = dict.fromkeys((RECOVERED, EXAMINED, UNPROVEN, UNDRILLED, EXEMPT), 0)
    for row in covered:
        found[_best(row)] += 1
    return found


def _best(row: CoverageRow) -> str:
    if row.recovered:
        return RECOVERED
    if row.passed:
        return EXAMINED
    if row.runs:
        return UNPROVEN
    return EXEMPT if row.left_out else UNDRILLED

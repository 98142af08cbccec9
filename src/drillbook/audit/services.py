"""Services of an audit, counted by their state at the end of the period."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drillbook.audit.coverage import CoverageRow
from drillbook.report.figures import count

RECOVERED = "broken and recovered in a run that passed"
LAPSED = "broken and recovered in a passed run, but the last verdict of one of its drills is `failed`"
"""State of a service that recovered in a passed run of one of its drills, while the last verdict of one of its drills is
`failed`. Runs that neither passed nor failed are ignored.
"""
EXAMINED = "only examined or rehearsed"
"""State of a service with passed runs, if the service recovered from a proven fault in none of these runs."""
UNPROVEN = "drilled without a pass"
NOT_RUN = "not run here"
"""State of a service if all its runs have the verdict `not run here`. Such a run did nothing, because a service that the
drill needs was not installed on the hosts.
"""
UNDRILLED = "not drilled in this period"
EXEMPT = "exempt"
BEST_RUN = "By the best run of each service in the period"
"""Beginning of the sentence with the number of services. It tells their number apart from that at the end of the period."""
EXEMPT_LEAD = (
    "No run drilled these services in the period. For each of them, the author of the inventory states why no drill is "
    "expected. Drillbook checks this statement only if the service is a backup: a run that passed must have restored the "
    "backup."
)


class Place(Protocol):
    """Protocol of a row that is about one service in one environment."""

    @property
    def service(self) -> str:
        """Name of the service."""

    @property
    def environment(self) -> str:
        """Name of the environment."""


def named(row: Place, rows: Sequence[Place]) -> str:
    """Return the name of a service, with its environment if ``rows`` have several environments."""
    return f"{row.service} in {row.environment}" if len({place.environment for place in rows}) > 1 else row.service


def exempt(covered: Sequence[CoverageRow]) -> list[tuple[str, list[str]]]:
    """Return the services that are exempt from drills and that no run drilled, as one list for each reason.

    The inventory states the reason for the exemption.
    """
    names_by_reason: dict[str, list[str]] = {}
    for row in covered:
        if row.left_out and not row.runs:
            names_by_reason.setdefault(row.left_out, []).append(named(row, covered))
    return sorted(names_by_reason.items())


def by_evidence(covered: Sequence[CoverageRow], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Group the services ``names``, which are exempt from drills, by the text that ``evidence_of`` returns for each.

    A backup can be such a service, too. Its text tells whether a run restored the backup and passed. The text of any other
    service is empty.
    """
    texts = {named(row, covered): evidence_of(row) for row in covered}
    names_by_text: dict[str, list[str]] = {}
    for name in names:
        names_by_text.setdefault(texts.get(name, ""), []).append(name)
    return sorted(names_by_text.items())


def evidence_of(row: CoverageRow) -> str:
    """Return a text that tells whether a run restored a backup and passed. It is for a backup that the inventory exempts from
    drills, because the drill of another service restores it. The result is empty for any other service, and for a backup
    of which the audit knows runs.
    """
    if not row.left_out or not row.backup_of or row.runs:
        return ""
    if row.restored:
        taken = f", with {row.taken}" if row.taken else ""
        return f"confirmed (a run that began on {row.restored[:10]} restored the backup and passed{taken})"
    return "NOT confirmed (no run of the period restored the backup and passed, or a later run failed)"


def sentence(covered: Sequence[CoverageRow]) -> str:
    """Return a sentence about the services and their best runs. Each service that is not exempt is counted once."""
    numbers = service_counts(covered)
    exempt = numbers.pop(EXEMPT)
    parts = [f"{number} {'was' if number == 1 else 'were'} {what}" for what, number in numbers.items() if number]
    text = f"{BEST_RUN}, of {count(sum(numbers.values()), 'service')} {', '.join(parts) or 'none is known'}"
    why = "a statement in the inventory" + (" or a retirement" if any(row.retired for row in covered) else "")
    more = f"{count(exempt, 'more service')} {'is' if exempt == 1 else 'are'} exempt from drills by {why}"
    return f"{text}. {more}." if exempt else f"{text}."


def service_counts(covered: Sequence[CoverageRow]) -> dict[str, int]:
    """Return the number of services by their state at the end of the period. Each service is counted once."""
    counts = dict.fromkeys((RECOVERED, LAPSED, EXAMINED, UNPROVEN, NOT_RUN, UNDRILLED, EXEMPT), 0)
    for row in covered:
        counts[_state(row)] += 1
    return counts


def _state(row: CoverageRow) -> str:
    if row.recovered:
        return LAPSED if row.lapsed else RECOVERED
    if row.passed:
        return EXAMINED
    if row.runs:
        return NOT_RUN if row.untried else UNPROVEN
    return EXEMPT if row.left_out else UNDRILLED

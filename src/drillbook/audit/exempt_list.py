"""Services that are exempt from drills, as the summary for management lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drillbook.audit import services
from drillbook.audit.coverage import CoverageRow
from drillbook.language.lists import leading
from drillbook.report.shortened import shortened

MOST, MOST_LETTERS = 4, 75
"""Limits of the list of exempt services, which has one line for each reason. ``MOST``: largest number of lines.
``MOST_LETTERS``: largest length of the reason, and of the names of its services, in a line.
"""
LEAD = "Exempt by a statement in the inventory; the audit tells which statements are confirmed by runs:"


@dataclass(frozen=True, slots=True)
class Exempt:
    """Services that are exempt from drills. ``listed``: pairs of two texts: names of services, and the reason why these
    services are exempt. ``more``: number of exempt services that are not listed.
    """

    listed: tuple[tuple[str, str], ...]
    more: int

    @property
    def sentence(self) -> str:
        """Sentence with the services in ``listed``, their reasons, and the number of further exempt services. It is empty
        if no service is exempt."""
        listed = ", ".join(f"{names} ({reason})" for names, reason in self.listed)
        return f"{LEAD} {listed}, and {self.more} more in the audit" if listed else ""


def of(covered: Sequence[CoverageRow]) -> Exempt:
    """Return the exempt services of an audit."""
    reasons = services.exempt(covered)
    shown, _ = leading(reasons, MOST)
    more = sum(len(names) for _, names in reasons[len(shown) :])
    listed = tuple(texts(names, reason) for reason, names in shown)
    return Exempt(listed, more)


def texts(names: Sequence[str], reason: str) -> tuple[str, str]:
    """Return the names of exempt services, and the reason that they share. If not all names fit, the others are only counted."""
    fitting = sum(len(", ".join(names[:number])) <= MOST_LETTERS for number in range(1, len(names) + 1))
    shown, others = leading(names, max(fitting, 1))
    text = ", ".join(shortened(name, MOST_LETTERS) for name in shown)
    return text + (f" and {others} more" if others else ""), shortened(reason, MOST_LETTERS)

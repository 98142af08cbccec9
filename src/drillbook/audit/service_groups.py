"""Groups of services in an audit, by the state of their recovery at the end of the period."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

from drillbook.report import remarks


class Group(IntEnum):
    """Group of a service in an audit. A lower number is a worse state."""

    FAILED = 0
    NOT_RUN = 1
    REHEARSED = 2
    INCOMPLETE = 3
    ONLY_RTO = 4
    RESERVED = 5
    PROVEN = 6


TITLES = {
    Group.FAILED: "Did not pass",
    Group.NOT_RUN: "Not run here",
    Group.REHEARSED: "Rehearsed only",
    Group.INCOMPLETE: "Not every objective is proven",
    Group.ONLY_RTO: "No drill has an RPO objective",
    Group.RESERVED: "Recovered in time, and the recovery point is met with a reservation",
    Group.PROVEN: "Fully proven",
}
"""Title of each group of services. It stands above the names of the services."""
NAMES = {
    Group.FAILED: "did not pass",
    Group.NOT_RUN: "not run here",
    Group.REHEARSED: "rehearsed only",
    Group.INCOMPLETE: "not every objective",
    Group.ONLY_RTO: "only the RTO proven",
    Group.RESERVED: "with a reservation",
    Group.PROVEN: "Fully proven",
}
"""Short name of each group, for a line that counts the services."""
SIGNS = {
    Group.FAILED: ("✗", "failed"),
    Group.NOT_RUN: ("○", "not-run-here"),
    Group.REHEARSED: ("?", "unverified"),
    Group.INCOMPLETE: ("?", "unverified"),
    Group.ONLY_RTO: ("?", "unverified"),
    Group.RESERVED: ("~", "unverified"),
    Group.PROVEN: ("✓", "passed"),
}
"""Symbol of each group, and the CSS class of its colour."""
PARTLY = {Group.RESERVED: "with a reservation", Group.ONLY_RTO: "without an RPO"}
"""Groups of services that recovered in every drill, but are not fully proven. The key of each entry is the group. The value
tells in words why its services are not fully proven.
"""
RULES = {
    Group.PROVEN: (
        "The newest run of each drill of the service passed, and every objective that these drills set was measured and met: "
        "at least one recovery time (RTO) and, where data is stored, one recovery point (RPO, the age of the lost data)."
    ),
    Group.RESERVED: "{reasons}.",
    Group.REHEARSED: (
        "Backups were restored or examined, but no service was broken and then recovered. So no objective is proven."
    ),
    Group.ONLY_RTO: "No drill of the service has an RPO objective.",
    Group.NOT_RUN: (
        "A drill needs services that are not installed where it ran, or its guard does not permit it there. So nothing was tried."
    ),
}
"""Explanations of the groups of services. The function ``rules`` puts the texts of ``REASONS`` that apply in place of
``{reasons}``.
"""
REASONS = {
    remarks.FRESH: "the recovery point was measured with a fresh backup, not with a routine backup",
    remarks.MISSING: "less data came back than the fault removed; the recovery point is met, but not measured for the restored data",
    remarks.UNKNOWN: "the recovery point covers the canary's own rows only",
}
"""Texts of the reasons for a reservation. The key of each entry is the reason."""


def rules(used: Collection[Group], marks: str) -> list[tuple[str, str]]:
    """Return the name and the explanation of each group in ``used``. The best group, ``PROVEN``, is always included.

    ``marks``: signs such as ``†`` beside the figures of the services in the group ``RESERVED``. Each sign refers to a
    remark.
    """
    known = remarks.reasons(marks)
    reasons = ", or ".join(text for key, text in REASONS.items() if key in known)
    shown = [(group, text) for group, text in RULES.items() if group in used or group is Group.PROVEN]
    return [(_title(NAMES[group]), _title(text.replace("{reasons}", reasons))) for group, text in shown]


def _title(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"

"""Alert of an audit: one thing that needs attention, with the next step, the person who takes it, and the time for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from drillbook.audit import lost_amounts
from drillbook.audit.findings import FindingRow
from drillbook.catalog import entries
from drillbook.installation.program_name import NEUTRAL
from drillbook.report.open_findings import GRAVE

AT_ONCE, NEXT_RUN, NEXT_RUNS = "at once", "before its next run", "before their next run"
SIGN_OFF = "before the sign-off"
NOBODY = "no owner named"
UNDO_WITH = "undo the changes with"
"""Words before the command of an alert about changes that are not undone."""
UNDO = f"{UNDO_WITH} `{NEUTRAL} drill.recover`"
"""Next step of an alert about the changes of several runs."""
AFTER = "After the correction: "
"""Words before the command of a next step that first asks for a correction."""
WHOLE = "restore the folders that the audit names from a backup of `reports/`, and repeat the audit"
"""Next step for a record that is not complete."""
SEVERE = ("critical", "high")
"""Severities of the findings that come before all others."""
OWN_DRILLS = {"postgres": "Break your own PostgreSQL"}
"""Page of the documentation with drills that break a service outside of the lab. The key of each entry is the kind."""
NOT_AT_ONCE = 4 + 2 * len(SEVERE)
"""First place, in the order of ``urgency``, of the alerts that ask for nothing at once."""


class Topic(StrEnum):
    """Subject of an alert. The value names it in a list of the alerts that a page leaves out."""

    RECORD = "the record"
    """Record of the period that is not complete."""
    RUN_AGAIN = "drills to repeat"
    """Drill that did not pass, is overdue, or has an objective that is not proven."""
    LEFT = "changes not undone"
    MISSING = "missing runs"
    UNFINISHED = "suites without an end"
    NEVER_DRILLED = "services never drilled"
    """Services that no run of the period drilled."""
    NEVER_RAN = "drills that never ran"
    FINDINGS = "drills with open findings"
    """Drill that passed, and has open findings."""
    NOT_RUN = "drills not run here"
    """Drill that its guard does not permit in the environment, or that needs services that are not installed."""
    RESERVED = "figures with reservations"
    GAPS = "months without a run"
    """Services that were not drilled in a part of the period. The unit may also be a quarter or a year."""
    OLD_BACKUPS = "routine backups too old"
    REHEARSED = "rehearsals only"
    NO_RPO = "services without an RPO"
    EXEMPT = "unconfirmed backups"
    OTHER = "other things"


PLANNER, KEEPER = "drill planner", "record keeper"
PEOPLE = {
    Topic.RECORD: KEEPER,
    Topic.MISSING: KEEPER,
    Topic.UNFINISHED: "owners of its drills",
    Topic.NEVER_RAN: "drill owners",
}
"""Person who takes the next step of an alert without a contact, by its topic. For other topics, this is ``PLANNER``."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that needs attention."""

    text: str
    step: str
    """Next step that the alert asks for."""
    who: str = ""
    """Contact of the drill's owner, who takes the next step. It is empty when another person does; see ``PEOPLE``."""
    when: str = ""
    """Time limit of the next step, such as ``at once``."""
    run: str = ""
    """Name of the run whose report tells more about the alert. It is empty when there is no such run."""
    about: str = ""
    """Drill and environment, such as ``api-down in lab``. It is empty when the alert is not about a single drill."""
    topic: Topic = Topic.OTHER
    severity: str = ""
    """Severity of the worst open finding of the drill. It is empty when the alert is not about an open finding."""
    lost: tuple[str, ...] = ()
    """Titles of the drill's open findings about lost data."""
    stopped: bool = False
    """True if the drill's newest run was stopped by a person or a signal. Nothing is broken then, and only a new run is
    needed.
    """
    missed: str = ""
    """Objectives that the drill's newest run missed, such as ``RTO``. It is empty if it failed for another reason, or did not fail."""
    rows: str = ""
    """Data of the service that did not come back in the drill's newest run, such as ``at least 18 rows lost``. The text contains it.
    It is empty if no such loss is known. Such an alert is never joined with those about drills that must run again.
    """
    otherwise: str = ""
    """Other choice, or another remark on the next step, which is written right after it. The summary has no room for it."""

    def __str__(self) -> str:
        return f"{self.text} {self.action}"

    @property
    def action(self) -> str:
        """Text with the next step, the person who takes it, and the time limit."""
        return f"Next: {self.step}{self.otherwise}. {self.deadline}"

    @property
    def deadline(self) -> str:
        """Text with the person who takes the next step, and the time limit."""
        return f"Who: {self.person}. When: {self.when}"

    @property
    def person(self) -> str:
        """Person who takes the next step."""
        return self.who or PEOPLE.get(self.topic, PLANNER)


def urgency(alert: Alert) -> int:
    """Return the place of ``alert`` in a list, from 0 for the most urgent alerts. An incomplete record comes first, then changes
    that are not undone. Alerts about open findings follow in the order of their severity, and among equals, lost data comes
    first. Rows of a service that the newest run lost are at least as severe as a missed objective. Then comes everything else to
    do at once.
    """
    severe = SEVERE.index(alert.severity) if alert.severity in SEVERE else len(SEVERE)
    severe = min(severe, SEVERE.index("high")) if alert.rows else severe
    if alert.topic is Topic.RECORD:
        return 0
    if alert.topic is Topic.LEFT:
        return 1
    if alert.lost:
        return 2 + 2 * severe
    if alert.when == AT_ONCE:
        return 3 + 2 * severe
    if alert.severity in SEVERE:
        return NOT_AT_ONCE
    return NOT_AT_ONCE + (1 if alert.topic is Topic.NEVER_DRILLED else 2)


def owner_of(owners: dict[tuple[str, str], str], environment: str, drill: str) -> str:
    """Return the contact of the owner of ``drill``. The key of ``owners`` is the environment and the drill."""
    return owners.get((environment, drill), NOBODY)


def joint_owner(owners: Iterable[str]) -> str:
    """Return the common owner of several drills, or `their owners` if they differ. ``owners``: owner of each drill."""
    different = set(owners)
    return different.pop() if len(different) == 1 else "their owners"


def drill_key(drill: str, environment: str) -> str:
    """Return the text for ``Alert.about`` that identifies a drill in one environment, such as ``api-down in lab``."""
    return f"{drill} in {environment}"


def is_open(row: FindingRow) -> bool:
    """Return True for an open finding of medium severity or higher."""
    return bool(row.open_now) and row.severity in GRAVE


def is_counted(row: FindingRow) -> bool:
    """Return True for a finding of medium severity or higher that lists count beside the newest run of the drill."""
    return bool(row.counted_now) and row.severity in GRAVE


def is_known(row: FindingRow) -> bool:
    """Return True for a finding of medium severity or higher that is open, or is a reason why the newest run never began. In both
    cases, its remedy is the next step.
    """
    return bool(row.known_now) and row.severity in GRAVE


def graded(alert: Alert, rows: Iterable[FindingRow]) -> Alert:
    """Return ``alert`` with the severity and the lost data of its drill. ``rows``: open findings of the drill, the worst
    first.
    """
    known = list(rows)
    lost = lost_amounts.titles(known, alert.rows)
    return replace(alert, severity=known[0].severity if known else "", lost=tuple(lost))


def catalog_command(kind: str = "") -> str:
    """Return the command that lists the shipped drills for a kind of service, or all of them."""
    return f"{NEUTRAL} catalog{f' --for {shlex.quote(kind)}' if kind else ''}"


def fault_drills(kind: str) -> str:
    """Return a text that tells where drills are which break a service of the kind ``kind``. The kind may be empty."""
    if kind and not entries.breaking(kind):
        return f"no shipped drill breaks a service of the kind {kind}: write one"
    own = f"; for your own server, see {OWN_DRILLS[kind]!r} in the documentation" if kind in OWN_DRILLS else ""
    return f"`{catalog_command(kind)} --faults` lists shipped drills{own}"

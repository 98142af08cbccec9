"""SDK: the interfaces that every system implements, both built-in systems and plugins.

Lives here: Host, Action, Probe, Service, Context, Undo, Store, backups in a store, service managers, limits for answers.
Lives elsewhere: every system (`systems`), implementations of hosts (`hosts`), the callers of actions (`engine`).

A plugin imports Drillbook's errors, findings and values from here, and everything else from the modules of this package.
"""

from drillbook.errors import (
    Cancelled,
    CommandFailed,
    CommandLost,
    CommandTimedOut,
    CouldNotVerify,
    DrillbookError,
    HostError,
    HostUnreachable,
    NotReady,
    PlanError,
    PrivilegeRefused,
    StepFailed,
)
from drillbook.findings import CRITICAL, HIGH, LOW, MEDIUM, Finding, Kind, Severity, finding
from drillbook.values import Duration, Handed, Secret, Size

__all__ = [
    "CRITICAL",
    "HIGH",
    "LOW",
    "MEDIUM",
    "Cancelled",
    "CommandFailed",
    "CommandLost",
    "CommandTimedOut",
    "CouldNotVerify",
    "DrillbookError",
    "Duration",
    "Finding",
    "Handed",
    "HostError",
    "HostUnreachable",
    "Kind",
    "NotReady",
    "PlanError",
    "PrivilegeRefused",
    "Secret",
    "Severity",
    "Size",
    "StepFailed",
    "finding",
]

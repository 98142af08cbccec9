"""Kind of a finding: the severity, the title and the remedy of its code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Severity of a finding. It tells how much the problem affects the recovery."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFORMATION = "information"
    """Severity of a finding about lost writes when the drill's RPO allows this loss. Only reports use this severity."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Severity, title and remedy of a finding code."""

    severity: Severity
    title: str
    remedy: str


CRITICAL, HIGH, MEDIUM, LOW = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW

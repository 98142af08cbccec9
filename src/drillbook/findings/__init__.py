"""Findings: what was wrong, in words that a person can act on, each with a stable code.

Lives here: the model of a finding, and the catalogue: title, severity and remedy of each code, in one file a subject.
Lives elsewhere: who notices what (`systems`, `engine`, `judge`), findings of a plugin (its own package).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from drillbook.findings import backups, content, runs, services
from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind, Severity

__all__ = ["CATALOGUE", "CRITICAL", "HIGH", "LOW", "MEDIUM", "Finding", "Kind", "Severity", "finding", "register"]


class Finding(BaseModel):
    """One thing that was wrong: what was wanted, what was measured, where the evidence is, what to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    severity: Severity
    title: str
    wanted: str = ""
    measured: str = ""
    evidence: tuple[str, ...] = Field(default=())
    remedy: str = ""
    step: str | None = None
    host: str | None = None


CATALOGUE: dict[str, Kind] = {**backups.FINDINGS, **content.FINDINGS, **services.FINDINGS, **runs.FINDINGS}
"""Every code."""


def register(more: Mapping[str, Kind]) -> None:
    """Add codes of a plugin. Raises ValueError for one that stands for something else already."""
    for code, kind in more.items():
        if CATALOGUE.get(code, kind) != kind:
            raise ValueError(f"the finding {code!r} is another one's already")
    CATALOGUE.update(more)


def finding(
    code: str,
    *,
    wanted: str = "",
    measured: str = "",
    evidence: tuple[str, ...] = (),
    title: str = "",
    remedy: str = "",
    step: str | None = None,
    host: str | None = None,
) -> Finding:
    """A finding with title, severity and remedy from the catalogue.

    ``title`` adds the particular to the general title; ``remedy`` replaces the catalogue's. Raises KeyError for
    a code that is not in the catalogue.
    """
    kind = CATALOGUE[code]
    return Finding(
        code=code,
        severity=kind.severity,
        title=f"{kind.title}: {title}" if title else kind.title,
        wanted=wanted,
        measured=measured,
        evidence=evidence,
        remedy=remedy or kind.remedy,
        step=step,
        host=host,
    )

"""Findings. A finding describes a problem in plain language, so that a person can act on it. It has a stable code.

Lives here: the model of a finding, and the catalogue (title, severity and remedy of each code) in files by topic.
Lives elsewhere: detecting problems (`systems`, `engine`, `judge`), findings of a plugin (its own package).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from drillbook.findings import backups, content, runs, services
from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind, Severity

__all__ = ["CATALOGUE", "CRITICAL", "HIGH", "LOW", "MEDIUM", "Finding", "Kind", "Severity", "finding", "register"]


class Finding(BaseModel):
    """One problem: what was wanted, what was measured, the evidence, and the remedy."""

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
"""All kinds of findings by their codes."""


def register(more: Mapping[str, Kind]) -> None:
    """Register the finding codes of a plugin. Raises ValueError when a code already has another meaning."""
    for code, kind in more.items():
        if CATALOGUE.get(code, kind) != kind:
            raise ValueError(f"the finding code {code!r} is already defined elsewhere")
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
    """Return a finding with the title, the severity and the remedy of its code in the catalogue.

    ``title``: details that are added to the general title. ``remedy``: text that replaces the general remedy. Raises
    KeyError for an unknown code.
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

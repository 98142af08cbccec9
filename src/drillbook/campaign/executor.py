"""Interface between a campaign and the part that carries out its drills: who, submit, wait, cancel."""

from __future__ import annotations

from typing import Protocol

from drillbook.campaign.attempt import Ending, Job


class Executor(Protocol):
    """Carries out jobs; each job ends exactly once in an answer of ``wait``."""

    @property
    def name(self) -> str:
        """Name of the executor, for the journal."""

    def who(self, job: Job) -> str | None:
        """Name the place that would carry out ``job`` now; None when no place can take it yet. It is recorded before the start."""

    def submit(self, job: Job) -> None:
        """Start ``job``; a job that was submitted before, by anybody, is examined and never drilled twice."""

    def wait(self, timeout_s: float) -> list[Ending]:
        """Return the jobs that ended, at least one; none after ``timeout_s`` seconds."""

    def cancel(self, job: Job) -> None:
        """Ask the drill of ``job`` to stop; it undoes its changes first, and ends in an answer of ``wait``."""

    def told(self) -> list[str]:
        """Describe the places that carry out jobs, for the operator."""

    def close(self) -> None:
        """Release the executor; drills that still run are left alone."""

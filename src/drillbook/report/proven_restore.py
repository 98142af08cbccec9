"""Decides if a run proved a restore: it recovered a service from a fault, or restored a backup. The audit, `drill.due` and the
metrics use the same rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from drillbook.judge.result import Result
from drillbook.judge.verdicts import Verdict
from drillbook.report import backup_origin, remarks
from drillbook.report.restore_steps import Told, restores

MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
"""Exceptions that may be raised while a malformed ``result.json`` is read, because a part is missing or is of another
type."""


def proves(data: Any) -> bool:
    """Return True when a run proved a restore. ``data``: content of the run's ``result.json``. A malformed result proves
    nothing.
    """
    try:
        return Outcome.of_data(data).proven
    except MALFORMED:
        return False


def only_of_drills(data: Any) -> bool:
    """Return True when a run restored backups, and all of them were taken by the run itself, by an earlier run of a drill, or while a
    drill ran. Such a run proves a restore of its service, but not of a routine backup. ``data``: content of the run's ``result.json``.
    """
    try:
        steps, started = remarks.steps_of(data.get("steps") or []), str(data.get("started"))
        return bool(told := restores(steps)) and all(
            remarks.fresh(step, steps, started) == remarks.MARK or backup_origin.not_routine_of(step, steps) for step in told
        )
    except MALFORMED:
        return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The part of a result that tells whether a restore was proven."""

    verdict: str
    disrupted: bool
    """True when the time at which the fault began is known."""
    codes: Collection[str]
    """Codes of the findings."""
    restore_done: bool
    """True when the restore phase ended well."""
    steps: Sequence[Told]

    @classmethod
    def of(cls, result: Result, verdict: str = "") -> Self:
        """Make the outcome of a run. ``verdict``: verdict that the journal confirms; default: that of ``result``."""
        return cls(
            verdict or result.verdict,
            result.clocks.get("disruption_s") is not None,
            {item.code for item in result.findings},
            any(phase.phase == "restore" and phase.status == "done" for phase in result.phases),
            result.steps,
        )

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Self:
        """Make the outcome of a run from its ``result.json``. Fields that are missing in an old result prove nothing."""
        phases = data.get("phases") or []
        return cls(
            str(data.get("verdict")),
            (data.get("clocks") or {}).get("disruption_s") is not None,
            {item.get("code") for item in data.get("findings") or []},
            any(phase.get("phase") == "restore" and phase.get("status") == "done" for phase in phases),
            remarks.steps_of(data.get("steps") or []),
        )

    @property
    def recovered(self) -> bool:
        """True when the run passed, its fault was proven active, and its restore phase succeeded."""
        return self.verdict == Verdict.PASSED and self.disrupted and "fault-unproven" not in self.codes and self.restore_done

    @property
    def restored(self) -> bool:
        """True when the run passed and restored a backup, for example into a sandbox."""
        return self.verdict == Verdict.PASSED and bool(restores(self.steps))

    @property
    def proven(self) -> bool:
        """True when the run proved a restore. A run that only examines something, or runs commands, proves none."""
        return self.recovered or self.restored

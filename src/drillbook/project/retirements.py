"""Retirements of drills and environments that no longer exist. They are entries of the record ``reports/schedule.jsonl``.

A retired drill or environment is not reported as missing or overdue any more. A later run ends the retirement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from drillbook.project.schedule_record import RETIRED, Entry
from drillbook.report.figures import moment


@dataclass(frozen=True, slots=True)
class Retirement:
    """Statement, made by a person, that a drill or an environment no longer exists."""

    at: str
    drill: str
    """Name of the drill or suite. It is empty when the whole environment is retired."""
    environment: str
    """Name of the environment. It is empty when the drill is retired in all environments."""
    by: str
    reason: str

    @property
    def said(self) -> str:
        """Text with the date of the retirement, the person who recorded it, and the reason."""
        return f"retired on {self.at[:10]} by {self.by}: {self.reason}"

    @property
    def subject(self) -> str:
        """Text that names the retired drill or environment."""
        where = f" in {self.environment}" if self.environment else ""
        return f"{self.drill}{where}" if self.drill else f"all drills and services{where}"

    def covers(self, drill: str, environment: str) -> bool:
        """Return True when the retirement is about ``drill`` in ``environment``."""
        return self.drill in ("", drill) and self.environment in ("", environment)


def of(entries: Iterable[Entry]) -> list[Retirement]:
    """Return the retirements among ``entries``, the lines of ``reports/schedule.jsonl``, in the order of the lines. A
    retirement says that a drill or an environment no longer exists.
    """
    return [
        Retirement(entry.at, entry.drill, entry.environment, entry.by, entry.message)
        for entry in entries
        if entry.kind == RETIRED
    ]


def in_force(retirements: Sequence[Retirement], runs: Iterable[tuple[str, str, str]]) -> list[Retirement]:
    """Return the retirements that are still valid. A retirement ends when the drill runs again in the environment.
    ``runs``: drill, environment and start of each run.
    """
    begun = [(drill, environment, at) for drill, environment, started in runs if (at := moment(started))]
    return [
        retirement
        for retirement in retirements
        if (since := moment(retirement.at))
        and not any(at > since for drill, place, at in begun if retirement.covers(drill, place))
    ]


def places(entries: Iterable[Entry], newest: Mapping[tuple[str, str], str], there: Iterable[str]) -> set[str]:
    """Return the environments that are retired and that no inventory names.

    ``entries``: lines of ``schedule.jsonl``. ``newest``: start of the newest run of each drill in each environment. ``there``:
    environments of the inventories.
    """
    runs = ((drill, place, at) for (drill, place), at in newest.items())
    retired = in_force(of(entries), runs)
    return {retirement.environment for retirement in retired if not retirement.drill} - set(there)

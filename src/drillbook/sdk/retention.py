"""Retention of stored backups: the rule of a store, and the choice of the backups that have expired.

All functions are pure.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.sdk.backup_history import AHEAD_S


class Keep(BaseModel):
    """Rule that says how long backups of drills are kept.

    A backup expires when neither `last` nor `days` keeps it any more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    last: Annotated[
        int | None,
        Field(ge=1, description="Number of newest backups to keep for each combination of service, kind and folder."),
    ] = None
    days: Annotated[int | None, Field(ge=1, le=36500, description="Days for which every backup is kept.")] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.last is None and self.days is None:
            raise ValueError("write `last`, `days` or both, such as {last: 5, days: 30}")
        return self

    def __str__(self) -> str:
        parts = [
            f"the last {self.last} backups of each series (service, kind, folder)" if self.last else "",
            f"all backups of the last {self.days} days" if self.days else "",
        ]
        return " and ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Aged:
    """A stored backup with the properties that a retention rule uses.

    Backups with the same ``series`` belong together: newer backups replace older backups.
    """

    key: str
    series: Hashable
    at: datetime
    """Time when the backup was taken, with a time zone."""
    proven: bool
    """True when a step verified the backup."""


def expired(backups: Iterable[Aged], keep: Keep, now: datetime) -> list[Aged]:
    """Return the backups that have expired at the time ``now`` under the rule ``keep``, oldest first.

    The newest backup and the newest verified backup of each series always stay. A backup whose time is in the future
    stays, too. It does not count as the newest backup, because its time comes from a wrong clock.
    """
    series: dict[Hashable, list[Aged]] = {}
    for candidate in sorted(backups, key=lambda backup: backup.at, reverse=True):
        if (candidate.at - now).total_seconds() <= AHEAD_S:
            series.setdefault(candidate.series, []).append(candidate)
    outdated = [aged for members in series.values() for aged in _expired(members, keep, now)]
    return sorted(outdated, key=lambda backup: backup.at)


def _expired(members: list[Aged], keep: Keep, now: datetime) -> Iterable[Aged]:
    """Return the expired backups of one series. ``members``: all backups of the series, newest first."""
    proven = next((member for member in members if member.proven), None)
    since = now - timedelta(days=keep.days) if keep.days else now + timedelta(seconds=AHEAD_S)
    return [member for member in members[keep.last or 1 :] if member is not proven and member.at < since]

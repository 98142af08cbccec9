"""One backup in the list of a backup source: its name, its time, and the facts about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from drillbook.findings import Finding
from drillbook.sdk.backup_history import too_old_by_record
from drillbook.sdk.context import Facts


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup from a backup source."""

    id: str
    """Name of the backup in its backup tool. It is unique in its source."""
    taken_at: datetime
    """Time of the data in the backup, in UTC: the backup holds the data as it was at this time. A backup that a command prints
    is an exception: this is then the start of the command, and the time of the data is unknown.
    """
    basis: str
    """Text about the source of ``taken_at``: the field of the backup tool, and the clock that set this field."""
    error_s: float = 0.0
    """Largest known error of ``taken_at``, in seconds."""
    bytes: int | None = None
    """Size of the backup in bytes. It is None when the backup tool does not report it."""
    until: datetime | None = None
    """For sources with point-in-time recovery: newest time to which this backup can be restored. It is None for other sources.
    """
    began: datetime | None = None
    """Time at which the backup began, according to a record in the backup itself. The data is from then. It is None if the backup
    has no such record.
    """
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further facts about the backup from the list of the backup tool, as JSON values."""

    @property
    def newest_moment(self) -> datetime:
        """Time of the newest data that a restore of this backup can bring back."""
        return self.until or self.taken_at

    def as_facts(self) -> Facts:
        """Return the backup as facts."""
        return {
            "id": self.id,
            "taken_at": stamp(self.taken_at),
            "basis": self.basis,
            "error_s": self.error_s,
            "bytes": self.bytes,
            **({"until": stamp(self.until)} if self.until else {}),
            **self.facts,
        }


UNKNOWN_S = "the duration of the backup job is unknown, and is not included in the error of this time"
"""End of a text about the time of a backup if the data may be older than this time by an unknown duration."""


def stamp(moment: datetime) -> str:
    """Format ``moment`` in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def began_too_long_ago(
    backup: Backup, began: datetime, *, at: datetime, max_age: float | None, every: float | None
) -> list[Finding]:
    """Return the finding of ``too_old_by_record`` for a ``backup`` that began at the time ``began`` by its own record."""
    told = f"begun at {stamp(began)}, by its own record (its time in the list is {stamp(backup.taken_at)})"
    return too_old_by_record(backup.id, began, told, at=at, max_age=max_age, every=every)

"""Base of backup sources: backups that a team takes with its own tools, listed in the inventory under `backups`.

Each kind of source (pg_dump, restic, ...) has a class that runs its backup tool. Through this interface, the actions
`backup.*` list, check, measure and restore backups of every kind.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.in_place import InPlace
from drillbook.sdk.sandbox import Sandbox, Sandboxed
from drillbook.sdk.service import Service, kind_of
from drillbook.values import Duration

AHEAD_S = 60.0
"""Seconds by which the clock of a backup's time may be ahead of the controller's clock."""
END = datetime.max.replace(tzinfo=UTC)
"""Target of a point-in-time recovery that means the end of the archived log."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup of a source."""

    id: str
    """Name of the backup in its backup tool; unique in its source."""
    taken_at: datetime
    """Time of the data in the backup, in UTC."""
    basis: str
    """Description of the field and the clock that ``taken_at`` was read from."""
    error_s: float = 0.0
    """Maximum error of ``taken_at`` in seconds, as far as it is known."""
    bytes: int | None = None
    """Size in bytes; None when the backup tool does not report a size."""
    until: datetime | None = None
    """For sources with point-in-time recovery: newest moment to which the backup can be restored; otherwise None."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further results of the listing, as JSON."""

    @property
    def newest_moment(self) -> datetime:
        """Newest moment that a restore of this backup can reach."""
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


@dataclass(frozen=True, slots=True)
class Checked:
    """Result of the verification of one backup by its backup source."""

    findings: tuple[Finding, ...]
    covered: tuple[str, ...]
    """Checks that were carried out, such as ``every byte was read``."""
    not_covered: tuple[str, ...]
    """Problems that these checks cannot detect, such as ``rows that are missing in the dump``."""
    facts: Mapping[str, Any] = field(default_factory=dict)


class BackupSource(Service):
    """Base of all kinds of backup sources. ``name`` is the source's key under `backups` in the inventory."""

    RUNS: ClassVar[bool] = False
    RESTORES_TO: ClassVar[tuple[str, ...]] = ()
    """Kinds of sandboxes into which a backup of this source can be restored."""
    RESTORES_IN_PLACE: ClassVar[tuple[str, ...]] = ()
    """Kinds of services whose lost data can be restored in place from a backup of this source; see ``in_place``."""
    PROGRAMS: ClassVar[tuple[str, ...]] = ()
    """Programs that the host of the source needs."""

    service: str = Field(default="", description="Name of the service whose data is backed up.")
    max_age: Duration | None = Field(default=None, gt=0, description="Age above which the newest backup is too old.")
    every: Duration | None = Field(
        default=None, gt=0, description="Schedule: a longer gap between two backups is a finding."
    )

    @property
    def lock_name(self) -> str:
        """Name of the lock for the source on its host: kind and name."""
        return f"backup-{re.sub(r'[^A-Za-z0-9._-]', '_', self.name)}"

    @property
    def searched(self) -> str:
        """Place and names that a list of backups covers, as the end of the words `found none`; empty when the tool tells them."""
        return ""

    @abstractmethod
    def backups(self, ctx: Context) -> list[Backup]:
        """List the backups in any order, read-only. ``ctx.host`` is the host of the source.

        Raises StepFailed with findings, CouldNotVerify, HostError.
        """

    @abstractmethod
    def check(self, ctx: Context, backup: Backup) -> Checked:
        """Verify one backup where it is stored: run the backup tool's own verification, and read every byte.

        Problems of the backup are findings in the result; errors of the check itself raise StepFailed, CouldNotVerify,
        HostError.
        """

    @abstractmethod
    def restore(self, ctx: Context, backup: Backup, box: Sandbox, at: datetime | None) -> Facts:
        """Restore a backup into the sandbox ``box``, whose folder is still empty, and start a server if the sandbox has one.

        ``at`` is the target of a point-in-time recovery, or END for the newest moment; None means the time of the backup.
        ``ctx.host`` is the sandbox's host. Returns ``bytes`` restored and ``seconds`` by stage. Raises StepFailed with
        findings, HostError.
        """

    def in_place(self, ctx: Context, service: Service) -> InPlace:
        """Return the object that restores backups into ``service`` itself.

        Raises NotReady for kinds not in ``RESTORES_IN_PLACE``.
        """
        raise NotReady(
            f"backups of kind {kind_of(self)} can only be restored into a sandbox, not into {service.name}",
            hint="use a service with `sandbox: {}`; see docs/sandbox.md",
        )

    def ready(self, ctx: Context) -> None:
        """Check that the host has the programs, and that the backups can be read. Raises NotReady."""
        need_programs(ctx, self.PROGRAMS)

    def ready_sandbox(self, ctx: Context, service: Sandboxed) -> None:
        """Check that the sandbox's host, ``ctx.host``, has everything that a restore needs. Raises NotReady."""


def source_of(ctx: Context, name: str) -> BackupSource:
    """Return the backup source ``name``. Raises PlanError when the inventory has no backup source of that name."""
    return ctx.service(name, BackupSource)  # type: ignore[type-abstract]  # every source is of a concrete kind


def stamp(moment: datetime) -> str:
    """Format ``moment`` in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def newest(source: BackupSource, backups: Sequence[Backup]) -> Backup:
    """Return the backup with the newest moment. Raises StepFailed when there are no backups."""
    if not backups:
        raise no_backup(source, "at least one backup", f"none{source.searched}")
    return max(backups, key=lambda backup: (backup.newest_moment, backup.id))


def chosen(source: BackupSource, found: Sequence[Backup], at: str, only: str = "") -> tuple[Backup, datetime | None]:
    """Return the backup that ``at`` selects, and the target time of a point-in-time recovery, or None.

    ``at`` is ``latest``, the id of a backup, or a time in ISO 8601 with UTC offset, which selects the newest backup up to
    that time. With point-in-time recovery, ``latest`` means the end of the archived log (END). With ``only``, only the
    backup with this id is considered. Raises StepFailed when no backup matches, ValueError for a time without an offset.
    """
    backups = [backup for backup in found if backup.id == only] if only else found
    if only and not backups:
        raise no_backup(source, f"the backup {only}", f"{len(found)} others")
    if at == "latest":
        latest = newest(source, backups)
        return latest, END if latest.until is not None else None
    for backup in backups:
        if backup.id == at:
            return backup, None
    moment = parsed_moment(at)
    if moment is None:
        raise no_backup(source, f"the backup {at}", f"{len(backups)} others")
    before = [backup for backup in backups if backup.taken_at <= moment]
    if not before:
        raise no_backup(source, f"a backup of {stamp(moment)} or before", "only newer ones")
    best = max(before, key=lambda backup: (backup.taken_at, backup.id))
    if best.until is not None and best.until < moment:
        raise no_backup(source, f"a recovery to {stamp(moment)}", f"its log ends at {stamp(best.until)}")
    return best, moment if best.until is not None else None


def parsed_moment(text: str) -> datetime | None:
    """Parse a time in ISO 8601; None for any other text. Raises ValueError when the UTC offset is missing."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset from UTC; write {text}Z or {text}+02:00")
    return moment


def no_backup(source: BackupSource, wanted: str, measured: str) -> StepFailed:
    """Return the error that the source does not have the ``wanted`` backup."""
    return StepFailed(
        f"{source.name} does not have the backup: wanted {wanted}, found {measured}",
        findings=[finding("backup-missing", title=source.name, wanted=wanted, measured=measured)],
    )


def need_programs(ctx: Context, programs: Sequence[str], *, hint: str = "") -> None:
    """Check that the step's host has ``programs``. Raises NotReady, which names all that are missing."""
    if not programs:
        return
    if missing := ctx.missing(*programs):
        raise NotReady(f"{ctx.host.name} has no {', '.join(missing)}", hint=hint or "install what is missing on that host")

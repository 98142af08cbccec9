"""Interface for restores in place: a backup is restored into the service that lost its data. Also contains the base classes
of the actions that verify and restore backups.

``BackupSource.in_place`` returns an ``InPlace`` when the source supports such restores. A restore never overwrites data of
the service: it begins only when the service has lost its data. It may replace files of an earlier attempt of the same step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from drillbook.errors import DrillbookError
from drillbook.sdk.action import Context, Facts, Read, Undo, Write
from drillbook.sdk.backup import Backup
from drillbook.sdk.identity import Identity, host_place
from drillbook.sdk.sandbox_config import SandboxConfig
from drillbook.sdk.service import Service
from drillbook.values import Size

UNLIMITED = Size(1 << 50)
CANARY_COLUMNS = ("run_id", "record_number")
"""All columns of a table that `sql.canary` created, in their order.

A drill can choose the name of this table. Therefore, when a server is compared with an older backup, this table is
recognised by its columns, their types and its primary key.
"""


class VerifiesSource(Read):
    """Base of actions that verify a backup.

    The field `service` names the backup source. The fact ``backup`` describes the backup.
    """


class RestoresSource(Write):
    """Base of actions that restore a backup into `service`, which is a sandbox or has lost its data.

    The field `from` names the backup source. The fields ``at`` and ``backup`` select the backup.
    """

    def facts_of(self, ctx: Context, backup: Backup) -> Facts:
        """Return the restored ``backup`` as facts. A drill of the same service may have run when it was taken: the fact
        ``taken_during`` then names this drill, because such a backup is perhaps no routine backup.
        """
        drill = ""
        with suppress(DrillbookError, OSError):  # the data is restored, also if earlier runs cannot be read
            drill = ctx.drilled(backup.taken_at)
        return backup.as_facts() | ({"taken_during": drill} if drill else {})

    def unlike(self, place: InPlace, backup: Backup, checked: Facts) -> str:
        """Return the reason why ``backup`` cannot restore the data that a fault will destroy. The result is empty when it
        can.

        By default, the whole service is compared with the backup, by ``place.unlike``. An action that restores only a part
        of the service overrides this method, and compares only this part.
        """
        return place.unlike(backup, checked)


@dataclass(frozen=True, slots=True)
class InPlace(ABC):
    """Restore of a backup from one source into the original service. ``ctx.host`` is the host of the service."""

    ctx: Context
    service: Service

    @abstractmethod
    def ready(self) -> None:
        """Check on the host that a restore is possible.

        The service still has its data. Raises NotReady when a restore is impossible.
        """

    @abstractmethod
    def unlike(self, backup: Backup, checked: Facts) -> str:
        """Return the reason why ``backup`` cannot restore the service as it is now, such as a missing part.

        The reason is empty when the backup can restore the service.
        This method is called right before a fault that only this restore can undo. ``checked``: facts of the verification of
        the backup. Raises CouldNotVerify or StepFailed when the comparison fails, and HostError when the host cannot be
        used.
        """

    @abstractmethod
    def restore(self, backup: Backup, at: datetime | None) -> Facts:
        """Restore ``backup`` into the service. Clients are admitted only after the restored data was verified.

        ``at`` has the same meaning as in ``BackupSource.restore``. The fact ``seconds`` contains the duration of each
        stage. Raises StepFailed with findings when the restore fails, and HostError when the host fails.
        """

    @abstractmethod
    def undo(self) -> Undo:
        """Return the undo of the restore. This undo changes nothing after a complete restore, and removes or reverts an
        unfinished restore.
        """

    @abstractmethod
    def active(self) -> bool | None:
        """Return True while an unfinished restore of this run exists."""

    @abstractmethod
    def identity(self) -> Identity | None:
        """Measure the identity of the service's data, in the same way as the faults and comparisons of the service do."""


def beside(folder: str) -> SandboxConfig:
    """Return the settings of the folder in which a restore in place prepares the data. The folder is next to the folder with
    the service's data.

    The settings contain no limits for memory and disk, because the folder needs as much space as the data of the service.
    Only the free space of the file system limits the folder.
    """
    return SandboxConfig(folder=folder, isolation="none", data_may_leave=True, memory=UNLIMITED, disk=UNLIMITED)


def evidence_of_run(ctx: Context, name: str) -> list[Path]:
    """Return the evidence files that the steps of this run stored under ``name``, sorted by file name."""
    return sorted((ctx.folder / "evidence").glob(f"*.{name}*"))


def lies_in(ctx: Context, source: Service, folder: str) -> str:
    """Return a message if backups of ``source`` are inside ``folder`` on the step's host, and would be lost together with it.

    The message is empty when the backups are elsewhere.
    """
    here = host_place(ctx.host.name, ctx.hosts)
    paths = [kept.path for kept in source.kept_in if host_place(kept.host, ctx.hosts) == here]
    if not paths:
        return ""
    output = ctx.run("realpath", "-m", "--", folder, *paths)
    lost, *real = output.text.splitlines() if output.ok else [folder, *paths]
    if any(PurePosixPath(path).is_relative_to(lost) for path in real):
        return f"the backup is in {folder}, which the fault destroys"
    return ""

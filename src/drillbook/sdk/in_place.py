"""Interface for restores of a backup into the original service after its data was lost, and base classes of the actions.

A backup source that supports this returns an ``InPlace`` from ``BackupSource.in_place``. Nothing is overwritten: the service
has lost its data, or has only files of an earlier attempt of the same step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from drillbook.sdk.action import Context, Facts, Read, Undo, Write
from drillbook.sdk.identity import Identity, host_place
from drillbook.sdk.sandbox import SandboxConfig
from drillbook.sdk.service import Service
from drillbook.values import Size

if TYPE_CHECKING:
    from drillbook.sdk.backup_source import Backup


UNLIMITED = Size(1 << 50)


class VerifiesSource(Read):
    """Base of actions that verify a backup: `service` names the backup source; the fact ``backup`` describes the verified backup."""


class RestoresSource(Write):
    """Base of actions that restore a backup into `service`, which is a sandbox or a service without data.

    `from` names the backup source; ``at`` and ``backup`` select the backup.
    """


@dataclass(frozen=True, slots=True)
class InPlace(ABC):
    """Restore of a backup of one source into the original service. The host of ``ctx`` is the host of the service."""

    ctx: Context
    service: Service

    @abstractmethod
    def ready(self) -> None:
        """Check the requirements of the restore on the host, while the service still has its data. Raises NotReady."""

    @abstractmethod
    def unlike(self, backup: Backup, checked: Facts) -> str:
        """Reason why ``backup`` cannot restore the service as it is now, such as a missing part; empty if it can.

        Called right before a fault that only this restore can undo; ``checked`` are the facts of the verification. Raises
        CouldNotVerify, StepFailed, HostError.
        """

    @abstractmethod
    def restore(self, backup: Backup, at: datetime | None) -> Facts:
        """Restore ``backup`` into the service; clients are admitted only after the restored data was verified.

        ``at`` as in ``BackupSource.restore``. Returns facts with ``seconds`` by stage. Raises StepFailed with findings,
        HostError.
        """

    @abstractmethod
    def undo(self) -> Undo:
        """Return the undo: it keeps a complete restore, and removes or reverts an unfinished one."""

    @abstractmethod
    def active(self) -> bool | None:
        """Return True while an unfinished restore of this run exists."""

    @abstractmethod
    def identity(self) -> Identity | None:
        """Measure the identity of the service's data in the same way as the service's faults and comparisons."""


def beside(folder: str) -> SandboxConfig:
    """Return the settings of a folder beside the service's data, in which a restore in place prepares the data.

    It has no budget: it contains what the service itself needs, so that only the free space of the file system limits it.
    """
    return SandboxConfig(folder=folder, isolation="none", data_may_leave=True, memory=UNLIMITED, disk=UNLIMITED)


def evidence_of_run(ctx: Context, name: str) -> list[Path]:
    """Return the evidence files that any step of this run stored under ``name``, sorted by their names."""
    return sorted((ctx.folder / "evidence").glob(f"*.{name}*"))


def lies_in(ctx: Context, source: Service, folder: str) -> str:
    """Return a reason if the backups of ``source`` are in ``folder`` on the step's host, and would be lost with it;
    otherwise empty.
    """
    here = host_place(ctx.host.name, ctx.hosts)
    paths = [kept.path for kept in source.kept_in if host_place(kept.host, ctx.hosts) == here]
    if not paths:
        return ""
    output = ctx.run("realpath", "-m", "--", folder, *paths)
    lost, *real = output.text.splitlines() if output.ok else [folder, *paths]
    if any(PurePosixPath(path).is_relative_to(lost) for path in real):
        return f"it is in {folder}, which the fault destroys"
    return ""

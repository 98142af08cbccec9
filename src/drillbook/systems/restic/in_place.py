"""Restores a folder from a restic snapshot to its original place, after the folder was deleted."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from drillbook.errors import StepFailed
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.backup_source import Backup
from drillbook.sdk.service import Service
from drillbook.systems.files.in_place import FolderInPlace
from drillbook.systems.restic.repository import Repository


class Opener(Protocol):
    """Methods of the restic source that the restore calls."""

    def opened(self, ctx: Context) -> AbstractContextManager[Repository]:
        """Yield the repository as seen from the step's host."""

    def saved_as(self, repository: Repository, backup: Backup, path: str) -> str:
        """Return the path inside the snapshot where the files of ``path`` are. The result is empty when they are not in the
        snapshot.
        """

    def ready_sandbox(self, ctx: Context, service: Service) -> None:
        """Check that the host has restic and can reach the repository."""


@dataclass(frozen=True, slots=True)
class ResticInPlace(FolderInPlace):
    """Restore of one folder from a snapshot."""

    source: Opener

    def ready(self) -> None:
        """Check that the folder can be restored, and that its host has restic and can reach the repository."""
        FolderInPlace.ready(self)
        self.source.ready_sandbox(self.ctx, self.service)

    def names(self, backup: Backup, checked: Facts) -> set[str]:
        """List the entries of the folder in the snapshot."""
        with self.source.opened(self.ctx) as repository:
            top = self.source.saved_as(repository, backup, self.path)
            if not top:
                raise StepFailed(
                    f"the snapshot {backup.id} contains no entry for the folder {self.path} itself, so a restore "
                    "would lose the folder's owner and permissions; back up the folder by its path, not as `.`"
                )
            sink = Answer(f"{self.ctx.host.name}: the list of files in the backup {backup.id}")
            repository.call("ls", "--json", backup.facts["snapshot"], top, sink=sink)
        rows = [json.loads(line) for line in sink.text.splitlines() if line.strip()]
        paths = [PurePosixPath(row["path"]) for row in rows if "path" in row]
        return {path.name for path in paths if str(path.parent) == top}

    def fetch(self, backup: Backup, folder: str) -> Facts:
        """Restore the folder from the snapshot, and read every restored file again to verify it."""
        with self.source.opened(self.ctx) as repository:
            top = self.source.saved_as(repository, backup, self.path)
            only = ("--include", top) if top else ()
            words = ("restore", "--json", "--quiet", "--verify", "--target", folder, *only, backup.facts["snapshot"])
            done = repository.call(*words)
        summary = json.loads(done.text.splitlines()[-1])
        return {"bytes": int(summary["total_bytes"])}

"""Proving a backup where it lies: its manifest is the pinned one, every byte is as it was, and a server loads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.transfer import Carrier
from drillbook.systems.redis import manifest as manifests
from drillbook.systems.redis.manifest import Manifest


@contextmanager
def scratch(ctx: Context, name: str) -> Iterator[str]:
    """A folder on the step's host with an empty folder ``files`` in it, removed at the end."""
    with ctx.temporary(name) as path:
        ctx.run("mkdir", "-m", "700", "--", f"{path}/files").check()
        yield path


@dataclass(frozen=True, slots=True)
class Proof:
    """One backup in a store; ``origin`` carries the digest of its manifest."""

    ctx: Context
    store: Store
    origin: Reference

    def manifest(self) -> Manifest:
        """The manifest, once the store shows every file in its size. Raises StepFailed with a finding for each."""
        backup = manifests.read(self.store, self.origin)
        wrong = stored_backup.present(self.store, self.origin, {name: one.size for name, one in backup.files.items()})
        if wrong:
            raise StepFailed(f"the backup in {self.origin} is not whole: {stored_backup.summary(wrong)}", findings=wrong)
        return backup

    def fetch(self, backup: Manifest, folder: str) -> None:
        """Bring the files to ``folder``/files on the host and compare every one.

        Raises StepFailed with a finding for each file that is not as it was.
        """
        carrier = Carrier(self.ctx.host, self.ctx.deadline, folder)
        problems = carrier.fetch(f"{folder}/files", backup.listed(), self.store, self.origin.key)
        wrong = [
            finding(f"backup-{one.kind}", title=one.name, wanted=one.wanted, measured=one.measured, host=self.ctx.host.name)
            for one in problems
            if one.kind != "error"
        ]
        if wrong:
            raise StepFailed(f"the backup in {self.origin} is damaged: {stored_backup.summary(wrong)}", findings=wrong)
        if problems:
            said = "; ".join(f"{one.name}: {one.measured}" for one in problems[:3])
            raise StepFailed(f"{self.ctx.host.name} could not fetch {len(problems)} files: {said}")

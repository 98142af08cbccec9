"""Proving a backup where it lies: its manifest is the pinned one, every file is there, and every byte is as it was."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk import stored_backup
from drillbook.sdk.action import Context
from drillbook.sdk.answers import Ignored
from drillbook.sdk.host import Output
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.transfer import Carrier, File
from drillbook.systems.postgres import manifest as manifests
from drillbook.systems.postgres.dump import ARCHIVE
from drillbook.systems.postgres.manifest import Manifest
from drillbook.systems.postgres.tools import Tools

_WRONG = re.compile(r"\b(error|ERROR|FATAL|PANIC):|warning: errors ignored")


def must_be_right(ctx: Context, what: str, output: Output, tolerated: Collection[str] = ()) -> None:
    """Raise StepFailed when a tool failed or reported an error, whatever its exit status says.

    ``tolerated`` are messages that may stand in its error lines; with them alone, statuses 1 and 3 are fine.
    """
    lines = output.stderr.decode("utf-8", "backslashreplace").splitlines()
    errors = [line for line in lines if _WRONG.search(line) and not any(one in line for one in tolerated)]
    if not errors and (output.ok or (output.exit in (1, 3) and tolerated)):
        return
    evidence = ctx.evidence(f"{what}.stderr.txt", output.stderr)
    measured = f"status {output.exit}; " + " | ".join(errors[:5] or lines[-3:])
    raise StepFailed(
        f"{ctx.host.name}: {what} reported errors",
        findings=[
            finding(
                "restore-errors",
                title=what,
                wanted="status 0 and no error line",
                measured=measured[:1500],
                evidence=(str(evidence["file"]),),
                host=ctx.host.name,
            )
        ],
    )


def carry(ctx: Context, store: Store, origin: Reference, files: Sequence[File], folder: str) -> None:
    """Bring ``files`` of the backup at ``origin`` to a new ``folder`` on the step's host, comparing each on the way.

    Raises StepFailed with a finding for each file that is not as it was.
    """
    ctx.run("mkdir", "-m", "700", "--", folder).check()
    problems = Carrier(ctx.host, ctx.deadline, ctx.scratch).fetch(folder, files, store, origin.key)
    unanswered = [problem for problem in problems if problem.kind == "error"]
    wrong = [
        finding(f"backup-{one.kind}", title=one.name, wanted=one.wanted, measured=one.measured, host=ctx.host.name)
        for one in problems
        if one.kind != "error"
    ]
    if wrong:
        raise StepFailed(f"the backup in {origin} is damaged: {stored_backup.summary(wrong)}", findings=wrong)
    if unanswered:
        said = "; ".join(f"{one.name}: {one.measured}" for one in unanswered[:3])
        raise StepFailed(f"{ctx.host.name} could not fetch {len(unanswered)} files: {said}")


@dataclass(frozen=True, slots=True)
class Proof:
    """One backup in a store; ``origin`` carries the digest of its manifest."""

    ctx: Context
    store: Store
    origin: Reference

    def manifest(self) -> Manifest:
        """The manifest, once the store shows every file in its size. Raises StepFailed with a finding for each."""
        backup = manifests.read(self.store, self.origin, self.origin.sha256)
        wrong = stored_backup.present(self.store, self.origin, {name: one.size for name, one in backup.files.items()})
        if wrong:
            raise StepFailed(f"the backup in {self.origin} is not whole: {stored_backup.summary(wrong)}", findings=wrong)
        return backup

    def fetch(self, backup: Manifest, tools: Tools, folder: str) -> None:
        """Bring the files to ``folder`` on the host; every one is compared, and the archive's contents listed.

        Raises StepFailed with a finding for each file that is not as it was.
        """
        carry(self.ctx, self.store, self.origin, backup.listed(), folder)
        listed = self.ctx.run(tools.path("pg_restore"), "--list", f"{folder}/{ARCHIVE}", sink=Ignored())
        must_be_right(self.ctx, "pg_restore --list", listed)

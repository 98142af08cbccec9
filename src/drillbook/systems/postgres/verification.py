"""Verifies a backup in a store: the manifest has the expected digest, and no file is missing or changed."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Ignored
from drillbook.sdk.host import Output, excerpt
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import carry
from drillbook.systems.postgres.dump import ARCHIVE
from drillbook.systems.postgres.manifest import Manifest
from drillbook.systems.postgres.programs import AS_CLIENT, Tools

_WRONG = re.compile(r"\b(error|ERROR|FATAL|PANIC):|warning: errors ignored")


def must_be_right(ctx: Context, what: str, output: Output, tolerated: Collection[str] = ()) -> None:
    """Raise StepFailed when the tool ``what`` failed or printed an error, even if its exit status is 0.

    ``tolerated``: error messages that are accepted. If ``tolerated`` is not empty, the exit statuses 1 and 3 are accepted
    too, as long as the tool prints no other error.
    """
    lines = output.stderr.decode("utf-8", "backslashreplace").splitlines()
    errors = [line for line in lines if _WRONG.search(line) and not any(message in line for message in tolerated)]
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
                measured=excerpt(measured, limit=1500),
                evidence=(str(evidence["file"]),),
                host=ctx.host.name,
            )
        ],
    )


@dataclass(frozen=True, slots=True)
class Proof:
    """Verifier of one backup in a store. ``origin``: reference to the backup. The reference contains the digest of the
    manifest.
    """

    ctx: Context
    store: Store
    origin: Reference

    def manifest(self) -> Manifest:
        """Read the manifest, and check that the store lists every file with the size in the manifest.

        Raises StepFailed with a finding for each missing file or wrong size.
        """
        return Manifest.read_whole(self.store, self.origin)

    def fetch(self, backup: Manifest, tools: Tools, scratch: str) -> str:
        """Fetch the files to the host, compare each with its digest, and check that pg_restore can list the archive.

        Return the folder below ``scratch`` that contains them. Raises StepFailed with a finding for each file that is missing
        or differs.
        """
        folder = carry(self.ctx, self.store, self.origin, backup, scratch)
        listed = self.ctx.run(tools.path("pg_restore"), "--list", f"{folder}/{ARCHIVE}", sink=Ignored(), env=AS_CLIENT)
        must_be_right(self.ctx, "pg_restore --list", listed)
        return folder

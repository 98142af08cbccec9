"""Approvals to close the residue of a run that nobody can look at any more: of exactly this run, journal and reason."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from drillbook.signing import texts
from drillbook.signing.texts import FOLDER, Files, Look, Refused, Signed


class Approval(Signed):
    """The text that is signed."""

    format: Literal["drillbook/closing/1"] = "drillbook/closing/1"
    run: str
    environment: str
    head: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """Hash of the last event of the run's journal: what the approver has seen of it."""
    reason: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Closing:
    """Residue to be closed, and the reason; ``approvers`` is the file of those who may approve it."""

    run: str
    environment: str
    head: str
    reason: str
    approvers: str

    def files(self, root: Path) -> Files:
        """Where an approval of it lies in the project's folder ``root``."""
        return Files.named(root, f"{self.run}.{self.head.removeprefix('sha256:')[:8]}.json")

    @property
    def command(self) -> str:
        """The command by which another person approves it."""
        return f"invoke drill.approve {self.run} --reason {shlex.quote(self.reason)}"


def look(closing: Closing, root: Path, *, now: datetime, operators: tuple[str, ...], signing: str = "") -> Look:
    """Find and verify the approval of exactly this closing. Asks no host.

    None of ``operators`` may have given it, nor the key with the fingerprint ``signing``, which will sign the run anew.
    """
    files = closing.files(root)
    try:
        approval, fingerprint = texts.verified(
            files, Approval, closing.approvers, partial(_absent, closing), partial(_of_closing, closing, files.text.name)
        )
        texts.timely(approval, now)
        texts.other_person(approval, *operators)
        texts.other_key(approval, fingerprint, signing)
    except Refused as refused:
        return Look(refusal=refused.finding)
    return Look(approval, fingerprint)


def _of_closing(closing: Closing, name: str, approval: Approval) -> None:
    wanted = (closing.run, closing.environment, closing.head, closing.reason)
    if wanted != (approval.run, approval.environment, approval.head, approval.reason):
        raise Refused(
            "approval-changed",
            f"{name} approves closing {approval.run} at {approval.head[:15]}... because: {approval.reason}",
            wanted=f"{closing.run} at {closing.head[:15]}... because: {closing.reason}",
            remedy=f"Let somebody else approve it as it is now: `{closing.command}`.",
        )


def _absent(closing: Closing, path: Path) -> Refused:
    """There is no approval of this closing; perhaps one for the journal as it was before."""
    others = sorted(path.parent.glob(f"{closing.run}.????????.json"), key=lambda other: other.stat().st_mtime)
    remedy = (
        f"Let another person look at the hosts and approve it: `{closing.command}`, and bring the two files below "
        f"{FOLDER}/ here. An approval holds for this reason, and for the journal as it is now."
    )
    if path.suffix == ".sig":
        return Refused("approval-bad-signature", f"{path} is not there", wanted="the approval's signature", remedy=remedy)
    if others:
        return Refused(
            "approval-changed",
            f"the journal has gone on since the newest approval, {others[-1].name}",
            wanted=path.name,
            remedy=remedy,
        )
    return Refused("approval-missing", f"there is no {path}", wanted=path.name, remedy=remedy)


def approve(closing: Closing, root: Path, *, now: datetime, until: timedelta, key: Path | None = None) -> tuple[Look, Files]:
    """Sign an approval of ``closing`` with ``key`` and keep it below ``root``; see ``signed.signed``. Raises UsageError."""
    files = closing.files(root)
    approval, fingerprint = texts.signed(
        Approval,
        files,
        closing.approvers,
        now=now,
        until=until,
        key=key,
        run=closing.run,
        environment=closing.environment,
        head=closing.head,
        reason=closing.reason,
    )
    return Look(approval, fingerprint), files

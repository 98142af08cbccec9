"""Approvals to close a run that could not undo all its changes, for example because a host no longer exists.

Each approval is valid for one run and one reason. It becomes invalid when another event is added to the journal of the run.
"""

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
    """Text of an approval to close a run. To close a run means to record that its remaining changes need no undo. The
    approver signs this text.
    """

    format: Literal["drillbook/closing/1"] = "drillbook/closing/1"
    run: str
    environment: str
    head: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """Hash of the last event in the run's journal at the time of the approval."""
    reason: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Closing:
    """Request to close a run that could not undo all its changes.

    ``reason``: reason for closing the run. ``approvers``: file that lists the people who may approve.
    """

    run: str
    environment: str
    head: str
    reason: str
    approvers: str

    def files(self, root: Path) -> Files:
        """Return the paths of the two files of an approval of this request, in the project folder ``root``."""
        return Files.named(root, f"{self.run}.{self.head.removeprefix('sha256:')[:8]}.json")

    @property
    def command(self) -> str:
        """Command line with which another person approves this request."""
        return f"invoke drill.approve {self.run} --reason {shlex.quote(self.reason)}"


def look(closing: Closing, root: Path, *, now: datetime, operators: tuple[str, ...], signing: str = "") -> Look:
    """Find and verify the approval of exactly the request ``closing``. This function contacts no host.

    The approver must not be one of ``operators``. ``signing``: key with which the operator will sign the closed run. The
    approval must be signed with another key.
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
            remedy=f"Have another person approve the closing as it is now: `{closing.command}`.",
        )


def _absent(closing: Closing, path: Path) -> Refused:
    """Return the finding that refuses to close a run. It says that the approval is missing, or that the approval is for an
    earlier state of the journal.
    """
    remedy = (
        f"Have another person check the hosts and approve the closing with `{closing.command}`. Then copy the "
        f"two files below to {FOLDER}/ of this project. An approval is valid only for this reason, and only "
        "until the journal of the run changes."
    )
    return texts.missing(
        path,
        closing.run,
        remedy,
        lambda newest: Refused(
            "approval-changed",
            f"the journal has new events since the newest approval, {newest.name}",
            wanted=path.name,
            remedy=remedy,
        ),
    )


def approve(closing: Closing, root: Path, *, now: datetime, until: timedelta, key: Path | None = None) -> tuple[Look, Files]:
    """Sign an approval of ``closing`` with ``key``, and store it below ``root``. Raises UsageError with a hint when the
    approval cannot be signed.
    """
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

"""Approvals: who allows which plan until when, signed with an SSH key (``ssh-keygen -Y``) and verified before a run.

An approval is two files below ``approvals/`` of the project: the text, JSON, and its signature. Who may approve says
the inventory's ``approvers``: an allowed-signers file as in ssh-keygen(1), which may limit keys to times of its own.

Not promised: that operator and approver are two people. What is known of the operator is the account that the kernel
tells and the key that signs the run; whoever holds an approver's private key can approve as that approver, and whoever
may edit the approvers' file can add one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from drillbook.plan.plan import Plan
from drillbook.signing import texts
from drillbook.signing.texts import FOLDER, Look, Refused, Signed


class Approval(Signed):
    """The text that is signed."""

    format: Literal["drillbook/approval/1"] = "drillbook/approval/1"
    drill: str
    title: str
    environment: str
    plan_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Files(texts.Files):
    """Where the approval of a plan lies."""

    @classmethod
    def of(cls, root: Path, plan: Plan) -> texts.Files:
        """Below ``approvals/`` of the project's folder ``root``."""
        return cls.named(root, f"{plan.drill}.{plan.digest.removeprefix('sha256:')[:8]}.json")


def look(plan: Plan, root: Path, *, now: datetime, operator: str, signing: str = "") -> Look:
    """Find and verify the approval of exactly this plan in the project's folder ``root``.

    ``operator`` is who wants to run it, ``signing`` the fingerprint of the key that will sign the run. Asks no host; runs
    ``ssh-keygen``.
    """
    files = Files.of(root, plan)
    try:
        approval, fingerprint = texts.verified(
            files, Approval, plan.inventory.approvers, partial(_absent, plan), partial(_of_plan, plan, files.text.name)
        )
        texts.timely(approval, now)
        texts.other_person(approval, operator)
        texts.other_key(approval, fingerprint, signing)
    except Refused as refused:
        return Look(refusal=refused.finding)
    return Look(approval, fingerprint)


def _of_plan(plan: Plan, name: str, approval: Approval) -> None:
    wanted = (plan.drill, plan.inventory.environment, plan.digest)
    given = (approval.drill, approval.environment, approval.plan_digest)
    if wanted != given:
        raise Refused(
            "approval-changed",
            f"{name} approves {given[0]} on {given[1]} with the digest {given[2]}",
            wanted=f"{wanted[0]} on {wanted[1]} with the digest {wanted[2]}",
        )


def _absent(plan: Plan, path: Path) -> Refused:
    """There is no approval of this plan; perhaps one of another state of it."""
    others = sorted(path.parent.glob(f"{plan.drill}.????????.json"), key=lambda other: other.stat().st_mtime)
    remedy = (
        f"Let somebody else approve it: `invoke drill.approve {plan.drill}`, and bring the two files below {FOLDER}/ here."
    )
    if path.suffix == ".sig":
        return Refused("approval-bad-signature", f"{path} is not there", wanted="the approval's signature", remedy=remedy)
    if others:
        return Refused(
            "approval-changed",
            f"the newest approval is {others[-1].name}",
            wanted=path.name,
            remedy=f"Look at the plan with `invoke drill.plan {plan.drill}`, and let it be approved again: "
            f"`invoke drill.approve {plan.drill}`.",
        )
    return Refused("approval-missing", f"there is no {path}", wanted=path.name, remedy=remedy)


def approve(plan: Plan, root: Path, *, now: datetime, until: timedelta, key: Path | None = None) -> tuple[Look, texts.Files]:
    """Sign an approval of ``plan`` with ``key`` and keep it below the project's folder ``root``; see ``signed.signed``.

    Raises UsageError with what to do.
    """
    files = Files.of(root, plan)
    approval, fingerprint = texts.signed(
        Approval,
        files,
        plan.inventory.approvers,
        now=now,
        until=until,
        key=key,
        drill=plan.drill,
        title=plan.title,
        environment=plan.inventory.environment,
        plan_digest=plan.digest,
    )
    return Look(approval, fingerprint), files

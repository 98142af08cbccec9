"""Approvals of plans. With an approval, a named person permits one plan until a given time. The person signs the
approval with an SSH key, and the signature is checked before a run.

The signature is made with ``ssh-keygen -Y``. An approval consists of two files in ``approvals/`` of the project: a JSON
text and its signature. The inventory's ``approvers`` names an allowed-signers file as in ssh-keygen(1). That file lists
who may approve, and may limit the time in which a key is valid.

An approval does not prove that the operator and the approver are two people. The operator is known only by the account
that the kernel reports, and by the key that signs the run. Anybody who holds the private key of an approver can approve
as that approver. Anybody who may edit the file of approvers can add a person.
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
    """Text of an approval of a plan. The approver signs this text."""

    format: Literal["drillbook/approval/1"] = "drillbook/approval/1"
    drill: str
    title: str
    environment: str
    plan_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Files(texts.Files):
    """Paths of the two files of an approval: its text and its signature."""

    @classmethod
    def of(cls, root: Path, plan: Plan) -> texts.Files:
        """Return the paths of the approval of ``plan`` in the folder ``approvals/`` of the project folder ``root``."""
        return cls.named(root, f"{plan.drill}.{plan.digest.removeprefix('sha256:')[:8]}.json")


def look(plan: Plan, root: Path, *, now: datetime, operator: str, signing: str = "") -> Look:
    """Find and verify the approval of exactly the plan ``plan`` in the project folder ``root``.

    ``operator``: person who will run the plan. ``signing``: fingerprint of the key that will sign the run. The function
    runs ``ssh-keygen``, but contacts no host.
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
            f"{name} approves the drill {given[0]} in the environment {given[1]} with the plan digest {given[2]}",
            wanted=f"the drill {wanted[0]} in the environment {wanted[1]} with the plan digest {wanted[2]}",
        )


def _absent(plan: Plan, path: Path) -> Refused:
    """Return the refusal of a plan without an approval. The approval may be missing or unsigned, or it may be for another
    version of the plan.
    """
    remedy = (
        f"Have another person approve the plan with `invoke drill.approve {plan.drill}`. Then copy the two "
        f"files below to {FOLDER}/ of this project."
    )
    again = (
        f"Read the plan with `invoke drill.plan {plan.drill}`, and have it approved again with `invoke "
        f"drill.approve {plan.drill}`."
    )
    return texts.missing(
        path,
        plan.drill,
        remedy,
        lambda newest: Refused(
            "approval-changed",
            f"the newest approval of this drill, {newest.name}, is for another plan",
            wanted=path.name,
            remedy=again,
        ),
    )


def approve(plan: Plan, root: Path, *, now: datetime, until: timedelta, key: Path | None = None) -> tuple[Look, texts.Files]:
    """Sign an approval of ``plan`` with ``key``, and store it below ``root``.

    The approval is valid from ``now`` on. ``until``: duration for which it is valid. The docstring of ``texts.signed``
    lists the keys that can be used. Raises UsageError with a hint when the approval cannot be signed.
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

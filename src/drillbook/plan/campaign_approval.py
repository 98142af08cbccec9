"""Approvals of campaigns. A named person signs one text with a line for each site. The line of a site lists the digests of
the site's plans.

The line of a site approves only the runs of this site. A site without a line is refused. A site whose line contains another
digest is refused too. A changed line makes the signature invalid, so that every site is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from drillbook.errors import UsageError
from drillbook.findings import Finding
from drillbook.plan.plan import Plan
from drillbook.signing import texts
from drillbook.signing.texts import FOLDER, Files, Look, Refused, Signed
from drillbook.values import canonical, digest

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class SiteLine(BaseModel):
    """Line for one site in the approval of a campaign. It contains the environment of the site and, for each drill, the
    digest of the drill's plan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: str
    plans: dict[str, Digest]

    @classmethod
    def of(cls, plans: Sequence[Plan]) -> SiteLine:
        """Make the line for a site. ``plans``: plans of the drills on this site."""
        return cls(environment=plans[0].inventory.environment, plans={plan.drill: plan.digest for plan in plans})


class Approval(Signed):
    """Text of an approval of a campaign. The approver signs this text."""

    LIMIT: ClassVar[int] = 16 * 1024 * 1024

    format: Literal["drillbook/campaign-approval/1"] = "drillbook/campaign-approval/1"
    drill: str
    title: str
    sites: dict[str, SiteLine]

    def rendered(self) -> bytes:
        """Return the text to be signed: JSON with a line for each site, so that people can read and compare it."""
        head = json.dumps(self.model_dump(mode="json", exclude={"sites"}), ensure_ascii=False, sort_keys=True)
        lines = (
            f"{json.dumps(name)}: {canonical(line.model_dump(mode='json')).decode()}" for name, line in self.sites.items()
        )
        return (head[:-1] + ', "sites": {\n' + ",\n".join(lines) + "\n}}\n").encode()


class SiteApproval(Signed):
    """Approval of one drill on one site. The journal of the site's run records the approval in this form."""

    format: Literal["drillbook/campaign-approval/1"] = "drillbook/campaign-approval/1"
    drill: str
    title: str
    environment: str
    plan_digest: str
    site: str
    sites: int
    """Number of sites in the signed text."""
    text: str
    """Digest of the signed text."""


def files_of(root: Path, drill: str, lines: Mapping[str, SiteLine]) -> Files:
    """Return the paths at which an approval is stored: below ``approvals/`` in the project folder ``root``.

    ``lines``: the sites and plans that are approved. An approval of other sites or plans is stored at other paths.
    """
    whole = digest(canonical({name: line.model_dump(mode="json") for name, line in lines.items()}))
    return Files.named(root, f"{drill}.sites.{whole.removeprefix('sha256:')[:8]}.json")


def newest(root: Path, drill: str, lines: Mapping[str, SiteLine]) -> Files | None:
    """Return the paths of the approval of exactly the sites and plans in ``lines``. If this approval does not exist, return
    the paths of the newest campaign approval of ``drill``. Return None when ``drill`` has no campaign approval.
    """
    exact = files_of(root, drill, lines)
    if exact.text.exists():
        return exact
    return next(iter(all_of(root, drill)), None)


def all_of(root: Path, drill: str) -> list[Files]:
    """Return the paths of all approvals of campaigns of ``drill``, the newest first."""
    paths = sorted((root / FOLDER).glob(f"{drill}.sites.????????.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [Files.named(root, path.name) for path in paths]


def look_at_sites(
    files: Files, plans: Mapping[str, Sequence[Plan]], *, now: datetime, operator: str, signing: str = ""
) -> dict[str, Finding | None]:
    """Verify the approval in ``files`` for many sites. Return, for each site, the reason why the site is not approved. The
    reason is None when the site is approved.

    The signature is verified once for each file of approvers. For each site, the site's line in the approval is checked
    first, and then the time for which the approval is valid. So the reason ``approval-expired`` means that the line itself
    is correct.
    """

    @cache
    def text(approvers: str) -> tuple[Approval, str] | Finding:
        try:
            return texts.verified(files, Approval, approvers, _absent, lambda _: None)
        except Refused as refused:
            return refused.finding

    def reason(site: str, plan: Plan) -> Finding | None:
        read = text(plan.inventory.approvers)
        if isinstance(read, Finding):
            return read
        try:
            _of_site(plan, site, files.text.name, read[0])
            _fit_now(*read, now, operator, signing)
        except Refused as refused:
            return refused.finding
        return None

    return {site: next(filter(None, (reason(site, plan) for plan in of)), None) for site, of in plans.items()}


def _fit_now(approval: Approval, fingerprint: str, now: datetime, operator: str, signing: str) -> None:
    """Raise Refused when the approval is not valid at ``now``, or when its approver is the operator of the campaign. Raise
    Refused also when the approval was signed with the key ``signing``, because the runs will be signed with this key.
    """
    texts.timely(approval, now)
    texts.other_person(approval, operator)
    texts.other_key(approval, fingerprint, signing)


def look(plan: Plan, site: str, files: Files, *, now: datetime, operator: str, signing: str = "") -> Look:
    """Verify the approval in ``files``, and check that it approves exactly ``plan`` for ``site``; see ``approval.look``."""
    try:
        approval, fingerprint = texts.verified(
            files, Approval, plan.inventory.approvers, _absent, partial(_of_site, plan, site, files.text.name)
        )
        _fit_now(approval, fingerprint, now, operator, signing)
    except Refused as refused:
        return Look(refusal=refused.finding)
    own = SiteApproval(
        principal=approval.principal,
        made=approval.made,
        until=approval.until,
        drill=plan.drill,
        title=approval.title,
        environment=plan.inventory.environment,
        plan_digest=plan.digest,
        site=site,
        sites=len(approval.sites),
        text=digest(files.text.read_bytes()),
    )
    return Look(own, fingerprint)


def approve(
    plans: Mapping[str, Sequence[Plan]],
    root: Path,
    drill: str,
    title: str,
    *,
    now: datetime,
    until: timedelta,
    key: Path | None = None,
) -> tuple[Look, Files]:
    """Sign an approval of the ``plans`` of all sites with ``key``, and store it below ``root``; see ``approval.approve``.

    At least one inventory must name a file of approvers, and each named file must list the approver. Otherwise raises
    UsageError with a hint.
    """
    lines = {name: SiteLine.of(of) for name, of in plans.items()}
    files = files_of(root, drill, lines)
    named = list(dict.fromkeys(plan.inventory.approvers for of in plans.values() for plan in of if plan.inventory.approvers))
    if not named:
        raise UsageError(
            "the inventories of the sites have no key `approvers`", hint="write `approvers: FILE` into the inventories"
        )
    approval, fingerprint = texts.signed(
        Approval, files, named[0], now=now, until=until, key=key, drill=drill, title=title, sites=lines
    )
    for other in named[1:]:
        try:
            texts.verified(files, Approval, other, _absent, lambda _: None)
        except Refused as refused:
            for path in (files.text, files.signature):
                path.unlink()
            raise UsageError(f"{refused.finding.title}: {refused.finding.measured}", hint=refused.finding.remedy) from None
    return Look(approval, fingerprint), files


def _of_site(plan: Plan, site: str, name: str, approval: Approval) -> None:
    """Raise Refused when the approval has no line that approves ``plan`` for ``site``."""
    line = approval.sites.get(site)
    wanted = (
        f"a line of {site} with {plan.drill} in the environment {plan.inventory.environment} with the plan digest "
        f"{plan.digest}"
    )
    remedy = (
        f"Read the plan with `invoke drill.plan {plan.drill}`, and have the campaign approved again with `invoke "
        f"campaign.approve {approval.drill} --sites FILE`."
    )
    if line is None:
        raise Refused("approval-missing", f"{name} does not list the site {site}", wanted=wanted, remedy=remedy)
    given = (line.environment, line.plans.get(plan.drill))
    if given != (plan.inventory.environment, plan.digest):
        listed = f"{plan.drill} in the environment {given[0]} with the plan digest {given[1] or 'none'}"
        raise Refused(
            "approval-changed",
            f"{name} approves for {site}: {listed}; but the plan is for the environment {plan.inventory.environment} "
            f"and has the digest {plan.digest}",
            wanted=wanted,
            remedy=remedy,
        )


def _absent(path: Path) -> Refused:
    return Refused("approval-missing", f"{path} does not exist", wanted="the approval of the campaign and its signature")

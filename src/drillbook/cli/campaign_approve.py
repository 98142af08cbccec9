"""``campaign.approve``: show the plans of all sites, and sign one approval of all these plans. No host is contacted."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from drillbook.campaign.sites import SitesFile
from drillbook.cli import dry_run, show_plan, site_plans
from drillbook.cli.console import console
from drillbook.exits import Exit
from drillbook.plan import campaign_approval
from drillbook.plan.plan import Plan
from drillbook.plan.spec import Suite
from drillbook.project.project import Project
from drillbook.report.figures import count, shown


def approve(project: Project, drill: str, file: SitesFile, until: str, key: str) -> int:
    """Show the plans of a drill or suite on all sites of ``file``. Then sign one approval that lists all these plans.

    Raises UsageError when ``until`` is invalid, or when a site cannot be planned.
    """
    span, now, out = show_plan.span_of(until), datetime.now(UTC), console()
    with tempfile.TemporaryDirectory(prefix="drillbook-sites-") as folder:
        planned = site_plans.made(project, drill, file, Path(folder))
        plans = {name: plan.plans for name, plan in planned.items()}
    _show(project, plans)
    plannable = project.drill(drill)
    title = plannable.title if isinstance(plannable, Suite) else plannable.head.title
    given, files = campaign_approval.approve(
        plans, project.root, drill, title, now=now, until=span, key=Path(key) if key else None
    )
    if signed := given.approval:
        until_text = f"{signed.until:%Y-%m-%d %H:%M} UTC"
        out.print(
            shown(f"✓ {signed.principal} approves {drill} on {count(len(plans), 'site')} until {until_text}"), style="green"
        )
        out.print(shown(f"  key {given.fingerprint}"), soft_wrap=True)
        place = files.text.relative_to(project.root)
        out.print(shown(f"  {place} and its .sig: give both files to the operator, or commit them"), soft_wrap=True)
    return Exit.OK


def tell(project: Project, drill: str, file: SitesFile) -> int:
    """Print what the approval of the drill on these sites would sign. Nothing is signed or changed.

    Raises UsageError when the drill is unknown or invalid.
    """
    project.drill(drill)
    return dry_run.tell(f"would sign one approval of the plans of {drill} on {count(len(file.sites), 'site')}", *file.sites)


def _show(project: Project, plans: Mapping[str, Sequence[Plan]]) -> None:
    """Print the plans of the first site in full, then the digest of each plan of each site."""
    out, first = console(), next(iter(plans))
    show_plan.show_without_refusals(project, plans[first])
    out.print(shown(f"The plan above is the plan of {first}. The digests of the plans of all sites:"))
    for site, of in plans.items():
        for plan in of:
            out.print(shown(f"  {site} on {plan.inventory.environment}: {plan.drill} {plan.digest}"), soft_wrap=True)

"""Plans of a campaign: the drill, or each drill of the suite, planned on every site."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drillbook.campaign import sites
from drillbook.campaign.attempt import APPROVAL
from drillbook.campaign.sites import SitesFile
from drillbook.cli.console import console
from drillbook.cli.orchestration import Orchestrator
from drillbook.cli.run import inventory_of
from drillbook.cli.views import ignore
from drillbook.errors import DrillbookError, UsageError
from drillbook.plan import campaign_approval, guard
from drillbook.plan.campaign_approval import SiteLine
from drillbook.plan.plan import Plan
from drillbook.project.project import Project
from drillbook.values import digest


@dataclass(frozen=True, slots=True)
class SitePlan:
    """Plans of one site, with the path of its inventory."""

    path: str
    plans: tuple[Plan, ...]

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each plan, by the name of its drill."""
        return {plan.drill: plan.digest for plan in self.plans}


def made(project: Project, drill: str, file: SitesFile, folder: Path) -> dict[str, SitePlan]:
    """Write the inventories of the sites into ``folder``, and plan the drill on each. Raises UsageError when a site cannot
    be planned.

    So a mistake in an inventory is found before the first site starts. A lab that an inventory names is started.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = sites.write_inventories(file, folder, sites.inventories(project.root, file))
    found, planned = project.drill(drill), {}
    for name, path in paths.items():
        try:
            inventory = inventory_of(project, path, console().print)
            planned[name] = SitePlan(path, tuple(Orchestrator(project, inventory, ignore).plans(found)))
        except DrillbookError as error:
            raise UsageError(f"the drill cannot be planned on the site {name}: {error.message}", hint=error.hint) from None
    return planned


def approved(project: Project, drill: str, planned: Mapping[str, SitePlan], folder: Path) -> str:
    """Copy the approval of the campaign into its ``folder``, if a plan needs one and there is one; returns its digest.

    The process of each drill verifies it, so a site without a line in it is refused there, and the others go on.
    """
    if not any(guard.needs_approval(plan) for one in planned.values() for plan in one.plans):
        return ""
    files = campaign_approval.newest(project.root, drill, {name: SiteLine.of(one.plans) for name, one in planned.items()})
    if files is None:
        return ""
    try:
        shutil.copyfile(files.text, folder / APPROVAL)
        shutil.copyfile(files.signature, folder / f"{APPROVAL}.sig")
        return digest((folder / APPROVAL).read_bytes())
    except OSError as error:
        raise UsageError(
            f"the approval {files.text} cannot be read: {error.strerror}", hint="copy both files again"
        ) from None

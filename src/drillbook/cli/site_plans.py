"""Plans of a campaign: the drill, or each drill of the suite, planned on every site."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drillbook.atomic_file import private_folder
from drillbook.campaign import sites
from drillbook.campaign.sites import SitesFile
from drillbook.cli.console import console
from drillbook.cli.orchestration import Orchestrator
from drillbook.cli.run import inventory_of
from drillbook.cli.run_output import ignore
from drillbook.errors import DrillbookError, UsageError
from drillbook.plan.plan import Plan
from drillbook.project.project import Project


@dataclass(frozen=True, slots=True)
class SitePlan:
    """Plans of one site, with the path of its inventory."""

    path: str
    plans: tuple[Plan, ...]

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each plan. The key of each digest is the name of the drill."""
        return {plan.drill: plan.digest for plan in self.plans}


def made(project: Project, drill: str, file: SitesFile, folder: Path) -> dict[str, SitePlan]:
    """Write the inventories of the sites into ``folder``, and plan the drill on each. Raises UsageError when a site cannot
    be planned.

    All sites are planned before the first site starts, so that a mistake in an inventory is found in time. If an
    inventory belongs to a lab, the lab is started.
    """
    private_folder(folder)
    paths = sites.write_inventories(file, folder, sites.inventories(project.root, file))
    planned = {}
    for name, path in paths.items():
        try:
            planned[name] = _made(project, drill, path)
        except DrillbookError as error:
            raise UsageError(f"the drill cannot be planned on the site {name}: {error.message}", hint=error.hint) from None
    return planned


def made_again(project: Project, drill: str, paths: Mapping[str, str]) -> dict[str, SitePlan]:
    """Plan the drill again on sites of a campaign that is resumed. A site that cannot be planned is left out here. The
    process that drills this site refuses it later.

    ``paths``: path of the inventory of each site.
    """
    planned = {}
    for name, path in paths.items():
        with suppress(DrillbookError):
            planned[name] = _made(project, drill, path)
    return planned


def _made(project: Project, drill: str, path: str) -> SitePlan:
    inventory = inventory_of(project, path, console().print)
    return SitePlan(path, tuple(Orchestrator(project, inventory, ignore).plans(project.drill(drill))))

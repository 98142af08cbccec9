"""Copies an approval from the project into the folder of a campaign. One approval covers the plans of all sites. When the
campaign is resumed, and the copied approval is not valid any more, a valid one replaces it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drillbook.atomic_file import replace_file
from drillbook.campaign import continuing, place
from drillbook.campaign.attempt import APPROVAL
from drillbook.campaign.campaign_record import CampaignState
from drillbook.cli import site_plans
from drillbook.cli.run_identity import operator
from drillbook.cli.site_plans import SitePlan
from drillbook.errors import NotReady, UsageError
from drillbook.findings import Finding
from drillbook.language.lists import listed
from drillbook.plan import approval, campaign_approval, guard
from drillbook.plan.campaign_approval import SiteLine
from drillbook.plan.plan import Plan
from drillbook.project.project import Project
from drillbook.report.figures import count
from drillbook.signing import keys
from drillbook.signing.texts import Files
from drillbook.values import digest

RENEWABLE = ("approval-expired", "approval-by-operator", "approval-bad-signature")
"""Codes of findings that a new approval can resolve. Only these cause an error here. With any other finding about the approval
of a site, the process that drills this site refuses the drill later.
"""
NAMED = 5
"""Largest number of sites that are listed in one message."""


def first(project: Project, drill: str, planned: Mapping[str, SitePlan], folder: Path) -> str:
    """Copy the project's newest approval of the planned sites into the ``folder`` of the campaign. Returns the digest of
    this approval, or an empty text if no plan needs an approval or if there is no approval.

    The approval is verified later, by the process that runs the drill at a site. If a site is not listed in the approval,
    this site is refused, and the drill runs at the other sites.
    """
    if not _protected(planned):
        return ""
    files = campaign_approval.newest(project.root, drill, {name: SiteLine.of(plan.plans) for name, plan in planned.items()})
    return _stored(files, folder) if files else ""


@dataclass(frozen=True, slots=True)
class Renewal:
    """Result of the search for a valid approval of the remaining sites, when a campaign is resumed."""

    digest: str = ""
    """Digest of the renewed approval. It is empty when the campaign continues with its present approval."""
    refusal: NotReady | None = None
    """Error to raise before a site starts, when the approval of remaining sites is not valid any more."""


def renewed(project: Project, state: CampaignState, folder: Path, now: datetime) -> Renewal:
    """Verify the approval of the sites that have not started. If it is no longer valid, search the project for a valid
    approval, and store this approval in the ``folder`` of the campaign. Return the result of the search.
    """
    if not state.approval:
        return Renewal()
    paths = {site: path for site, path in state.inventories.items() if site not in state.intents and site not in state.ends}
    plans = _protected(site_plans.made_again(project, state.start.drill, paths))
    current = Files.at(folder / APPROVAL)
    lapsed = _lapsed(project, plans, _looked(project, current, plans, now), now)
    if not lapsed:
        return Renewal("" if (own := _digest(current)) == state.approval else own)
    rest = {site: plans[site] for site in lapsed}
    for files in campaign_approval.all_of(project.root, state.start.drill):
        if not any(_looked(project, files, rest, now).values()):
            _keep(current)
            return Renewal(_stored(files, folder))
    again = continuing.command(state, place.name_of(project.root))
    return Renewal(refusal=_refusal(state, lapsed, again))


def _looked(project: Project, files: Files, plans: Mapping[str, Sequence[Plan]], now: datetime) -> dict[str, Finding | None]:
    key = keys.fingerprint_of(project.root)
    return campaign_approval.look_at_sites(files, plans, now=now, operator=operator(), signing=key)


def _lapsed(
    project: Project, plans: Mapping[str, Sequence[Plan]], looked: Mapping[str, Finding | None], now: datetime
) -> dict[str, Finding]:
    """Return the sites that need another approval, each with the reason why the approval of the campaign is no longer valid
    for the site. A site is left out if each of its plans has a valid approval of its own, made by `drill.approve`.

    ``looked``: results of the check of the campaign's approval.
    """
    lapsed = {site: why for site, why in looked.items() if why and why.code in RENEWABLE}
    key = keys.fingerprint_of(project.root)

    def single(plan: Plan) -> bool:
        return approval.look(plan, project.root, now=now, operator=operator(), signing=key).refusal is None

    return {site: why for site, why in lapsed.items() if not all(map(single, plans[site]))}


def _refusal(state: CampaignState, lapsed: Mapping[str, Finding], again: str) -> NotReady:
    why = next(iter(lapsed.values()))
    named = listed(list(lapsed), NAMED)
    return NotReady(
        f"{why.title}: {why.measured}; {count(len(lapsed), 'remaining site')} of the campaign need another approval: {named}",
        hint=f"have the remaining sites approved: invoke campaign.approve {state.start.drill} --sites FILE; then: {again}",
    )


def _protected(planned: Mapping[str, SitePlan]) -> dict[str, tuple[Plan, ...]]:
    """Return the plans that need an approval. The key of each entry is the name of the site."""
    protected = {name: tuple(plan for plan in site.plans if guard.needs_approval(plan)) for name, site in planned.items()}
    return {name: plans for name, plans in protected.items() if plans}


def _keep(files: Files) -> None:
    """Copy the expired approval to a file whose name contains the approval's digest. The copy is
    kept because earlier runs of the sites recorded this digest.
    """
    if own := _digest(files):
        name = files.text.with_name(f"approval-{own.removeprefix('sha256:')[:8]}.json")
        with suppress(FileNotFoundError):  # the signature may be missing
            _copied(files, Files.at(name))


def _stored(files: Files, folder: Path) -> str:
    """Copy an approval into the folder of a campaign. Returns its digest."""
    target = Files.at(folder / APPROVAL)
    try:
        _copied(files, target)
    except OSError as error:
        raise UsageError(
            f"the approval {files.text} cannot be read: {error.strerror}", hint="copy the approval and its signature again"
        ) from None
    return _digest(target)


def _copied(files: Files, target: Files) -> None:
    """Copy an approval and its signature to the files of ``target``. Raises OSError when a file cannot be read or written."""
    for source, path in ((files.text, target.text), (files.signature, target.signature)):
        replace_file(path, source.read_bytes(), mode=None)


def _digest(files: Files) -> str:
    """Return the digest of the text of an approval. The result is empty when the file of this text does not exist."""
    return digest(files.text.read_bytes()) if files.text.is_file() else ""

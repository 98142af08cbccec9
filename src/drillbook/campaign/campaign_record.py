"""The record of a campaign. It consists of the campaign's journal, and of the state that follows from this journal alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from drillbook.campaign.attempt import CAMPAIGNS, RECORD, Ending
from drillbook.campaign.scheduler import SiteState
from drillbook.campaign.sites import SitesFile
from drillbook.errors import JournalError, UnknownName
from drillbook.events.campaigns import (
    CampaignFinished,
    CampaignResumed,
    CampaignStarted,
    CampaignStopped,
    SiteEnded,
    SiteIntended,
)
from drillbook.events.event import Event
from drillbook.journal import journal
from drillbook.journal.journal import FILE, Journal
from drillbook.journal.run_files import RESULT
from drillbook.redact import Redactor
from drillbook.sdk.run_names import drill_of


@dataclass(frozen=True, slots=True)
class Intent:
    """Intent to start a site, which the journal records before the start. It holds the name of the run, and the place of
    the worker that carries out the run. If this machine carries out the run, the place is empty. In older journals the
    place is always empty.
    """

    run: str
    place: str = ""
    hash: str = ""
    """Hash of the event that records the intent."""


@dataclass(slots=True)
class CampaignState:
    """State of a campaign. The state is derived from the events in the journal of the campaign."""

    start: CampaignStarted
    began: datetime
    controllers: list[tuple[str, str]] = field(default_factory=list)
    """Executor and place of each process that ran the campaign. The first entry is the process that began the campaign. The
    other entries are the processes that continued it.
    """
    intents: dict[str, Intent] = field(default_factory=dict)
    """Recorded intents. The campaign records an intent just before it starts the drill at a site. The key is the name of the
    site.
    """
    ends: dict[str, Ending] = field(default_factory=dict)
    stopped: str = ""
    finished: CampaignFinished | None = None
    ended_at: str = ""
    approval: str = ""
    """Digest of the approval of all sites. If the approval was renewed, this is the digest of the renewed approval.
    The digest is empty when the campaign has no approval.
    """

    @property
    def open(self) -> dict[str, Intent]:
        """Intents of the sites whose result is not recorded. An intent is written before a site is started, so these sites
        may have been started. The key of each entry is the name of the site.
        """
        return {site: intent for site, intent in self.intents.items() if site not in self.ends}

    @property
    def file(self) -> SitesFile:
        """Sites file of the campaign with its sites and its limits, rebuilt from the first event."""
        own = ("name", "path", "plans")
        sites = {site["name"]: {key: site[key] for key in site if key not in own} for site in self.start.sites}
        return SitesFile.model_validate({**self.start.rules, "sites": sites})

    @property
    def inventories(self) -> dict[str, str]:
        """Path of the inventory of each site. The key of each entry is the name of the site."""
        return {site["name"]: site["path"] for site in self.start.sites}

    @property
    def plans(self) -> dict[str, dict[str, str]]:
        """Digests of the plans of each site. The first key is the name of the site, the second key is the name of the drill.
        A site has no digests when the campaign recorded no digests.
        """
        return {site["name"]: dict(site.get("plans", {})) for site in self.start.sites}


def fold(events: Iterable[Event]) -> CampaignState:
    """Derive the state of a campaign from the events of its journal. Raises JournalError when the journal is empty, or
    is not the journal of a campaign.
    """
    state: CampaignState | None = None
    for event in events:
        match event.what:
            case CampaignStarted() as start if state is None:
                first = [(start.executor, start.place)]
                state = CampaignState(start, datetime.fromisoformat(event.at), first, approval=start.approval)
            case _ if state is None:
                raise JournalError(f"the journal begins with the event {event.kind!r}, not with {CampaignStarted.KIND}")
            case CampaignResumed() as resumed:
                state.approval = resumed.approval or state.approval
                state.controllers.append((resumed.executor, resumed.place))
            case SiteIntended() as intent:
                state.intents[intent.site] = Intent(intent.run, intent.place, event.hash)
            case SiteEnded() as end:
                state.ends[end.site] = _ending(end)
            case CampaignStopped() as stop:
                state.stopped = state.stopped or stop.why
            case CampaignFinished() as finished:
                state.finished, state.ended_at = finished, event.at
            case _:
                pass
    if state is None:
        raise JournalError("the journal contains no event")
    return state


def _ending(end: SiteEnded) -> Ending:
    return Ending(
        end.site, SiteState(end.state), end.run, end.verdict, end.residue, end.head, dict(end.objectives), end.message
    )


def event_of(ending: Ending) -> SiteEnded:
    """Return the event that records the end of a site."""
    return SiteEnded(**{**ending.as_data(), "state": str(ending.state)})


def folder_of(reports: Path, campaign: str) -> Path:
    """Return the folder of a campaign."""
    return reports / CAMPAIGNS / campaign


def create(folder: Path) -> Journal:
    """Create the journal of a new campaign in the campaign's folder. Raises JournalError when this is impossible."""
    try:
        (folder / RECORD).mkdir(mode=0o700)
    except OSError as error:
        raise JournalError(f"{folder} cannot be created: {error.strerror}; nothing was touched") from None
    return Journal(folder / RECORD, Redactor(()), origin=time.monotonic())


def resume(folder: Path) -> Journal:
    """Open the journal of a campaign to continue it. Raises JournalError when another process runs the campaign."""
    return Journal.resume(folder / RECORD, Redactor(()), origin=time.monotonic())


def read(folder: Path) -> tuple[Event, ...]:
    """Read and verify the journal of a campaign. Raises JournalError when the journal is damaged."""
    return journal.read(folder / RECORD / FILE).events


def unfinished(reports: Path) -> list[Path]:
    """Return the folders of unfinished campaigns. Such a campaign has no report of its end, and no process runs it. The
    oldest campaign comes first.
    """
    known = (path.parents[1] for path in (reports / CAMPAIGNS).glob(f"[!.]*/{RECORD}/{FILE}"))
    return sorted(folder for folder in known if not _ended(folder) and not journal.alive(folder / RECORD))


def _ended(folder: Path) -> bool:
    try:
        said = json.loads((folder / RESULT).read_bytes())
    except (OSError, ValueError):
        return False
    return is_finished(said)


def is_finished(said: dict[str, Any]) -> bool:
    """Return True when ``said`` is the report of a campaign that came to its end."""
    return bool(said.get("finished", not said.get("without_end")))


def find(reports: Path, name: str) -> Path:
    """Return the folder of the newest campaign that ``name`` selects. ``name``: name of the campaign, the beginning of
    this name, or the name of its drill. If ``name`` is empty, every campaign is selected. Raises UnknownName when there
    is no such campaign.
    """
    known = sorted(path.parents[1] for path in (reports / CAMPAIGNS).glob(f"[!.]*/{RECORD}/{FILE}"))
    selected = [folder for folder in known if not name or folder.name.startswith(name) or drill_of(folder.name) == name]
    if not known:
        raise UnknownName(
            f"there is no campaign in {reports / CAMPAIGNS} yet", hint="begin one: invoke campaign NAME --sites FILE"
        )
    if not selected:
        there = ", ".join(folder.name for folder in reversed(known[-5:]))
        raise UnknownName(f"there is no campaign {name!r} in {reports / CAMPAIGNS}", hint=f"the newest are: {there}")
    return selected[-1]

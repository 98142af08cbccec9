"""Journals of campaigns in an audit.

A campaign runs one drill or suite at several sites. Before the run of a site starts, the campaign's journal announces this
run with an event (the intent). Later the journal records the hash of the run's last event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drillbook.audit.records import RUN_ID
from drillbook.errors import JournalError
from drillbook.events.campaigns import CampaignFinished, CampaignStarted, SiteEnded
from drillbook.journal.journal import read as read_journal
from drillbook.report.folders import start_in

PATTERN = "campaigns/[!.]*/record/journal.jsonl"


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign, as its journal describes it."""

    name: str
    hashes: frozenset[str] = frozenset()
    """Hashes of all events of the campaign's journal. A run belongs to the campaign if its first event repeats one of these
    hashes: the hash of the event (the intent) that announced the run just before it started.
    """
    heads: Mapping[str, tuple[str, ...]] | None = None
    """Hashes of the last events of all runs that have ended. Each key is the name of a run, and each value has one hash for
    each journal of this run. The run of a suite has several journals.
    """
    suite: bool = False
    """True when the campaign runs a suite, so that the names of its runs are names of suites."""
    finished: bool = False
    damage: str = ""

    @property
    def started(self) -> str | None:
        """Start of the campaign, taken from its name, in the time format of journals. It is None if the name has another
        form.
        """
        match = RUN_ID.fullmatch(self.name)
        return start_in(match) if match else None


def find(reports: Path) -> list[Campaign]:
    """Read and verify the journals of all campaigns, oldest first."""
    return [_read(path) for path in sorted(reports.glob(PATTERN))]


def _read(path: Path) -> Campaign:
    name = path.parents[1].name
    try:
        events = read_journal(path).events
    except JournalError as error:
        return Campaign(name, damage=error.message)
    started = events[0].what if events else None
    if not isinstance(started, CampaignStarted) or started.campaign != name:
        return Campaign(
            name, damage=f"the folder of the campaign {name} contains a journal that is not the journal of this campaign"
        )
    ends = [event.what for event in events if isinstance(event.what, SiteEnded)]
    return Campaign(
        name,
        frozenset(event.hash for event in events),
        {end.run: tuple(end.head.split(",")) for end in ends if end.head},
        started.suite,
        any(isinstance(event.what, CampaignFinished) for event in events),
    )


def ended_heads(campaigns: Sequence[Campaign]) -> Iterator[tuple[Campaign, str, str]]:
    """Yield a tuple for each journal of the runs that a campaign started, if the run has ended: the campaign, the name of
    the run, and the hash of the last event in the journal.
    """
    for campaign in campaigns:
        for run, heads in (campaign.heads or {}).items():
            for head in heads:
                yield campaign, run, head

"""Compares a campaign with the last campaign of the same drill. It finds sites whose state has changed, new sites, and
sites that are missing now.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.campaign.attempt import CAMPAIGNS
from drillbook.campaign.record import CampaignState
from drillbook.journal.run_files import RESULT


@dataclass(frozen=True, slots=True)
class Change:
    """A site whose state has changed since the earlier campaign. A state is empty if the site was not part of the
    campaign.
    """

    site: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Changes since an earlier campaign. ``campaign``: name of the earlier campaign."""

    campaign: str
    changes: tuple[Change, ...]

    def as_data(self) -> dict[str, Any]:
        """Return the comparison as JSON data."""
        changes = [{"site": one.site, "before": one.before, "now": one.now} for one in self.changes]
        return {"campaign": self.campaign, "changes": changes}


def compared(reports: Path, state: CampaignState) -> Comparison | None:
    """Compare a campaign with the newest earlier campaign of the same drill. Returns None when there is no earlier
    campaign.

    The reports of campaigns are read from the newest to the oldest until a suitable one is found. Reports of runs are
    not read.
    """
    own = state.start.campaign
    folders = [path.parent for path in (reports / CAMPAIGNS).glob(f"[!.]*/{RESULT}") if path.parent.name < own]
    for folder in sorted(folders, reverse=True):
        try:
            said = json.loads((folder / RESULT).read_bytes())
            if said["drill"] != state.start.drill or len(said["ends"]) < 2 <= len(state.ends):
                continue
            before = {end["site"]: str(end["state"]) for end in said["ends"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        now = {site: str(end.state) for site, end in state.ends.items()}
        names = sorted({*before, *now})
        changes = (Change(name, before.get(name, ""), now.get(name, "")) for name in names)
        return Comparison(folder.name, tuple(one for one in changes if one.before != one.now))
    return None

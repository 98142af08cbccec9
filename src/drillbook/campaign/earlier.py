"""Comparison with the last campaign of the same drill: sites whose state changed, sites that are new or gone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.campaign.attempt import CAMPAIGNS
from drillbook.campaign.record import REPORT, CampaignState


@dataclass(frozen=True, slots=True)
class Change:
    """A site whose state differs from that in the campaign before; empty where it was not in a campaign."""

    site: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Changes since an earlier campaign, whose name is ``campaign``."""

    campaign: str
    changes: tuple[Change, ...]

    def as_data(self) -> dict[str, Any]:
        """Return the comparison as JSON."""
        changes = [{"site": one.site, "before": one.before, "now": one.now} for one in self.changes]
        return {"campaign": self.campaign, "changes": changes}


def compared(reports: Path, state: CampaignState) -> Comparison | None:
    """Compare with the newest report of an earlier campaign of the same drill; None when there is none.

    Reads the reports of campaigns, newest first, up to that one, and no run.
    """
    own = state.start.campaign
    folders = [path.parent for path in (reports / CAMPAIGNS).glob(f"[!.]*/{REPORT}") if path.parent.name < own]
    for folder in sorted(folders, reverse=True):
        try:
            said = json.loads((folder / REPORT).read_bytes())
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

"""Compares a campaign with the last finished campaign of the same drill. The result lists new sites, sites that are missing
now, and sites with another state or with changed objectives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook.campaign.attempt import CAMPAIGNS
from drillbook.campaign.campaign_record import CampaignState, is_finished
from drillbook.journal.run_files import RESULT
from drillbook.report.objective_figures import recorded_figure
from drillbook.report.wording import SHORT


@dataclass(frozen=True, slots=True)
class Change:
    """A site that has changed since the earlier campaign. ``before``: state of the site in the earlier campaign; ``now``:
    its state in this campaign. The state is empty if the site was not part of the campaign.
    """

    site: str
    before: str
    now: str
    objectives: tuple[str, ...] = ()
    """Texts about changed objectives. Each text contains the name of the objective, the old measurement and the new
    measurement.
    """

    def as_data(self) -> dict[str, Any]:
        """Return the change as JSON data."""
        data: dict[str, Any] = {"site": self.site, "before": self.before, "now": self.now}
        return {**data, "objectives": list(self.objectives)} if self.objectives else data


@dataclass(frozen=True, slots=True)
class Comparison:
    """Changes since an earlier campaign."""

    campaign: str
    """Name of the earlier campaign."""
    changes: tuple[Change, ...]
    interrupted: tuple[str, ...] = ()
    """Names of interrupted campaigns, the newest first. They are newer than the campaign ``campaign``, and are not compared.
    """

    def as_data(self) -> dict[str, Any]:
        """Return the comparison as JSON data."""
        changes = [change.as_data() for change in self.changes]
        return {"campaign": self.campaign, "changes": changes, "interrupted": list(self.interrupted)}


def compared(reports: Path, state: CampaignState) -> Comparison | None:
    """Compare a campaign with the newest earlier campaign of the same drill that came to its end. Returns None when there
    is no such campaign.

    The reports of campaigns are read from the newest to the oldest until a suitable report is found. Reports of runs are not
    read.
    """
    own, interrupted = state.start.campaign, []
    folders = [path.parent for path in (reports / CAMPAIGNS).glob(f"[!.]*/{RESULT}") if path.parent.name < own]
    for folder in sorted(folders, reverse=True):
        try:
            said = json.loads((folder / RESULT).read_bytes())
            if said["drill"] != state.start.drill or len(said["ends"]) < 2 <= len(state.ends):
                continue
            if not is_finished(said):
                interrupted.append(folder.name)
                continue
            changes = tuple(_changes({end["site"]: end for end in said["ends"]}, state))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        return Comparison(folder.name, changes, tuple(interrupted))
    return None


def _changes(before: Mapping[str, Mapping[str, Any]], state: CampaignState) -> Iterator[Change]:
    """Yield the changed sites. ``before``: result of each site, read from the report of the earlier campaign."""
    for name in sorted({*before, *state.ends}):
        then, now = before.get(name), state.ends.get(name)
        states = (str(then["state"]) if then else "", str(now.state) if now else "")
        objectives = tuple(_differing(then.get("objectives") or {}, now.objectives)) if then and now else ()
        if states[0] != states[1] or objectives:
            yield Change(name, *states, objectives)


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Describe the changed objectives. An objective has changed if one campaign met it and the other missed it. It has also
    changed if its two measurements differ by more than the sum of their errors.
    """
    for name, new in now.items():
        old = before.get(name)
        if old is None or old["measured_s"] is None or new["measured_s"] is None:
            continue
        crossed = None not in (old["met"], new["met"]) and old["met"] != new["met"]
        if crossed or abs(new["measured_s"] - old["measured_s"]) > (old["error_s"] or 0.0) + (new["error_s"] or 0.0):
            figures = [recorded_figure(objective) for objective in (old, new)]
            end = f", {'met' if new['met'] else 'missed'} now" if crossed else ""
            yield f"{SHORT.get(name, name)} {figures[0]}, then {figures[1]}{end}"

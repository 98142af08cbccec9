"""Report of a campaign as JSON, JUnit XML and HTML. It lists the sites from the worst to the best. It is made from the
campaign's journal alone.
"""

from __future__ import annotations

import xml.etree.ElementTree as Tree
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import ChoiceLoader, PackageLoader

from drillbook.campaign import comparison, distribution
from drillbook.campaign.attempt import Ending
from drillbook.campaign.campaign_record import CampaignState
from drillbook.campaign.comparison import Comparison
from drillbook.campaign.scheduler import ENDS, SiteState, worst
from drillbook.exits import Exit
from drillbook.journal.run_files import JUNIT, PAGE, RESULT
from drillbook.report import pages, publish, remarks, wording
from drillbook.report.figures import seconds, shown
from drillbook.report.formats import Rendering, as_json
from drillbook.report.objective_figures import recorded_figure
from drillbook.report.remarks import Remark
from drillbook.report.rows import DOES_NOT_COUNT
from drillbook.report.wording import SHORT

SCHEMA = "drillbook/campaign/1"
OUTCOMES = {SiteState.FAILED: "failure", SiteState.UNKNOWN: "error", SiteState.REFUSED: "skipped"}


class Compared(NamedTuple):
    """A campaign, and its comparison with an earlier one. The comparison is None when there is no earlier campaign."""

    state: CampaignState
    before: Comparison | None


def write(folder: Path, state: CampaignState) -> None:
    """Write every file of ``FORMATS`` into the campaign's folder. Raises OSError when a file cannot be written."""
    publish.write_all(folder, FORMATS, Compared(state, comparison.compared(folder.parents[1], state)))


def result(state: CampaignState, before: Comparison | None = None) -> dict[str, Any]:
    """Return the content of ``result.json``. If the journal does not contain the end of the campaign, the campaign is
    unfinished, and its state is never `passed`.
    """
    ends, finished = ranked(state), state.finished
    return {
        "schema": SCHEMA,
        "campaign": state.start.campaign,
        "drill": state.start.drill,
        "state": finished.state if finished else str(_at_best_unknown(ends)),
        "exit": finished.exit if finished else int(Exit.UNVERIFIED),
        "started": state.began.isoformat(),
        "finished": state.ended_at,
        "stopped": state.stopped,
        "sites": {str(site_state): sum(end.state is site_state for end in ends) for site_state in ENDS},
        "without_end": [site["name"] for site in state.start.sites if site["name"] not in state.ends],
        "previous": before.as_data() if before else None,
        "ends": [end.as_data() for end in ends],
    }


def ranked(state: CampaignState) -> list[Ending]:
    """Return the results of all sites from the worst to the best. Sites with changes that could not be undone come first.
    Then the order depends on the state, and then on the largest ratio of a measurement to its objective.
    """
    return sorted(state.ends.values(), key=lambda end: (-end.residue, ENDS.index(end.state), -_share(end), end.site))


def _share(end: Ending) -> float:
    """Return the largest ratio of a measurement to its objective at this site. Returns 0 when nothing was measured."""
    ratios = [
        objective["measured_s"] / objective["target_s"]
        for objective in end.objectives.values()
        if objective["measured_s"] is not None and objective["target_s"]
    ]
    return max(ratios, default=0.0)


def _at_best_unknown(ends: list[Ending]) -> SiteState:
    return worst([*(end.state for end in ends), SiteState.UNKNOWN])


def figure(objective: dict[str, Any]) -> str:
    """Describe the figure of an objective, with its measurement error and its target. If there is no figure, describe the
    reason.
    """
    if objective["measured_s"] is None:
        return f"not verified: {objective.get('reason') or 'no measurement'}"
    mark = f" {said}" if (said := mark_of(objective)) else ""
    state = state_of(objective)
    if state == wording.NOT_VERIFIED:
        state = f"{DOES_NOT_COUNT}: {objective.get('reason') or 'the result gives no reason'}"
    return f"{recorded_figure(objective)}{mark}, target at most {seconds(objective['target_s'])}, {state}"


def mark_of(objective: dict[str, Any]) -> str:
    """Return the sign, such as ``†``, that marks a measurement and refers to a remark in the report. The result is empty
    when there is no remark, or when the journal is from an earlier version.
    """
    return str(objective.get("mark") or "")


def state_of(objective: dict[str, Any]) -> str:
    """Return the state of an objective of a site, as in the report of its run."""
    return wording.state_of(objective["met"], objective["measured_s"], Remark("", mark_of(objective)))


def junit(state: CampaignState) -> str:
    """Render ``junit.xml``. It contains one test case for each site."""
    ends = ranked(state)
    counts = {kind: str(sum(OUTCOMES.get(end.state) == kind for end in ends)) for kind in ("failure", "error", "skipped")}
    missing = [site["name"] for site in state.start.sites if site["name"] not in state.ends]
    suite = Tree.Element(
        "testsuite",
        {
            "name": shown(state.start.campaign),
            "tests": str(len(ends) + len(missing)),
            "failures": counts["failure"],
            "errors": str(int(counts["error"]) + len(missing)),
            "skipped": counts["skipped"],
        },
    )
    for end in [
        *ends,
        *(
            Ending(name, SiteState.UNKNOWN, message="the campaign did not record how the drill on this site ended")
            for name in missing
        ),
    ]:
        case = Tree.SubElement(suite, "testcase", {"classname": shown(state.start.drill), "name": shown(end.site)})
        if kind := OUTCOMES.get(end.state):
            Tree.SubElement(case, kind, {"message": shown(f"{end.state}: {end.message}")})
        elif end.message:
            Tree.SubElement(case, "system-out").text = shown(end.message)
    return Tree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def html(state: CampaignState, before: Comparison | None = None) -> str:
    """Render ``report.html``. It contains a link to the report of each run, and the changes since an earlier campaign.
    ``before``: comparison with that campaign.
    """
    loader = ChoiceLoader([PackageLoader("drillbook.campaign"), PackageLoader("drillbook.report")])
    template = pages.environment().overlay(loader=loader).get_template("campaign.html.j2")
    rows = [
        (end, [(SHORT.get(key, key), figure(objective)) for key, objective in end.objectives.items()])
        for end in ranked(state)
    ]
    return template.render(
        start=state.start,
        result=result(state, before),
        rows=rows,
        stopped=state.stopped,
        legend=remarks.legend(mark_of(objective) for end in state.ends.values() for objective in end.objectives.values()),
        plots=list(distribution.plots(state.ends.values())),
        size=(distribution.WIDTH, distribution.HEIGHT),
        before=before,
        run_page=PAGE,
    )


FORMATS = (
    Rendering[Compared](RESULT, lambda made: as_json(result(*made))),
    Rendering[Compared](JUNIT, lambda made: junit(made.state)),
    Rendering[Compared](PAGE, lambda made: html(*made)),
)
"""Report formats of a campaign."""

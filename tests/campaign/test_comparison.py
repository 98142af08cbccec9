"""Changes since the last campaign of a drill."""

import json

from drillbook.campaign import scorecard
from drillbook.campaign.scheduler import SiteState
from tests.campaign.test_distribution import ending
from tests.campaign.test_scorecard import state

FATES = {2: SiteState.FAILED}


def finished(*ends):
    """Campaign that came to its end."""
    found = state(*ends)
    found.ended_at = "2026-03-02T13:00:00Z"
    return found


def reported(tmp_path, name, found):
    """Write the report of a campaign of this name; returns what it says of the campaign before it."""
    folder = tmp_path / "campaigns" / name
    folder.mkdir(parents=True)
    found.start = found.start.model_copy(update={"campaign": name})
    scorecard.write(folder, found)
    return json.loads((folder / "result.json").read_text())["previous"], (folder / "report.html").read_text()


def test_figures_that_changed_beyond_their_errors_or_crossed_their_objective_are_listed(tmp_path):
    reported(tmp_path, "a", finished(ending(0, 10.0), ending(1, 10.0), ending(2, 59.9), ending(3, 10.0)))
    later = finished(ending(0, 10.9), ending(1, 12.0), ending(2, 60.2), ending(3, None))
    said, page = reported(tmp_path, "b", later)
    assert {one["site"]: one["objectives"] for one in said["changes"]} == {
        "s00001": ["RTO 10.0 s +0/−0.5 s, then 12.0 s +0/−0.5 s"],
        "s00002": ["RTO 59.9 s +0/−0.5 s, then 1 min 0.2 s +0/−0.5 s, missed now"],
    }
    assert "RTO 10.0 s +0/−0.5 s, then 12.0 s +0/−0.5 s" in page


def test_an_interrupted_campaign_is_named_and_not_compared(tmp_path):
    reported(tmp_path, "a", finished(*(ending(number, 10.0) for number in range(5))))
    reported(tmp_path, "b", state(*(ending(number, 10.0) for number in range(2))))
    said, page = reported(tmp_path, "c", finished(*(ending(number, 10.0) for number in range(5))))
    assert said == {"campaign": "a", "changes": [], "interrupted": ["b"]}
    assert "Not compared, because interrupted: <span" in page


def test_changes_since_the_last_campaign_of_the_drill_are_listed(tmp_path):
    first = finished(*(ending(number, 10.0) for number in range(4)))
    folder = tmp_path / "campaigns" / "b"
    for name, drill in (("a", "d"), ("b", "other")):
        (tmp_path / "campaigns" / name).mkdir(parents=True)
        first.start = first.start.model_copy(update={"campaign": name, "drill": drill})
        scorecard.write(tmp_path / "campaigns" / name, first)
    second = state(
        *(ending(number, 90.0 if number == 2 else 10.0, FATES.get(number, SiteState.PASSED)) for number in range(1, 5))
    )
    folder = tmp_path / "campaigns" / "c"
    folder.mkdir()
    scorecard.write(folder, second)
    said = json.loads((folder / "result.json").read_text())["previous"]
    assert said["campaign"] == "a"
    assert said["changes"] == [
        {"site": "s00000", "before": "passed", "now": ""},
        {
            "site": "s00002",
            "before": "passed",
            "now": "failed",
            "objectives": ["RTO 10.0 s +0/−0.5 s, then 1 min 30.0 s +0/−0.5 s, missed now"],
        },
        {"site": "s00004", "before": "", "now": "passed"},
    ]
    page = (folder / "report.html").read_text()
    assert "Since the last campaign" in page
    assert page.count('<rect class="over"') == 1

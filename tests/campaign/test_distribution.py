"""Distribution of results over sites, and changes since the last campaign."""

import json

from drillbook.campaign import distribution, scorecard
from drillbook.campaign.attempt import Ending
from drillbook.campaign.scheduler import SiteState
from tests.campaign.test_scorecard import objective, state


def ending(number, measured, fate=SiteState.PASSED):
    return Ending(f"s{number:05}", fate, objectives=objective(measured, None if measured is None else measured <= 60))


def test_each_site_is_a_dot_and_the_target_a_line():
    (plot,) = distribution.plots([ending(0, 10.0), ending(1, 90.0), ending(2, 30.0), ending(3, None)])
    assert [dot.met for dot in plot.dots] == [True, True, False]
    assert [dot.x for dot in plot.dots] == sorted(dot.x for dot in plot.dots)
    assert [dot.y for dot in plot.dots] == sorted((dot.y for dot in plot.dots), reverse=True)
    assert plot.dots[1].x < plot.target_x < plot.dots[2].x
    assert plot.name == "RTO"
    assert plot.text.startswith("median: 30.00 s (too few sites for a 95 % interval); 95 % of the sites: 90.00 s (")
    assert plot.text.endswith("longest: 90.00 s; target: 60 s; 3 sites with a measurement, 1 without")


def test_many_sites_bound_the_quantiles_on_both_sides_and_few_on_one():
    (plot,) = distribution.plots([ending(number, float(number)) for number in range(1, 31)])
    assert plot.text.startswith("median: 15.00 s (95 % interval 10.00 to 21.00 s)")
    assert "95 % interval: at least " in plot.text
    assert "?" not in plot.text


def test_one_measurement_is_no_distribution():
    assert list(distribution.plots([ending(0, 10.0), ending(1, None)])) == []


def test_changes_since_the_last_campaign_of_the_drill_are_listed(tmp_path):
    first = state(*(ending(number, 10.0) for number in range(4)))
    folder = tmp_path / "campaigns" / "b"
    for name, drill in (("a", "d"), ("b", "other")):
        (tmp_path / "campaigns" / name).mkdir(parents=True)
        first.start = first.start.model_copy(update={"campaign": name, "drill": drill})
        scorecard.write(tmp_path / "campaigns" / name, first)
    second = state(*(ending(number, 90.0, SiteState.FAILED if number == 2 else SiteState.PASSED) for number in range(1, 5)))
    folder = tmp_path / "campaigns" / "c"
    folder.mkdir()
    scorecard.write(folder, second)
    said = json.loads((folder / "result.json").read_text())["previous"]
    assert said["campaign"] == "a"
    assert said["changes"] == [
        {"site": "s00000", "before": "passed", "now": ""},
        {"site": "s00002", "before": "passed", "now": "failed"},
        {"site": "s00004", "before": "", "now": "passed"},
    ]
    page = (folder / "report.html").read_text()
    assert "Since the last campaign" in page
    assert page.count('<rect class="over"') == 4

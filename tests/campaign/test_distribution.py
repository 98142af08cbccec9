"""Distribution of results over sites."""

from drillbook.campaign import distribution
from drillbook.campaign.attempt import Ending
from drillbook.campaign.scheduler import SiteState
from tests.campaign.test_scorecard import objective


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

"""Report of a campaign: worst sites first, with errors and targets; it never shows a pass while a site has not ended."""

import xml.etree.ElementTree as Tree

from drillbook.campaign import attempt, scorecard
from drillbook.campaign.attempt import Ending
from drillbook.campaign.campaign_record import fold
from drillbook.campaign.scheduler import SiteState
from drillbook.report.remarks import LEGENDS, MARK, RESERVED
from tests.campaign.world import World, sites
from tests.report import samples
from tests.report.test_agreement import plain


def objective(measured, met):
    clock = "disruption to sustained recovery"
    return {"rto": {"target_s": 60.0, "measured_s": measured, "error_s": 0.5, "met": met, "clock": clock}}


def state(*ends):
    found = fold(World({}, sites(5)).events)
    found.ends = {end.site: end for end in ends}
    return found


def test_sites_are_ranked_by_residue_state_and_objective():
    found = state(
        Ending("s00000", SiteState.PASSED, objectives=objective(10.0, True)),
        Ending("s00001", SiteState.PASSED, objectives=objective(50.0, True)),
        Ending("s00002", SiteState.UNKNOWN),
        Ending("s00003", SiteState.FAILED, objectives=objective(90.0, False), run="r", head="h"),
        Ending("s00004", SiteState.FAILED, residue=2, message="<b>bad</b>"),
    )
    assert [end.site for end in scorecard.ranked(found)] == ["s00004", "s00003", "s00002", "s00001", "s00000"]
    page = scorecard.html(found)
    words = plain(page)
    assert "RTO 1 min 30.0 s +0/−0.5 s, target at most 1 min, missed" in words
    assert "✗ failed ! 2 changes not undone" in words
    assert "✓ passed" in words
    assert 'class="verdict failed"><svg' in "".join(page.splitlines())
    assert "../../r/report.html" in page
    assert "<b>bad</b>" not in page
    suite = Tree.fromstring(scorecard.junit(found))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "2", "1")


def test_a_campaign_without_its_end_is_no_pass():
    found = state(Ending("s00000", SiteState.PASSED))
    result = scorecard.result(found)
    assert (result["state"], result["exit"], len(result["without_end"])) == ("unknown", 3, 4)
    assert Tree.fromstring(scorecard.junit(found)).get("errors") == "4"
    assert "The end of 4 sites is not recorded" in scorecard.html(found)


def test_an_objective_with_a_mark_is_met_with_a_reservation_and_the_mark_is_explained():
    marked = objective(10.0, True)["rto"] | {"mark": MARK, "clock": "acknowledged writes"}
    found = state(Ending("s00000", SiteState.PASSED, objectives={"rpo": marked} | objective(10.0, True)))
    words = plain(scorecard.html(found))
    assert f"RPO 10.0 s ± 0.5 s {MARK}, target at most 1 min, {RESERVED}" in words
    assert "RTO 10.0 s +0/−0.5 s, target at most 1 min, met" in words
    assert words.count(LEGENDS[MARK]) == 1
    assert scorecard.figure(marked | {"met": False}).endswith(", missed")
    assert LEGENDS[MARK] not in plain(
        scorecard.html(state(Ending("s00000", SiteState.PASSED, objectives=objective(1.0, True))))
    )


def test_the_objectives_of_a_site_have_the_marks_of_its_run():
    found = attempt._objectives([samples.passed()])
    assert {key: one.get("mark") for key, one in found.items()} == {"rto": None, "rpo": MARK, "detect": None}


def test_a_figure_of_which_only_the_upper_end_is_known_says_so():
    assert scorecard.figure(objective(0.2, True)["rto"] | {"clock": ""}) == "at most 0.7 s, target at most 1 min, met"

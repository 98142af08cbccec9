"""The judge: from synthetic journals to verdicts, clocks and findings."""

import pytest

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, Story, grid


def test_a_run_in_which_all_went_well(tmp_path):
    result = Story(tmp_path).good().judge().result
    assert (result.verdict, result.exit) == (Verdict.PASSED, 0), result.reason
    assert result.clocks["rto_s"] == pytest.approx(2.41)
    assert result.clocks["rto_error_s"] == pytest.approx(0.11)
    assert result.clocks["outage_s"] == pytest.approx(2.31)
    assert result.clocks["detection_s"] == pytest.approx(0.11)
    assert result.clocks["detection_error_s"] == pytest.approx(0.11), "no further back than the disruption"
    assert result.clocks["restore_s"] == pytest.approx(1.0)
    assert result.clocks["verified_s"] == pytest.approx(4.0)
    assert result.objectives["rto"].met is True
    assert result.objectives["rpo"].measured_s == 0
    assert result.objectives["rpo"].lost_writes == 0
    assert result.objectives["rpo"].acknowledged_writes == 199
    assert result.findings == ()


def test_a_killed_run_says_nothing_of_what_its_probes_would_have_seen(tmp_path):
    """The last samples were still in the memory of the controller."""
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True)).canary(ACKS[:200], [[1, 200]])
    result = story.judge().result
    assert "no-outage-seen" not in {one.code for one in result.findings}
    assert "no bad sample was recorded before the controller died" in result.objectives["rto"].reason


def test_judging_twice_gives_the_same(tmp_path):
    story = Story(tmp_path).good()
    assert story.judge() == story.judge()

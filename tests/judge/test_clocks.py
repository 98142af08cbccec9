"""Clocks of a run: no figure spans a time that was not measured."""

import pytest

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, SAMPLES, Story, codes, slept


def test_no_figure_spans_a_time_in_which_the_controller_was_suspended(tmp_path):
    story = Story(tmp_path).good()
    at = {(event.kind, event.data.get("phase")): index for index, event in enumerate(story.events)}
    before, restoring = at["phase.started", "inject"], at["phase.started", "restore"]
    restored, verified = at["phase.ended", "restore"], at["phase.ended", "verify"]
    result = slept(story, (before, 3.0), (restoring, 3.0), (restored, 303.0), (verified, 303.0))
    for clock in ("rto_s", "outage_s", "restore_s", "verified_s"):
        assert (result.clocks[clock], result.unmeasured[clock]) == (None, "the controller was suspended for 300.000 s")
    assert result.clocks["detection_s"] == pytest.approx(0.11), "it was awake until then"
    assert result.objectives["rpo"].met is True, "no write was lost, however long it took"
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "controller-suspended" in codes(result)


@pytest.mark.parametrize(
    "told",
    [
        lambda at: [(at["phase.started", "inject"], 0.0), (at["phase.ended", "verify"], 0.05)],
        lambda at: [
            (at["run.started", None], 0.0),
            (at["phase.started", "inject"], 500.0),
            (at["phase.ended", "verify"], 500.0),
        ],
    ],
)
def test_a_suspension_before_the_fault_or_of_no_length_counts_for_nothing(tmp_path, told):
    story = Story(tmp_path).good()
    at = {(event.kind, event.data.get("phase")): index for index, event in enumerate(story.events)}
    assert slept(story, *told(at)).verdict is Verdict.PASSED


def test_figures_of_a_phase_that_failed_are_not_told(tmp_path):
    result = (
        Story(tmp_path)
        .fault()
        .availability(*SAMPLES)
        .canary(ACKS, [[1, 400]])
        .recovery(verify="failed")
        .end()
        .judge()
        .result
    )
    assert (result.clocks["verified_s"], result.unmeasured["verified_s"]) == (None, "the verification failed")
    assert result.clocks["restore_s"] == pytest.approx(1.0)
    result = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery("failed").end().judge().result
    assert (result.clocks["restore_s"], result.unmeasured["restore_s"]) == (None, "the restore failed")

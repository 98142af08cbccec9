"""Objectives: met, missed or not verified."""

import pytest

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, DRILL, SAMPLES, Story, codes, started
from tests.plan.test_planner import made


def test_an_objective_met_only_without_its_error_is_not_met(tmp_path):
    text = DRILL.replace("rto: 5s", "rto: 2450ms")
    story = Story(tmp_path)
    story.plan = made(tmp_path, drill=text)
    story.events.clear()
    story.add(
        0.0,
        "run.started",
        run="r1",
        plan=story.plan.model_dump(mode="json"),
        plan_digest=story.plan.digest,
        tool="drillbook",
        operator="me",
        controller="here",
    )
    result = story.good().judge().result
    assert result.objectives["rto"].met is None
    assert "only when its error of " in result.objectives["rto"].reason
    assert result.verdict is Verdict.INCONCLUSIVE


def test_where_the_verification_did_not_pass_only_what_detects_counts(tmp_path):
    result = started(tmp_path).recovery(verify="unverified").end().judge().result
    assert {key: one.met for key, one in result.objectives.items()} == {"rto": None, "rpo": None, "detect": True}
    for key in ("rto", "rpo"):
        assert result.objectives[key].reason == "the verification did not pass (verify.1)"
        assert result.objectives[key].measured_s is not None, "it was measured all the same"
    assert result.objectives["detect"].reason is None


def test_an_objective_that_has_a_reason_of_its_own_keeps_it(tmp_path):
    story = (
        Story(tmp_path)
        .fault()
        .availability(*SAMPLES)
        .canary(ACKS, [], error="no server")
        .recovery(verify="unverified")
        .end()
    )
    objectives = story.judge().result.objectives
    assert objectives["rpo"].reason == "the canary could not be read back: no server"
    assert objectives["rto"].reason == "the verification did not pass (verify.1)"
    assert (objectives["rpo"].lost_writes, objectives["rpo"].acknowledged_writes) == (None, None)


@pytest.mark.parametrize(("target", "met"), [("2s", False), ("2410ms", None), ("2519ms", None), ("2521ms", True)])
def test_an_objective_is_met_with_its_error_or_not_at_all(tmp_path, target, met):
    """The value was 2.41 s with an error of 0.11 s."""
    one = started(tmp_path, DRILL.replace("rto: 5s", f"rto: {target}")).recovery().end().judge().result.objectives["rto"]
    assert one.met is met
    assert (one.target_s, one.measured_s, one.error_s) == (
        float(target.removesuffix("ms")) / 1000 if "ms" in target else 2.0,
        pytest.approx(2.41),
        pytest.approx(0.11),
    )
    assert ("only when its error of 0.110 s is ignored" in (one.reason or "")) is (met is None)


def test_every_objective_names_its_clock(tmp_path):
    objectives = started(tmp_path).recovery().end().judge().result.objectives
    assert {key: one.clock for key, one in objectives.items()} == {
        "rto": "disruption to sustained recovery",
        "rpo": "acknowledged writes",
        "detect": "disruption to the end of the first bad sample",
    }
    assert {key: one.acknowledged_writes for key, one in objectives.items()} == {"rto": None, "rpo": 199, "detect": None}


@pytest.mark.parametrize("objectives", ["{rto: 5s, rpo: 1s, detect: 1s}", "{}"])
def test_what_was_restored_from_a_backup_that_nobody_vouches_for_is_not_verified(tmp_path, objectives):
    """The restore continues, because a fault is active; this does not prove that it restored the lost data."""
    story = Story(tmp_path, DRILL.replace("{rto: 5s, rpo: 1s, detect: 1s}", objectives)).good()
    assert story.judge().result.verdict is Verdict.PASSED
    done = next(event for event in story.events if (event.kind, event.step) == ("done", "restore.1"))
    story.change(done.seq, facts={"unvouched": "it is not signed"})
    result = story.judge().result
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "restore.1 used a backup that has no trusted signature" in result.reason


def test_a_run_that_ended_early_after_the_fault_says_what_that_means_for_its_objectives(tmp_path):
    story = started(tmp_path).add(11.0, "ended.early", why="failed", message="a guard stopped it", findings=[])
    result = story.end().judge().result
    assert (result.verdict, result.reason) == (Verdict.FAILED, "a guard stopped it")
    assert "objective-not-verified" in codes(result)
    story = Story(tmp_path).availability(*SAMPLES).canary(ACKS, [[1, 400]]).end()
    assert "objective-not-verified" in codes(story.judge().result), "and so does one without a fault that did not end early"

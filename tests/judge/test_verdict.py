"""The verdict and its reason: a doubtful run never passes."""

import pytest

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, DRILL, SAMPLES, Story, codes, started


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda s: s.fault(active=False).recovery(), Verdict.INCONCLUSIVE),
        (lambda s: s.fault(active=None).recovery(), Verdict.INCONCLUSIVE),
        (lambda s: s.fault().recovery(verify="failed"), Verdict.FAILED),
        (lambda s: s.fault().recovery(verify="unverified"), Verdict.INCONCLUSIVE),
        (lambda s: s.fault().recovery(verify="error"), Verdict.INCONCLUSIVE),
        (lambda s: s.fault().recovery(restore="failed"), Verdict.FAILED),
        (lambda s: s.fault().recovery(restore="error"), Verdict.FAILED),
        (lambda s: s.fault(), Verdict.INCONCLUSIVE),
        (lambda s: s.fault().add(11, "ended.early", why="aborted", message="stopped", findings=[]), Verdict.ABORTED),
        (lambda s: s.add(1, "ended.early", why="refused", message="not ready", findings=[]), Verdict.REFUSED),
    ],
)
def test_what_could_not_be_verified_never_passes(tmp_path, change, verdict):
    story = Story(tmp_path).availability(*SAMPLES).canary(ACKS, [[1, 400]])
    change(story)
    result = story.end().judge().result
    assert result.verdict is verdict, result.reason
    assert result.exit != 0


def test_an_allowed_failure_passes_with_its_reason_but_not_in_verify(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    story.add(11.0, "phase.started", phase="restore")
    story.step(11.0, 12.0, "restore.1", "app-1", "failed", allowed="known to be flaky")
    story.add(12.0, "phase.ended", phase="restore", status="done").phase(12.0, 14.0, "verify")
    story.step(12.5, 13.0, "verify.1", "controller")
    result = story.end().judge().result
    assert result.verdict is Verdict.PASSED, result.reason
    assert [(one.code, one.wanted) for one in result.findings] == [("allowed-failure", "known to be flaky")]


TWO_CHECKS = DRILL.replace(
    "verify:\n", "verify:\n  - http.responds: {url: \"{{ services.api.url }}/all\"}\n    when: environment == 'x'\n"
)


def test_a_verification_that_was_left_out_is_not_passed(tmp_path):
    story = Story(tmp_path, TWO_CHECKS).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    story.phase(11.0, 12.0, "restore").add(12.0, "phase.started", phase="verify")
    story.add(12.1, "skipped", "verify.1", why="when: environment == 'x'").step(12.5, 13.0, "verify.2", "controller")
    result = story.add(14.0, "phase.ended", phase="verify", status="done").end().judge().result
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "verify.1 was skipped (when: environment == 'x')" in result.reason
    assert "verification-skipped" in codes(result)
    assert result.objectives["rto"].met is None


def test_a_fault_that_was_never_injected_is_never_passed(tmp_path):
    story = Story(tmp_path).availability(*SAMPLES).canary(ACKS, [[1, 400]]).phase(10.0, 10.1, "inject")
    story.add(10.1, "skipped", "inject.1", why="when: false")
    result = story.recovery().end().judge().result
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "fault-unproven" in {one.code for one in result.findings}


@pytest.mark.parametrize("end", range(1, 16))
def test_a_journal_cut_anywhere_is_never_passed(tmp_path, end):
    story = Story(tmp_path).good()
    story.events = story.events[:-end]
    assert story.judge().result.verdict is not Verdict.PASSED


def test_steps_behind_the_verification_are_no_verification(tmp_path):
    story = Story(tmp_path, DRILL + "cleanup:\n  - service.status: {service: api}\n").good()
    story.events.pop()
    story.step(16.0, 16.1, "cleanup.1", "app-1", "failed", allowed="never mind")
    assert story.end().judge().result.verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("tell", "reason"),
    [
        (lambda story: story, "the verification did not run"),
        (lambda story: story.add(12.0, "phase.started", phase="verify"), "the verification did not run"),
        (lambda story: story.phase(12.0, 14.0, "verify"), "the verification verify.1 was skipped ()"),
    ],
)
def test_without_its_verification_no_drill_passes_also_where_it_has_no_objective(tmp_path, tell, reason):
    head, _, rest = DRILL.replace("{rto: 5s, rpo: 1s, detect: 1s}", "{}").partition("probes:\n")
    story = Story(tmp_path, f"{head}inject:{rest.partition('inject:')[2]}").fault().phase(11.0, 12.0, "restore")
    result = tell(story).end().judge().result
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize(
    ("step", "outcome", "message", "verdict", "reason"),
    [
        ("backup.1", "failed", "no room\nreally", Verdict.FAILED, "backup.1 command.run failed: no room"),
        ("backup.1", "error", "", Verdict.FAILED, "backup.1 command.run failed: "),
        ("detect.1", "failed", "no", Verdict.FAILED, "detect.1 command.run failed: no"),
        ("detect.1", "error", "no", Verdict.INCONCLUSIVE, "detect.1 command.run could not be carried out"),
        ("detect.1", "unverified", "no", Verdict.INCONCLUSIVE, "detect.1 command.run could not be carried out"),
        ("detect.1", "cancelled", "no", Verdict.INCONCLUSIVE, "detect.1 command.run could not be carried out"),
        ("inject.1", "failed", "no", Verdict.INCONCLUSIVE, "inject.1 service.kill could not be carried out"),
    ],
)
def test_the_reason_names_the_step_that_decided(tmp_path, step, outcome, message, verdict, reason):
    run = "  - command.run: {argv: [look], effect: read}\n    hosts: app-1\n"
    drill = DRILL.replace("inject:\n", f"backup:\n{run}inject:\n").replace("restore:\n", f"detect:\n{run}restore:\n")
    story = Story(tmp_path, drill)
    story.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery().step(15.0, 15.5, step, "app-1", outcome)
    story.change(-1, message=message)
    result = story.end().judge().result
    assert (result.verdict, result.reason) == (verdict, reason)


def test_what_could_not_be_recorded_in_time_keeps_a_run_from_passing(tmp_path):
    story = started(tmp_path).recovery()
    story.add(21.0, "run.finished", residue=[], unwritten="no space left")
    story.add(21.1, "trace.missed", to="x", message="y")
    result = story.judge().result
    assert (result.verdict, result.reason) == (
        Verdict.INCONCLUSIVE,
        "some events of the run could not be recorded in time: no space left",
    )
    story = started(tmp_path).add(10.5, "observer.failed", unwritten="of something else").recovery().end()
    assert story.judge().result.verdict is Verdict.PASSED

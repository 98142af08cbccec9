"""Findings of a run: each once, the gravest first."""

import pytest

from drillbook.judge.comparison import reduced
from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, COMMANDS, DRILL, SAMPLES, Story, codes, grid, started


def test_what_was_put_back_too_late_is_not_asked_for_again(tmp_path):
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]])
    (one,) = [one for one in story.recovery().end().judge().result.findings if one.code == "not-recovered"]
    assert "by hand now" in one.remedy
    intent = next(event.seq for event in story.events if event.kind == "intent")
    story.events.pop()
    story.add(20.5, "undone", "inject.1", "app-1", intent=intent, message="undone")
    (one,) = [one for one in story.end().judge().result.findings if one.code == "not-recovered"]
    assert (
        "The faults were undone at 20.500 s, after the end of the verification at 14.000 s. This is too late" in one.remedy
    )


@pytest.mark.parametrize(
    ("undone", "said"),
    [
        (
            13.95,
            "no sample after that was bad. But the verification ended at 14.000 s, which is too soon after the last bad",
        ),
        (13.5, "but the service was still bad after that. Check if the service is good now"),
        (14.5, "after the end of the verification at 14.000 s. This is too late to count as recovery"),
    ],
)
def test_the_remedy_tells_a_late_undo_from_a_verification_that_ended_too_soon(tmp_path, undone, said):
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 13.9, False))
    story.canary(ACKS, [[1, 400]]).recovery()
    story.add(undone, "undone", "inject.1", "app-1", intent=0, message="undone")
    story.events.sort(key=lambda event: event.clock)
    story.events[:] = [event.model_copy(update={"seq": number}) for number, event in enumerate(story.events)]
    kinds = [event.kind for event in story.events]
    story.change(kinds.index("undone"), intent=kinds.index("intent"))
    (one,) = [one for one in story.end().judge().result.findings if one.code == "not-recovered"]
    assert said in one.remedy
    assert ("too late" in one.remedy) is (undone > 14.0)


def test_a_run_that_ended_before_anything_was_broken_says_why_once(tmp_path):
    story = Story(tmp_path)
    story.add(1.0, "ended.early", why="refused", message="outside its window", findings=[])
    result = story.end().judge().result
    assert (result.verdict, result.reason) == (Verdict.REFUSED, "outside its window")
    assert codes(result) & {"objective-not-verified", "objective-missed"} == set()


def test_a_step_that_was_cancelled_is_no_finding_of_its_own(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    story.step(11.0, 12.0, "restore.1", "app-1", "cancelled", effect="write")
    story.add(12.0, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[])
    result = story.end().judge().result
    assert "step-failed" not in codes(result)
    assert result.verdict is Verdict.ABORTED


def test_of_several_reasons_to_end_early_the_first_is_told(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    for message in ("the fault could not be injected", "something else"):
        story.add(11.0, "ended.early", why="inconclusive", message=message, findings=[])
    result = story.end().judge().result
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, "the fault could not be injected")
    assert "aborted" not in codes(result)


def test_findings_of_objectives_say_what_was_wanted_and_measured(tmp_path):
    drill = DRILL.replace("rto: 5s", "rto: 2s").replace("detect: 1s", "detect: 10ms")
    story = Story(tmp_path, drill).fault().availability(*SAMPLES).canary(ACKS, [], error="no server").recovery().end()
    told = {
        one.title: (one.code, one.wanted, one.measured)
        for one in story.judge().result.findings
        if one.code.startswith("objective-")
    }
    assert told == {
        "An objective was missed: RTO": ("objective-missed", "at most 2 s", "2.410 s"),
        "An objective was missed: DETECT": ("objective-missed", "at most 0.01 s", "0.110 s"),
        "An objective could not be verified: RPO": (
            "objective-not-verified",
            "at most 1 s",
            "not measured: the canary could not be read back: no server",
        ),
    }


@pytest.mark.parametrize(
    ("step", "why", "told"),
    [("verify.1", "when: false", True), ("verify.1", "the run was stopped", False), ("restore.1", "when: false", False)],
)
def test_only_a_verification_that_its_condition_left_out_is_a_finding(tmp_path, step, why, told):
    result = started(tmp_path).add(11.0, "skipped", step, why=why).end().judge().result
    assert [(one.step, one.measured) for one in result.findings if one.code == "verification-skipped"] == (
        [(step, why)] if told else []
    )


def test_findings_are_told_by_their_weight(tmp_path):
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no", "by_hand": "start it"}
    story = Story(tmp_path, DRILL.replace("rto: 5s", "rto: 2s"))
    story.add(0.1, "lock.taken", None, "app-1", name="api", token=2, services=["api"], taken_from={"run": "r0"})
    story.fault().availability(*SAMPLES).canary(ACKS, [[1, 400]])
    story.add(11.0, "ended.early", why="aborted", message="stopped by hand", findings=[])
    findings = story.end([left]).judge().result.findings
    assert [str(one.severity) for one in findings] == sorted(
        [str(one.severity) for one in findings], key=["critical", "high", "medium", "low"].index
    )
    assert {str(one.severity) for one in findings} == {"critical", "high", "medium", "low"}
    residue = findings[0]
    assert (residue.code, residue.measured, residue.remedy, residue.step, residue.host) == (
        "residue",
        "no",
        "start it",
        "inject.1",
        "app-1",
    )
    assert residue.title.endswith(": service.kill on app-1")
    (aborted,) = [one for one in findings if one.code == "aborted"]
    assert aborted.measured == "stopped by hand"


@pytest.mark.parametrize(
    ("answer", "measured"),
    [
        ({"active": True, "detail": ""}, None),
        ({"active": None, "detail": ""}, "active: None"),
        ({"active": False, "detail": "it is back"}, "it is back"),
        (None, "the fault was not injected"),
    ],
)
def test_a_fault_that_was_not_proven_says_what_was_answered(tmp_path, answer, measured):
    story = Story(tmp_path).availability(*SAMPLES).canary(ACKS, [[1, 400]])
    assert "fault-unproven" not in codes(story.judge().result), "it did not come so far"
    story.phase(9.9, 10.2, "inject")
    if answer:
        story.step(10.0, 10.1, "inject.1", "app-1", effect="fault", undo=COMMANDS)
        story.add(10.2, "fault.active", "inject.1", "app-1", **answer)
    story.add(10.3, "fault.gone", "inject.1", "app-1", active=False, detail="gone")
    found = [one for one in story.judge().result.findings if one.code == "fault-unproven"]
    assert [(one.measured, one.step, one.host) for one in found] == ([(measured, "inject.1", "app-1")] if measured else [])


def test_what_a_failure_found_is_told_instead_of_the_failure_itself(tmp_path):
    known = {"code": "expectation", "severity": "high", "title": "An expectation", "step": "restore.1", "host": "app-1"}
    story = started(tmp_path).step(11.0, 12.0, "restore.1", "app-1", "failed")
    (plain,) = [one for one in story.judge().result.findings if one.code in ("step-failed", "expectation")]
    assert (plain.code, plain.measured, plain.step, plain.host) == ("step-failed", "it broke", "restore.1", "app-1")
    story.change(-1, findings=[known])
    assert [one.title for one in story.judge().result.findings if one.code in ("step-failed", "expectation")] == [
        "An expectation"
    ]
    story.change(-1, allowed="never mind")
    (allowed,) = [one for one in story.judge().result.findings if one.step == "restore.1"]
    assert (allowed.code, allowed.wanted, allowed.measured) == ("allowed-failure", "never mind", "it broke")


def test_an_early_end_keeps_what_it_found(tmp_path):
    noted = {"code": "guard-tripped", "severity": "high", "title": "A guard"}
    for why, told in (("refused", ["A guard"]), ("aborted", ["A guard", "The run was stopped before its end"])):
        story = Story(tmp_path).add(1.0, "ended.early", why=why, message="stopped", findings=[noted])
        assert [one.title for one in story.end().judge().result.findings] == told


@pytest.mark.parametrize(
    ("change", "since"),
    [
        (lambda story, left: story.add(20.0, "recovery.finished", residue=[]), True),
        (lambda story, left: story.add(20.0, "recovery.finished", residue=[left]), False),
        (lambda story, left: story.add(20.0, "recovery.finished", residue=[]).add(20.1, "note"), False),
        (lambda story, left: story, False),
        (
            lambda story, left: story.add(
                19.0, "residue.settled", by="ann", reason="gone", changes=[], approval=None, intents=[], residue=[left]
            ).add(20.0, "recovery.finished", residue=[], kept=[]),
            False,
        ),
    ],
)
def test_a_service_that_a_recovery_brought_back_is_not_asked_for_again(tmp_path, change, since):
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no", "by_hand": "start it"}
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]])
    story.recovery().end([left]).add(0.0, "recovery.started", operator="me", tool="drillbook")
    result = change(story, left).judge().result
    (found,) = [one for one in result.findings if one.code == "not-recovered"]
    assert ("`invoke drill.recover` undid the faults at 2026-01-01T00:00:20Z" in found.remedy) is since
    assert found.title.endswith("; recovered later at 2026-01-01T00:00:20Z by me") is since
    assert found.severity == "critical", "the finding stays what it was"
    assert not any("recovered later" in title for _, title in reduced(result).findings), "a later run compares the finding"
    assert {one.code for one in result.findings} >= {"objective-not-verified"}


@pytest.mark.parametrize("died", [True, False])
def test_a_recovery_of_a_run_whose_controller_died_asks_nobody_why(tmp_path, died):
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]])
    story.recovery()
    story = (story if died else story.end()).add(0.0, "recovery.started", operator="me", tool="drillbook")
    result = story.add(20.0, "recovery.finished", residue=[]).judge().result
    (found,) = [one for one in result.findings if one.code == "not-recovered"]
    assert "`invoke drill.recover` undid the faults at 2026-01-01T00:00:20Z" in found.remedy
    assert ("The controller died before the run recorded an undo of the faults" in found.remedy) is died
    assert ("Find out why" in found.remedy) is not died


@pytest.mark.parametrize(("armed", "reverted"), [([1], True), ([1], False), ([], True)])
def test_a_target_that_undid_the_faults_by_itself_is_named(tmp_path, armed, reverted):
    story = Story(tmp_path).fault().availability(*grid(5.0, 10.1, True), *grid(10.1, 16.0, False)).canary(ACKS, [[1, 400]])
    story.recovery().add(0.0, "recovery.started", operator="me", tool="drillbook")
    story.add(19.0, "lease.adopted", None, "app-1", armed=armed, reverted=reverted)
    result = story.add(20.0, "recovery.finished", residue=[]).judge().result
    (finding,) = [each for each in result.findings if each.code == "not-recovered"]
    named = "app-1 undid the faults without the controller" in finding.remedy
    assert named is (bool(armed) and reverted)
    assert ("`invoke drill.recover` undid the faults" in finding.remedy) is not named
    assert "at 2026-01-01T00:00:20Z" in finding.remedy

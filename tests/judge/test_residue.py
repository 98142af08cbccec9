"""Changes that a run could not undo."""

from drillbook.judge.result import Verdict
from tests.judge.story import ACKS, SAMPLES, Story


def test_residue_overrides_everything(tmp_path):
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery()
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no", "by_hand": "start it"}
    result = story.end(residue=[left]).judge().result
    assert result.exit == 5
    assert result.residue[0].by_hand == "start it"


def test_a_dead_controller_leaves_its_intents_as_residue(tmp_path):
    result = Story(tmp_path).availability(*SAMPLES).fault().judge().result
    assert result.verdict is Verdict.ABORTED
    assert result.exit == 5
    assert result.residue[0].step == "inject.1"


def test_a_recovery_changes_what_is_left_but_not_what_the_run_showed(tmp_path):
    left = {"step": "inject.1", "host": "app-1", "what": "service.kill", "why": "no", "by_hand": "start it"}
    story = Story(tmp_path).fault().availability(*SAMPLES).canary(ACKS, [[1, 400]]).recovery(verify="failed").end([left])
    before = story.judge().result
    story.add(0.0, "recovery.started", operator="me", tool="drillbook").recovery()
    story.add(20.0, "recovery.finished", residue=[])
    after = story.judge().result
    assert (before.verdict, before.exit) == (Verdict.FAILED, 5)
    assert (after.verdict, after.exit, after.residue) == (Verdict.FAILED, 1, ())
    assert after.clocks == before.clocks
    assert [step.status for step in after.steps] == [step.status for step in before.steps]


def test_what_a_dead_controller_wrote_without_undo_is_no_residue_but_a_fault_without_one_is(tmp_path):
    nothing = {"kind": "nothing", "commands": [], "action": "", "params": {}, "why": "it stays"}
    story = Story(tmp_path)
    story.step(10.0, 10.2, "restore.1", "app-1", effect="write", undo=nothing)
    assert story.judge().result.residue == ()
    story.step(10.3, 10.4, "inject.1", "app-1", effect="fault", undo=nothing)
    assert [one.step for one in story.judge().result.residue] == ["inject.1"]
    commands = {"kind": "commands", "commands": [["start"]], "action": "", "params": {}, "why": ""}
    story.step(10.5, 10.6, "restore.1", "app-1", effect="write", undo=commands)
    assert [one.step for one in story.judge().result.residue] == ["inject.1", "restore.1"]

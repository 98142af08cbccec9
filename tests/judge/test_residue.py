"""Changes that a run could not undo."""

from drillbook.inventory import inventory
from drillbook.judge.result import Verdict
from drillbook.plan import planner, spec
from tests.judge.story import ACKS, SAMPLES, Story, killed_before_its_restore


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


def test_lost_data_names_the_host_of_its_service_and_the_backup_that_the_run_verified(tmp_path):
    view = killed_before_its_restore(tmp_path).judge()
    told = next(one for one in view.by_hand if one.step == "inject.1")
    assert (told.host, told.place) == ("controller", "db-1")
    assert told.text.startswith(
        "on db-1, restore the data of database from s3://bucket/dump#sha256=12, the backup that this run verified: the table"
    )
    assert "`invoke drill.recover r1 --from-backup` does this, without the drill's own restore" in told.text
    assert view.result.residue[0].by_hand.startswith("on controller, restore the service"), "result.json never changes"
    unproven = killed_before_its_restore(tmp_path, proven=False).judge().by_hand[0].text
    assert "from its newest verified backup (the journal names none that this run verified)" in unproven
    assert "--from-backup" not in unproven


def test_an_undo_by_an_action_has_the_drill_that_does_it_and_may_run_after_a_dead_run(tmp_path):
    story = killed_before_its_restore(tmp_path)
    told = next(one for one in story.judge().by_hand if one.step == "restore.1")
    first, *commands = told.text.splitlines()
    assert first == "for db-1, on this machine in the folder of the project, in this order:"
    assert commands[0] == "cat > drills/undo-restore-1.yml <<'END'"
    assert commands[-2:] == ["END", "invoke drill undo-restore-1"]
    path = tmp_path / "undo-restore-1.yml"
    path.write_text("\n".join(commands[1:-2]))
    plan = planner.make(spec.load(path), inventory.load(tmp_path / "hosts.yml"))
    assert [(step.action, step.params["service"]) for step in plan.steps] == [("postgres.admit_table", "database")]
    assert plan.only_restores(), "no other drill may run on the hosts of a run that left changes"
    assert plan.environments == ("lab",)


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

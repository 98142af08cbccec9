"""End of a run: the order of undos, and that a failing part does not prevent the others."""

import pytest

from drillbook.engine import revert
from drillbook.engine.teardown import Ending
from drillbook.hosts.fake import Reply
from drillbook.judge.result import Verdict
from drillbook.sdk import target_folders
from tests.engine.test_recovery_machine import planned
from tests.machine.small import Small
from tests.machine.world import LOST, Controller, World


class Blocked(World):
    """Lost data is restored only after everything that could prevent the restore is undone."""

    def _restore(self, host):
        if any(not thing.startswith((LOST, "door", "somebody")) for thing in host.files):
            return Reply(1, stderr=b"something stands in the way")
        return super()._restore(host)


@pytest.fixture
def world(tmp_path, monkeypatch, pretended):
    world = Blocked()
    for host in world.hosts.values():
        host.on("look", Reply(0))
    return world


@pytest.fixture
def small(tmp_path, world):
    small = Small(tmp_path, world.hosts)
    small.world = world
    return small


def lost(small, *breaks):
    """Hand-made plan of a drill that loses data for good and also breaks ``breaks``; no drill file could say this."""
    kinds = [
        {"action": action, "how": "commands", "hosts": ("a",), "trouble": trouble, "beside": False}
        for action, trouble in breaks
    ]
    return planned(kinds, small.plan("restore:\n").inventory)


def test_what_stands_in_the_way_of_a_restore_is_put_back_before_it(small):
    residue = small.run(lost(small, ("lose", ""), ("break", "after")), small.world.saw)
    assert residue == []
    assert small.world.things() == set()
    steps = [(event.kind, event.step) for event in small.events if event.kind in ("undone", "step.started")]
    assert steps.index(("undone", "inject.2")) < steps.index(("step.started", "restore.1"))
    assert small.result.verdict is Verdict.INCONCLUSIVE
    assert small.result.exit == 3


def test_a_recovery_puts_back_first_what_stands_in_the_way_too(small, tmp_path):
    controller = Controller(lost(small, ("lose", ""), ("break", "")), small.world, tmp_path)
    ran = controller.run()
    dead = next(
        number
        for number, event in enumerate(small.events)
        if event.kind == "phase.ended" and event.data["phase"] == "inject"
    )
    controller.died(dead, ran)
    assert {thing for _, thing in small.world.things()} == {"2", f"{LOST}1"}
    assert controller.recover() == []
    assert small.world.things() == set()


def test_a_restore_that_was_not_reached_is_carried_out_at_the_end(small):
    assert small.run(lost(small, ("lose", "after")), small.world.saw) == []
    assert ("phase.started", "restore") in [(event.kind, event.data.get("phase")) for event in small.events]
    assert small.world.things() == set()


class Recorded:
    """Probes that only record the order in which they are read and stopped."""

    def __init__(self, calls, broken=""):
        self.calls, self.broken = calls, broken
        self.canaries = [self]
        self.id, self.probe, self.written = "probe.1", self, 0

    def stop(self):
        self.calls.append("stop")

    def read_back(self, context):
        self.calls.append("read back")
        if self.broken == "read back":
            raise ValueError("no server")

    def clean(self, context):
        self.calls.append("clean")

    def name(self):
        return "some.canary"


@pytest.mark.parametrize("hurry", [False, True])
@pytest.mark.parametrize("broken", ["", "read back", "cleanup"])
def test_every_part_of_the_end_is_done_whatever_breaks_and_only_measuring_is_left_out_in_a_hurry(small, hurry, broken):
    stage = small.stage(small.plan("restore:\n"))
    calls = []
    small.hosts["controller"] = small.hosts["a"]
    if hurry:
        small.stop.hurry.set()

    def cleanup():
        calls.append("cleanup")
        if broken == "cleanup":
            raise ValueError("no server")

    try:
        left = Ending(stage, Recorded(calls, broken), small.stop, cleanup).run()
    finally:
        stage.journal.close()
    assert calls == (["stop", "clean"] if hurry else ["stop", "read back", "cleanup", "stop", "clean"])
    assert [one.step for one in left] == ([] if hurry or not broken else ["canary" if broken == "read back" else "cleanup"])
    assert [one.why for one in left] == ["ValueError: no server"] * len(left)
    assert [one.by_hand for one in left] == ["invoke drill.recover"] * len(left)


def test_a_host_that_does_not_answer_has_one_patience_for_all_parts(small):
    stage = small.stage(small.plan("restore:\n"))
    try:
        end = Ending(stage, Recorded([]), small.stop, None)
        assert end.reach is end.reach
        assert 5 < end.reach.remaining() <= 10
        small.stop.hurry.set()
        assert end.reach.cancel.is_set(), "who asks twice does not want it"
    finally:
        stage.journal.close()


def test_scratch_is_removed_on_every_host_on_which_a_step_began(small):
    for name in ("a", "b"):
        small.hosts[name].calls.clear()
    small.run(small.plan("restore:\n  - command.run: {argv: [look], effect: read}\n    hosts: b\n"))
    assert [call.argv[4] for call in small.hosts["b"].calls if target_folders.REMOVE in call.argv] == ["/var/tmp/drillbook"]
    assert len([call for call in small.hosts["a"].calls if target_folders.REMOVE in call.argv]) == 1, "it was verified there"


def test_a_restore_that_ends_well_while_the_fault_is_still_there_is_residue(small, monkeypatch):
    monkeypatch.setattr(revert, "PROOF_S", 0.3)
    small.hosts["a"].on("restore", Reply(0))
    small.hosts["a"].on("whole", Reply(0))
    (left,) = small.run(lost(small, ("lose", "")), small.world.saw)
    assert (left.step, left.host) == ("inject.1", "a")
    assert "it is not proven that the fault is gone" in left.why


def test_nothing_is_restored_where_an_undo_mends_all(small):
    assert small.run(lost(small, ("break", "after")), small.world.saw) == []
    assert "restore" not in {event.data.get("phase") for event in small.events if event.kind == "phase.started"}

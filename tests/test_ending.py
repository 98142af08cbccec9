"""The end of a run: the order in which things are put back, and that no part keeps another from being done."""

import pytest

from drillbook.hosts.fake import Reply
from drillbook.result import Verdict
from tests.machine.small import Small, pretending
from tests.machine.world import LOST, Controller, World
from tests.test_recovery_machine import planned


class Blocked(World):
    """What is lost comes back only once nothing stands in the way of the restore."""

    def _restore(self, host):
        if any(not thing.startswith((LOST, "door", "somebody")) for thing in host.files):
            return Reply(1, stderr=b"something stands in the way")
        return super()._restore(host)


@pytest.fixture
def world(tmp_path, monkeypatch):
    pretending(monkeypatch)
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
    """The plan of a drill that loses something for good and breaks ``breaks`` too, made by hand: no file says it so."""
    kinds = [{"action": action, "how": "commands", "hosts": ("a",), "trouble": trouble, "beside": False}
             for action, trouble in breaks]
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
    dead = next(number for number, event in enumerate(small.events)
                if event.kind == "phase.ended" and event.data["phase"] == "inject")
    controller.died(dead, ran)
    assert {thing for _, thing in small.world.things()} == {"2", f"{LOST}1"}
    assert controller.recover() == []
    assert small.world.things() == set()


def test_a_restore_that_was_not_reached_is_carried_out_at_the_end(small):
    assert small.run(lost(small, ("lose", "after")), small.world.saw) == []
    assert ("phase.started", "restore") in [(event.kind, event.data.get("phase")) for event in small.events]
    assert small.world.things() == set()

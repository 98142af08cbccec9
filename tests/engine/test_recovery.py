"""Recovery of a dead run: temporary files on hosts that only the recovery contacted, and deaths at different moments."""

from __future__ import annotations

from drillbook.inventory import inventory
from drillbook.journal.journal import read
from drillbook.sdk.target_folders import REMOVE
from tests.engine.test_recovery_machine import planned, step
from tests.machine.world import RUN, Controller, Ran, World

BACKUP = {"from": f"s3://backups/run#sha256={'0' * 64}"}


def test_temporary_files_of_a_repeated_restore_are_removed_everywhere(tmp_path, pretended):
    path = tmp_path / "lab.yml"
    path.write_text(
        "environment: lab\nhosts: {a: {address: 127.0.0.1}, b: {address: 127.0.0.1}}\n"
        "services: {app: {kind: process, host: a}}\n"
    )
    plan = planned([{"action": "lose", "how": "", "hosts": ("a",), "trouble": "", "beside": False}], inventory.load(path))
    steps = [one.model_copy(update={"hosts": ("a",)}) for one in plan.steps]
    where = next(number for number, one in enumerate(steps) if one.id == "restore.1")
    steps[where] = step("restore", 1, "restore", ("a", "b"), **BACKUP)
    world = World()
    controller = Controller(plan.model_copy(update={"steps": tuple(steps)}), world, tmp_path)
    ran = controller.run()
    lines = [ran.journal[:size].splitlines()[-1] for size, _ in ran.moments]
    died = next(at for at, line in enumerate(lines) if b'"kind":"phase.started"' in line and b'"restore"' in line)
    controller.died(died, ran)
    assert "b" not in {event.host for event in read(controller.journal).events if event.kind == "step.started"}
    world.hosts["b"].calls.clear()
    assert controller.recover() == []
    assert [call.argv[4:6] for call in world.hosts["b"].calls if REMOVE in call.argv] == [("/var/tmp/drillbook", RUN["id"])]


def test_no_run_dies_at_a_moment_that_has_an_act_before_its_intent(tmp_path, pretended):
    """A thread that is notified late finds another thread's intent at the end of the journal, and its later effects."""
    path = tmp_path / "lab.yml"
    path.write_text("environment: lab\nhosts: {a: {}, b: {}}\nservices: {app: {kind: process, host: a}}\n")
    kinds = [{"action": "break", "how": "commands", "hosts": ("a",), "trouble": "", "beside": False}]
    controller = Controller(planned(kinds, inventory.load(path)), World(), tmp_path)
    controller.run()
    events = read(controller.journal).events
    at = next(number for number, event in enumerate(events) if event.kind == "intent")
    controller.journal.write_bytes(b"".join(controller.journal.read_bytes().splitlines(keepends=True)[: at + 1]))
    controller.ran = Ran()
    controller._observe(events[at - 1])
    assert controller.ran.moments == []
    controller._observe(events[at])
    assert len(controller.ran.moments) == 1

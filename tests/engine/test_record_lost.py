"""The journal of a run becomes unwritable or is removed while a fault is active: the fault is still undone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drillbook.engine.runner import Runner
from drillbook.engine.step_context import Stage
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE, Journal, read
from drillbook.redact import Redactor
from tests.e2e.field import fill, small_disk
from tests.engine.test_recovery_machine import planned
from tests.machine.world import RUN, World

MOMENTS = [
    ("intent", "inject.2"),
    ("fault.active", "inject.2"),
    ("done", "inject.2"),
    ("phase.ended", None),
    ("step.started", "restore.1"),
    ("command", "restore.1"),
]


class Broken:
    """Run on in-memory hosts with two faults: commands undo the first, and only a restore undoes the second."""

    def __init__(self, folder: Path, moment: tuple[str, str | None], act) -> None:
        self.folder, self.world, self.moment, self.act = folder, World(), moment, act
        self.events = []
        hosts = folder.parent / "hosts.yml"
        hosts.write_text("environment: lab\nhosts: {a: {}, b: {}}\nservices: {app: {kind: process, host: a}}\n")
        kinds = [
            {"action": "break", "how": "commands", "hosts": ("a",), "trouble": "", "beside": False},
            {"action": "lose", "hosts": ("b",), "trouble": "", "beside": False},
        ]
        self.plan = planned(kinds, inventory.load(hosts))

    def observe(self, event) -> None:
        self.world.saw(event)
        self.events.append(event)
        kind, step = self.moment
        lost = any(one.kind == "intent" and one.step == "inject.2" for one in self.events)
        if self.act and lost and (event.kind, event.step) == (kind, step):
            act, self.act = self.act, None
            act()

    def run(self):
        self.journal = Journal(self.folder, Redactor(()), origin=0.0, observer=self.observe)
        try:
            stage = Stage(self.plan, self.journal, self.world.hosts.get, self.folder, dict(RUN), self.journal.redactor)
            header = {"tool": "test", "operator": "nobody", "controller": "here"}
            return Runner(stage, lambda names: {}, header=header).run()
        finally:
            self.journal.close()


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: "-".join(filter(None, moment)))
def test_what_only_a_restore_mends_is_restored_although_the_disk_is_full(pretended, tmp_path, moment):
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        run = Broken(disk / "run", moment, lambda: fill(disk))
        run.folder.mkdir()
        residue = run.run()
        assert run.act is None, "the disk was full"
        assert (residue, run.world.things()) == ([], set())
        last = run.events[-1]
        assert (last.kind, "No space left on device" in last.data["unwritten"]) == ("run.finished", True)
        assert read(run.folder / FILE).events, "what was written before stays readable"


def test_what_waited_for_room_is_written_once_there_is_some(pretended, tmp_path):
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        run = Broken(disk / "run", ("done", "inject.2"), lambda: fill(disk))
        run.folder.mkdir()
        observe = run.observe

        def observed(event):
            observe(event)
            if event.kind == "phase.ended" and event.data["phase"] == "restore":
                (disk / "filler").unlink()

        run.observe = observed
        assert (run.run(), run.world.things()) == ([], set())
        events = read(run.folder / FILE).events
        # Observers hear of the events of two threads in either order.
        assert [event.seq for event in events] == sorted(event.seq for event in run.events)
        assert events[-1].data["unwritten"], "for a time they were in memory alone"


def deleted(run: Broken) -> None:
    (run.folder / FILE).unlink()


def emptied(run: Broken) -> None:
    (run.folder / FILE).write_bytes(b"")


def moved(run: Broken) -> None:
    run.folder.rename(run.folder.with_name("elsewhere"))


def removed(run: Broken) -> None:
    shutil.rmtree(run.folder)


def replaced(run: Broken) -> None:
    path = run.folder / FILE
    path.with_name("copy").write_bytes(path.read_bytes())
    path.with_name("copy").replace(path)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: "-".join(filter(None, moment)))
@pytest.mark.parametrize("how", [deleted, emptied, moved, removed, replaced], ids=lambda how: how.__name__)
def test_what_was_broken_is_put_back_although_its_record_is_gone(pretended, tmp_path, how, moment):
    run = Broken(tmp_path / "run", moment, lambda: how(run))
    run.folder.mkdir()
    residue = run.run()
    assert run.act is None, "it was gone"
    assert (residue, run.world.things()) == ([], set())
    assert str(run.folder / FILE) in run.events[-1].data["unwritten"]


def test_a_second_fault_is_not_injected_once_the_record_is_gone(pretended, tmp_path):
    run = Broken(tmp_path / "run", ("done", "inject.1"), None)
    run.folder.mkdir()
    observe = run.observe

    def observed(event):
        observe(event)
        if (event.kind, event.step) == ("done", "inject.1"):
            deleted(run)

    run.observe = observed
    assert (run.run(), run.world.things()) == ([], set())
    assert [event.step for event in run.events if event.kind == "intent" and event.step.startswith("inject")] == ["inject.1"]

"""Restores by a team's own commands in the lab: valid as soon as the content was compared with the proven backup."""

from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path

import pytest

from drillbook.cli import close_residue
from drillbook.cli.access import connect, redactor_for
from drillbook.engine.recovery import Recovery
from drillbook.journal.journal import FILE, read
from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.project.finished_runs import judged
from tests.e2e.controllers import start, wait_for

DRILL = """\
drill: own-runbook
title: The settings are lost, and a command of the team brings them back
service: api
guard: {environments: [lab]}
backup:
  - files.archive: {service: api, path: FILE, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/api"}
    save: archive
  - files.backup_intact: {service: api, from: "{{ archive.location }}"}
    save: proof
  - command.run: {argv: [cp, -p, FILE, KEPT], effect: write}
    hosts: app-1
inject:
  - INJECT
restore:
  - command.run:
      argv: RESTORE
      effect: write
      restores: {service: api, from: "{{ archive.location }}"}
    hosts: app-1
verify:
  - VERIFY
  - files.matches: {service: api, manifest: "{{ archive.manifest }}"}
cleanup:
  - command.run: {argv: [rm, -f, KEPT], effect: write}
    hosts: app-1
"""
LOSE = 'files.lose: {service: api, path: FILE, from: "{{ archive.location }}"}'
COPY = ["cp", "-p", "KEPT", "FILE"]
WIPE = (
    "command.run: {argv: [rm, FILE], effect: fault, undo: restore, proof: [test, '!', -e, FILE], proven_by: proof}\n"
    "    hosts: app-1"
)
LOOK = "service.status: {service: api}"
WAIT = 'command.run: {argv: [sleep, "4"], effect: read}\n    hosts: app-1'


MEND = """\
drill: mend
title: Bring the settings back from an archive that is known
service: api
guard: {environments: [lab]}
restore:
  - files.extract: {service: api, from: "LOCATION"}
verify:
  - files.matches: {service: api, manifest: "MANIFEST"}
"""


class Own:
    """Drill with its file, and the settings under test."""

    def __init__(self, bench) -> None:
        self.bench = bench
        self.file = Path(str(bench.value("api.env_file")))
        self.before = self.file.read_bytes()

    def path(self, *, inject=LOSE, restore=COPY, verify=LOOK) -> Path:
        text = DRILL.replace("INJECT", inject).replace("RESTORE", json.dumps(restore)).replace("VERIFY", verify)
        path = self.bench.project.root / "drills" / "own-runbook.yml"
        path.write_text(text.replace("FILE", str(self.file)).replace("KEPT", f"{self.file}.kept"))
        return path

    def run(self, **how):
        return self.bench.run(self.bench.made(self.path(**how)))

    def killed(self, step, **how):
        """Folder of a run whose controller was killed after ``step`` began."""
        self.path(**how)
        controller = start(self.bench, "drill", "own-runbook", "--quiet")
        try:
            return wait_for(self.bench, controller, "step.started", step)
        finally:
            controller.send_signal(signal.SIGKILL)
            controller.communicate()

    def recover(self, folder, **how):
        return Recovery(
            folder, lambda plan, name: connect(plan.inventory, name), redactor_for, lambda event: None, **how
        ).run({"operator": "test", "tool": "test"})


@pytest.fixture
def own(bench):
    made = Own(bench)
    yield made
    Path(f"{made.file}.kept").unlink(missing_ok=True)
    if not made.file.exists() or made.file.read_bytes() != made.before:
        made.file.write_bytes(made.before)


def carried_out(folder, step):
    return len([event for event in read(folder / FILE).events if (event.kind, event.step) == ("step.started", step)])


def test_a_command_restores_and_its_result_is_compared(own):
    _, view = own.run()
    assert (view.result.verdict, view.result.exit) == (Verdict.PASSED, 0), view.result.reason
    assert own.file.read_bytes() == own.before


def test_a_command_that_brings_back_something_else_has_not_restored(own):
    """The file exists again, so that the fault is gone; but its content differs from the backup."""
    folder, view = own.run(restore=["sh", "-c", f"echo WRONG=1 >{shlex.quote(str(own.file))}"])
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 5)
    (left,) = view.result.residue
    assert "no comparison has proven that restore.1 command.run restored the content of api" in left.why
    assert own.recover(folder), "the same command once more does not help"
    assert judged(RunState(folder)).result.exit == 5
    own.file.unlink()
    assert own.recover(folder, from_backup=True) == []
    assert own.file.read_bytes() == own.before
    assert judged(RunState(folder)).result.exit == 1


def test_a_run_that_dies_before_the_comparison_is_compared_by_its_recovery(own):
    folder = own.killed("verify.1", verify=WAIT)
    assert own.recover(folder) == []
    assert (carried_out(folder, "restore.1"), carried_out(folder, "verify.2")) == (1, 1), "it was restored already"
    assert own.file.read_bytes() == own.before


def test_a_run_that_dies_before_its_restore_is_restored_by_that_command(own):
    folder = own.killed("restore.1", restore=["sh", "-c", 'sleep 2; exec "$@"', "sh", *COPY])
    assert own.recover(folder) == []
    assert carried_out(folder, "verify.2") == 1
    assert own.file.read_bytes() == own.before


def test_a_command_of_ones_own_breaks_what_only_a_restore_brings_back(own):
    folder, view = own.run(inject=WIPE)
    assert (view.result.verdict, view.result.exit) == (Verdict.PASSED, 0), view.result.reason
    assert own.file.read_bytes() == own.before
    events = read(folder / FILE).events
    assert [event.data["undo"]["kind"] for event in events if (event.kind, event.step) == ("intent", "inject.1")] == [
        "restore"
    ]
    assert [event.data["service"] for event in events if event.kind == "backup.proven"] == ["api"]
    assert [event.data["message"] for event in events if event.kind == "undone" and event.step == "inject.1"] != []


@pytest.mark.parametrize("moment", ["detect.1", "restore.1"])
def test_a_run_that_died_after_such_a_command_is_restored_by_its_recovery(own, moment):
    folder = own.killed(
        moment, inject=f"{WIPE}\ndetect:\n  - {WAIT}", restore=["sh", "-c", 'sleep 2; exec "$@"', "sh", *COPY]
    )
    assert not own.file.exists()
    assert own.recover(folder) == []
    assert carried_out(folder, "verify.2") == 1
    assert own.file.read_bytes() == own.before


def test_a_run_that_is_stopped_after_such_a_command_restores_first(own):
    own.path(inject=f"{WIPE}\ndetect:\n  - {WAIT}")
    controller = start(own.bench, "drill", "own-runbook", "--quiet")
    folder = wait_for(own.bench, controller, "step.started", "detect.1")
    controller.send_signal(signal.SIGINT)
    controller.communicate()
    assert controller.returncode == 4
    assert judged(RunState(folder)).result.residue == ()
    assert carried_out(folder, "verify.2") == 1
    assert own.file.read_bytes() == own.before


def test_such_a_command_whose_runbook_fails_is_restored_from_the_proven_backup(own):
    folder, view = own.run(inject=WIPE, restore=["false"])
    assert view.result.exit == 5
    assert close_residue.settle(own.bench.project, folder.name, "it is as it was") == 4, "its proof says that it is not"
    assert own.recover(folder)
    assert own.recover(folder, from_backup=True) == []
    assert own.file.read_bytes() == own.before
    (restored,) = [event for event in read(folder / FILE).events if event.kind == "step.added"]
    assert (restored.data["step"]["action"], restored.data["step"]["hosts"]) == ("files.extract", ["app-1"])


def test_a_drill_that_only_restores_mends_what_such_a_command_lost(own):
    folder, view = own.run(inject=WIPE, restore=["false"])
    assert view.result.exit == 5
    facts = next(
        event.data["facts"] for event in read(folder / FILE).events if (event.kind, event.step) == ("done", "backup.1")
    )
    path = own.bench.changed("mend")
    path.write_text(MEND.replace("LOCATION", facts["location"]).replace("MANIFEST", facts["manifest"]))
    _, mended = own.bench.run(own.bench.made(path))
    assert mended.result.verdict is Verdict.PASSED, mended.result.reason
    assert own.recover(folder, others=[other for other in own.bench.project.runs() if other != folder]) == []
    assert judged(RunState(folder)).result.residue == ()

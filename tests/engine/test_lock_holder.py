"""A refusal by the lock of a run whose controller died leads to its recovery, and a lock of any other run to that run."""

import json
import shutil
import subprocess

import pytest

from drillbook.engine import lock_holder
from drillbook.engine.leases import Owner
from tests.program import Folder, fault, step

BREAK = fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"], ["test", "-e", "DIR/broken"])
REHEARSE = "restore:\n  - command.run: {argv: ['true'], effect: write, undo: ['true']}\n    hosts: controller\n"
HINT = "wait or stop"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    made = Folder(root)
    made.write("every: 7d\ngrace: 1d\n" + REHEARSE, "rehearse")
    made.write(BREAK + "restore:\n" + step(["sleep", "60"]))
    return made


def begun(folder):
    """Start the drill ``sample``. Return its process and the name of the run when its fault is active."""
    program = folder.start("drill", "sample", "--json", stdout=subprocess.PIPE, text=True)
    for line in program.stdout:
        if json.loads(line)["data"].get("phase") == "restore":
            (run,) = [path.name for path in folder.root.glob("reports/*-sample-*")]
            return program, run
    raise AssertionError("it ended too early")


def killed(folder):
    """Name of a run whose controller was killed by `kill -9` while its fault was active."""
    program, run = begun(folder)
    program.kill()
    program.communicate()
    return run


def words(done):
    return " ".join((done.stdout + done.stderr).split())


def test_the_lock_of_a_dead_run_leads_to_its_recovery(folder):
    run = killed(folder)
    for argv in (("drill.check", "rehearse"), ("schedule.run",), ("drill", "rehearse")):
        done = folder.run(*argv)
        text = words(done)
        assert done.returncode == 4, text
        assert f" is locked by run {run}" in text, text
        assert "the controller of that run died" in text
        assert f"drillbook drill.recover {run}" in text
        assert "drill.stop" not in text
        assert "wait until" not in text
    assert words(folder.run("drill.check", "sample")).count(f"Recover that run first: drillbook drill.recover {run}") == 1
    assert folder.run("drill.recover", run).returncode == 0
    assert folder.run("drill", "rehearse").returncode == 0


def test_a_run_that_is_in_progress_can_be_stopped(folder):
    program, run = begun(folder)
    done = folder.run("drill", "rehearse")
    assert (done.returncode, "drill.recover" in words(done)) == (4, False)
    assert f"wait until that run has ended, or stop it with `drillbook drill.stop {run}`" in words(done)
    program.terminate()
    program.communicate()


def test_a_dead_run_of_another_project_is_recovered_there(folder, tmp_path):
    run = killed(folder)
    shutil.copytree(folder.root, tmp_path / "other", ignore=shutil.ignore_patterns("reports", "scratch"))
    other = Folder.__new__(Folder)
    other.root, other.environment = tmp_path / "other", folder.environment
    done = other.run("drill", "rehearse")
    assert done.returncode == 4
    assert f"run `drillbook drill.recover` in the project of {run}, or wait until the lock expires" in words(done)


def test_a_run_that_has_ended_and_kept_its_lock_is_waited_for(folder):
    folder.write("restore:\n" + step(["true"]))
    assert folder.run("drill", "sample").returncode == 0
    runs = [folder.latest]
    found = lock_holder.refusal("app is locked", Owner(run=folder.latest.name), "app", runs, HINT)
    assert found.code == "locked"
    assert found.remedy == "that run has ended, and could not release its lock: wait until the lock expires"


def test_of_a_run_that_is_not_known_here_the_remedy_stays():
    for owner in (Owner(run="run-1"), Owner(run="run-1", controller="elsewhere/boot/pid 1@1")):
        found = lock_holder.refusal("app is locked", owner, "app", [], HINT)
        assert (found.code, found.measured, found.remedy) == ("locked", "app is locked", HINT)

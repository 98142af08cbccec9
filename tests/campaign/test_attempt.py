"""The drill on one site, in a child process under a lock."""

import json
import os
import signal
import subprocess
from dataclasses import replace

import pytest

from drillbook.campaign import attempt
from drillbook.campaign.attempt import Ending, Job
from drillbook.campaign.scheduler import SiteState
from tests.campaign.test_processes import until, write_long_fault
from tests.program import PROGRAM, Folder, step


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "project").mkdir()
    return Folder(tmp_path / "project")


def test_a_drill_that_was_stopped_before_it_began_never_begins(tmp_path):
    job = Job("c", "s0", "run-s0", "d", suite=False, inventory="i", root=str(tmp_path))
    assert not attempt.cancel(job)
    ending = attempt.carry_out(job)
    assert (ending.state, ending.message) == ("refused", "not started: the operator stopped the campaign")
    assert not (job.folder / "sites" / "s0.txt").exists(), "no process was started"


@pytest.mark.parametrize("ignores", [(), ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")], ids=["hears", "ignores"])
def test_a_drill_that_inherited_an_ignored_interrupt_is_stopped_too(folder, ignores):
    """A shell without job control ignores the interrupt in what it starts in the background."""
    write_long_fault(folder)
    job = Job("c", "s0", "run-s0", "sample", suite=False, inventory="lab", root=str(folder.root))
    argv = [*ignores, *PROGRAM, "drill", "sample"]
    with attempt._locked(job) as lock, subprocess.Popen(argv, cwd=folder.root, env=folder.environment) as drill:
        try:
            os.pwrite(lock, f"{drill.pid:<20}".encode(), 0)
            until((folder.root / "broken").exists)
            assert attempt.cancel(job)
            assert drill.wait(30) == 4
        finally:
            (folder.root / "go").touch()
    assert not (folder.root / "broken").exists()


def test_a_pid_that_an_earlier_holder_left_in_the_lock_is_not_stopped(tmp_path):
    """After a reboot, the pid in the file may be that of an unrelated process."""
    job = Job("c", "s0", "run-s0", "d", suite=False, inventory="i", root=str(tmp_path))
    lock = job.folder / "sites" / "s0.lock"
    lock.parent.mkdir(parents=True)
    with subprocess.Popen(["sleep", "600"]) as unrelated:
        try:
            lock.write_text(f"{unrelated.pid:<20}")
            with attempt._locked(job):
                assert not attempt.cancel(job)
            assert unrelated.poll() is None
        finally:
            unrelated.terminate()
    assert unrelated.returncode == -signal.SIGTERM


def test_an_ending_reads_as_it_was_sent():
    ending = Ending("s0", SiteState.FAILED, run="r", verdict="failed", residue=2, objectives={"rto": {"met": False}})
    assert Ending.of(json.loads(json.dumps(ending.as_data()))) == ending
    with pytest.raises(ValueError, match="half"):
        Ending.of(ending.as_data() | {"state": "half"})


def test_a_drill_that_passed_is_judged_from_its_journal_and_never_repeated(folder):
    folder.write("restore:\n" + step(["sh", "-c", "echo x >>DIR/count"]))
    job = Job("c", "s0", "20261130T120000.000Z-sample-abcd", "sample", suite=False, inventory="lab", root=str(folder.root))
    first = attempt.carry_out(job)
    assert (first.state, first.verdict, first.run, first.residue, first.message) == ("passed", "passed", job.run, 0, "")
    assert len(first.head) == len("sha256:") + 64
    assert attempt.carry_out(job) == first
    assert (folder.root / "count").read_text() == "x\n"


def test_a_drill_that_cannot_begin_is_refused_with_the_last_line_of_its_process(folder):
    job = Job("c", "s0", "20261130T120000.000Z-none-abcd", "none", suite=False, inventory="lab", root=str(folder.root))
    ending = attempt.carry_out(job)
    assert (ending.state, ending.run) == (SiteState.REFUSED, "")
    assert ending.message.startswith("the child process ended with status 2: ")
    assert "there is no drill or suite 'none'" in ending.message


def test_a_run_that_cannot_be_judged_is_unknown(tmp_path):
    job = Job("c", "s0", "run-s0", "d", suite=False, inventory="i", root=str(tmp_path))
    ending = attempt.judged(job)
    assert (ending.state, ending.run) == (SiteState.UNKNOWN, "run-s0")
    assert ending.message.startswith("the run cannot be judged: ")


def test_a_folder_that_cannot_be_written_ends_the_site_as_unknown(tmp_path):
    (tmp_path / "reports").write_text("a file in the place of the folder")
    job = Job("c", "s0", "run-s0", "d", suite=False, inventory="i", root=str(tmp_path))
    assert attempt.carry_out(job).message.startswith("the site could not be drilled: ")
    assert attempt.cancel(job) is False


def test_the_plans_of_a_campaign_go_to_the_process_with_its_approval(tmp_path):
    job = Job("c", "s0", "r", "d", suite=False, inventory="i", root=str(tmp_path), plans={"d": "sha256:x"}, version="1.0")
    assert (job.expected.site, job.expected.plans, job.expected.approval) == ("s0", {"d": "sha256:x"}, "")
    approved = replace(job, approved=True)
    assert approved.expected.approval == str(tmp_path / "reports" / "campaigns" / "c" / "approval.json")

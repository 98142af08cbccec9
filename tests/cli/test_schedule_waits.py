"""`schedule.run` says which drill it does not try again yet: to a person always, and by a timer if a run must be recovered."""

import json
import os
import pty
import re
import subprocess

import pytest

from tests.program import PROGRAM, PROOF, Folder, fault, step

BREAK = fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"], ["test", "-e", "DIR/broken"])
BAD = "restore:\n" + step(["false"])
UNTIL = r"not tried again before \d{4}-\d\d-\d\d \d\d:\d\d UTC"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def killed(folder):
    """Name of a run of the drill ``sample`` whose controller was killed while its fault was active."""
    program = folder.start("drill", "sample", "--json", stdout=subprocess.PIPE, text=True)
    for line in program.stdout:
        if json.loads(line)["data"].get("phase") == "restore":
            program.kill()
            break
    program.communicate()
    (run,) = [path.name for path in folder.root.glob("reports/*-sample-*")]
    return run


def at_terminal(folder, *options):
    """Output of `schedule.run` at a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "schedule.run", *options],
        cwd=folder.root,
        env=folder.environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    ) as program:
        os.close(theirs)
        told = b""
        try:
            while part := os.read(ours, 1000):
                told += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    return program.returncode, told.decode().replace("\r\n", "\n")


def test_a_timer_says_that_an_unfinished_run_must_be_recovered_before_the_drill_is_tried_again(folder):
    folder.write("every: 7d\ngrace: 1d\n" + BREAK + "restore:\n" + step(["sleep", "60"]))
    run = killed(folder)
    assert folder.run("schedule.run").returncode == 4, "it is tried once, and refused"
    done = folder.run("schedule.run")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert re.fullmatch(
        rf"sample has never passed\. Its last run is unfinished, so it is {UNTIL}: its grace after this run is not over\. "
        rf"First recover the unfinished run: drillbook drill\.recover {run}",
        line,
    )
    assert folder.run("drill.recover", run).returncode == 0
    assert folder.run("schedule.run").stdout == "", "no person is needed any more"


def test_a_drill_that_was_refused_because_of_another_run_names_that_run(folder):
    folder.write(BREAK + "restore:\n" + step(["sleep", "60"]))
    folder.write("every: 7d\ngrace: 1d\n" + PROOF, "other")
    run = killed(folder)
    assert folder.run("schedule.run").returncode == 4
    (line,) = folder.run("schedule.run").stdout.splitlines()
    assert line.startswith("other has never passed. Its last run has the verdict refused, so it is not tried again before ")
    assert line.endswith(f"First recover the unfinished run: drillbook drill.recover {run}")
    assert folder.run("drill.recover", run).returncode == 0


def test_a_timer_says_nothing_about_a_failed_drill_and_a_terminal_does(folder):
    folder.write("every: 7d\ngrace: 1d\n" + BAD)
    assert folder.run("schedule.run").returncode == 1
    done = folder.run("schedule.run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    status, text = at_terminal(folder)
    assert status == 0
    assert re.fullmatch(
        rf"sample has never passed\. Its last run has the verdict failed, so it is {UNTIL}: its grace after this run is not over\.\n",
        text,
    )


def test_a_drill_of_another_environment_is_not_told(folder):
    folder.write("every: 7d\ngrace: 1d\n" + BAD)
    assert folder.run("schedule.run").returncode == 1
    text = (folder.root / "inventory" / "lab.yml").read_text()
    (folder.root / "inventory" / "staging.yml").write_text(text.replace("environment: lab", "environment: staging"))
    assert at_terminal(folder, "--inventory", "staging") == (0, "")


def test_a_drill_that_could_not_begin_is_told(folder):
    folder.write("every: 7d\nowner: nobody\n" + PROOF)
    assert folder.run("schedule.run").returncode == 2
    status, text = at_terminal(folder)
    assert status == 0
    assert re.match(rf"sample has never passed\. Its last run could not begin, so it is {UNTIL}: its grace", text), text


def test_a_drill_that_failed_before_its_time_waits_for_its_schedule(folder):
    folder.write("every: 30d\ngrace: 0s\n" + PROOF)
    assert folder.run("schedule.run").returncode == 0
    folder.write("every: 30d\ngrace: 0s\n" + BAD)
    assert folder.run("drill", "sample").returncode == 1
    status, text = at_terminal(folder)
    assert status == 0
    assert re.fullmatch(
        rf"sample is due\. Its last run has the verdict failed, so it is {UNTIL}: a person looks at the failed run first\.\n",
        text,
    )

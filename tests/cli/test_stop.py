"""`drill.stop` reports the real state: unknown runs, ended or dead runs, and suites by their name."""

import json
import os
import pty
import socket
import subprocess

import pytest

from tests.program import Folder, fault, step

BREAK = fault(["touch", "DIR/broken"], ["rm", "-f", "DIR/broken"], ["test", "-e", "DIR/broken"])


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    made.write(BREAK + "restore:\n" + step(["sleep", "60"]))
    (tmp_path / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample]\n")
    return made


def started(folder, name, phase="restore"):
    """Run of ``name`` that has reached ``phase``."""
    program = folder.start("drill", name, "--json", stdout=subprocess.PIPE, text=True)
    for line in program.stdout:
        if json.loads(line)["data"].get("phase") == phase:
            return program
    raise AssertionError("it ended too early")


def test_an_unknown_run_is_a_usage_error(folder):
    done = folder.run("drill.stop", "nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no run 'nope'" in done.stderr
    assert "no run of this project is in progress" in done.stderr


def test_without_a_name_no_run_is_no_error(folder):
    done = folder.run("drill.stop")
    assert (done.returncode, done.stdout) == (0, "no run was found\n")


def test_a_terminal_says_at_once_which_hosts_are_asked(folder):
    inventory = folder.root / "inventory" / "lab.yml"
    ours, theirs = pty.openpty()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        far = f", far: {{address: 127.0.0.1, port: {mute.getsockname()[1]}}}}}\nservices"
        inventory.write_text(inventory.read_text().replace("}\nservices", far, 1))
        with folder.start("drill.stop", stdout=theirs, stdin=subprocess.DEVNULL) as program:
            os.close(theirs)
            told = b""
            while b"\n" not in told:
                told += os.read(ours, 1000)
            assert "asking 1 host which runs hold locks: far" in told.decode()
            assert program.poll() is None, "the host has not answered yet"
            program.kill()
    os.close(ours)


def test_a_mistyped_run_names_the_near_one_and_stops_nothing(folder):
    with started(folder, "sample") as program:
        (run,) = [path.name for path in folder.root.glob("reports/*-sample-*")]
        wrong = run[:-1] + ("0" if run[-1] != "0" else "1")
        done = folder.run("drill.stop", wrong)
        assert done.returncode == 2
        assert f"did you mean {run!r}?" in done.stderr
        assert not (folder.root / "reports" / run / "stop").exists()
        assert folder.run("drill.stop", run).returncode == 0
        program.stdout.read()
    assert program.returncode == 4


def test_a_suite_is_stopped_by_its_own_name(folder):
    with started(folder, "all") as program:
        (suite,) = [path.name for path in folder.root.glob("reports/*-all-*")]
        done = folder.run("drill.stop", suite)
        assert done.returncode == 0, done.stderr
        assert "✓ stopped" in done.stdout
        program.stdout.read()
    assert program.returncode == 4
    assert not (folder.root / "broken").exists()


def test_a_run_that_has_ended_is_said_to_have(folder):
    folder.write("restore:\n" + step(["true"]))
    assert folder.run("drill", "all").returncode == 0
    inner, suite = folder.latest.glob("*-sample-*"), folder.latest
    for run in (next(inner).name, suite.name):
        done = folder.run("drill.stop", run)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{run} has ended already: passed" in done.stdout
        assert not list(folder.root.rglob("stop"))


def test_a_run_whose_controller_died_is_not_stopped_but_recovered(folder):
    with started(folder, "sample") as program:
        program.kill()
    (run,) = [path.name for path in folder.root.glob("reports/*-sample-*")]
    done = folder.run("drill.stop", run)
    assert done.returncode == 5
    assert f"drillbook drill.recover {run}" in " ".join(done.stdout.split())
    assert folder.run("drill.recover", run).returncode == 0

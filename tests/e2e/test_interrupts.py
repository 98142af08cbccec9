"""Signals to the controller: stopped or killed, its faults are undone, and the report shows this."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.project.finished_runs import judged
from drillbook.sdk.web import ask


def start(bench, drill, *arguments):
    environment = {**os.environ, "DRILLBOOK_LAB": str(bench.lab)}
    program = "from drillbook.cli.program import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "drill", drill, *arguments],
        cwd=bench.project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(bench, process, kind, step=None, seconds=180):
    """Wait until the journal of the run contains an event. A run that is too slow is ended, so that the lab is free again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, process.stdout.read()
        for path in bench.project.reports.glob("[!.]*/journal.jsonl"):
            for line in path.read_text().splitlines():
                if f'"kind":"{kind}"' in line and (step is None or f'"step":"{step}"' in line):
                    return path.parent
        time.sleep(0.02)
    process.terminate()
    raise AssertionError(f"no {kind} {step} within {seconds} s: {process.communicate()[0]}")


def healthy(bench):
    return ask(f"{bench.value('api.url')}/health", timeout=5).status == 200


def eventually_healthy(bench, seconds=15):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if healthy(bench):
                return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


SLOW = "  - command.run: {argv: [sleep, '30'], effect: read}\n    hosts: app-1\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_reverts_and_ends_as_aborted(bench, number):
    text = bench.text("api-down").replace("restore:\n", f"restore:\n{SLOW}")
    bench.project.drill_names()["api-down"].write_text(text)
    process = start(bench, "api-down")
    folder = wait_for(bench, process, "step.started", "restore.1")
    process.send_signal(number)
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 4, output
    result = json.loads((folder / "result.json").read_text())
    assert (result["verdict"], result["residue"]) == ("aborted", [])
    assert "aborted" in output
    assert eventually_healthy(bench)


def test_a_killed_controller_is_recovered_from_its_journal(bench):
    text = bench.text("api-down").replace("restore:\n", f"restore:\n{SLOW}")
    bench.project.drill_names()["api-down"].write_text(text)
    process = start(bench, "api-down")
    folder = wait_for(bench, process, "step.started", "restore.1")
    process.kill()
    process.communicate()
    assert not (folder / "result.json").exists()
    with pytest.raises(OSError):
        healthy(bench)
    assert bench.recover(folder) == []
    assert eventually_healthy(bench)
    assert bench.recover(folder) == [], "recovering twice does no harm"
    (recovery,) = judged(RunState(folder)).recoveries
    undo = next(act for act in recovery.acts if (act.sort, act.step) == ("undo", "inject.1"))
    assert (undo.host, undo.status, undo.check.active) == ("app-1", "done", False), "the report shows what was carried out"
    with bench.admin() as connection:
        found = connection.execute("SELECT to_regclass('drillbook.canary')").fetchone()[0]
        assert found is None, "the canary's rows and its table are gone"


DYING = """
import os, signal, sys
from drillbook.cli.orchestration import Orchestrator
from drillbook.plan.planner import make
from drillbook.project.project import Project
from pathlib import Path

project = Project(Path.cwd())

begun = set()

def observe(event):
    begun.add(event.kind == "step.started" and event.step == "restore.1")
    shown = " ".join(event.data.get("argv", [])) if event.kind == "command" else event.kind
    if event.step == "restore.1" and True in begun and sys.argv[1] in shown:
        os.kill(os.getpid(), signal.SIGKILL)

inventory = project.inventory("lab")
Orchestrator(project, inventory, observe).run(make(project.drill("postgres-lost"), inventory))
"""


@pytest.mark.parametrize("last", ["intent", "initdb", "globals.sql", "vacuumdb", "done"])
def test_a_controller_killed_in_the_middle_of_a_restore_is_recovered(bench, last):
    """The controller dies as soon as the journal contains its last act; tests of the actions cover deaths between
    their statements.
    """
    bench.spoiled = True
    process = subprocess.run(
        [sys.executable, "-c", DYING, last],
        cwd=bench.project.root,
        timeout=120,
        check=False,
        env={**os.environ, "DRILLBOOK_LAB": str(bench.lab)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    (journal,) = bench.project.reports.glob("*/journal.jsonl")
    assert bench.recover(journal.parent) == []
    assert eventually_healthy(bench)
    with bench.admin() as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone()[0] >= 20_000
    result = judged(RunState(journal.parent)).result
    assert (result.verdict, result.residue) == (Verdict.ABORTED, ())
    loss = result.objectives["rpo"]
    assert loss.lost_writes is not None, "what the restore has lost is stated, although the run itself could not"
    assert loss.measured_s is not None
    late = [finding.remedy for finding in result.findings if finding.code == "not-recovered"]
    assert all("drill.recover` undid the faults at" in remedy for remedy in late), (
        "nobody has to bring it back by hand any more"
    )
    # At the end of the restore the API may be back already, on a machine where the controller is slower than that.
    assert late or last in ("intent", "initdb", "done"), "the probe saw it missing before the controller died"


def test_recover_refuses_while_the_run_is_alive(bench):
    from drillbook.errors import JournalError

    text = bench.text("api-down").replace("restore:\n", f"restore:\n{SLOW}")
    bench.project.drill_names()["api-down"].write_text(text)
    process = start(bench, "api-down")
    folder = wait_for(bench, process, "step.started", "restore.1")
    try:
        with pytest.raises(JournalError, match="still running"):
            bench.recover(folder)
    finally:
        process.terminate()
        process.communicate(timeout=40)


def test_a_database_lost_when_the_run_is_stopped_is_restored_first(bench):
    process = start(bench, "postgres-lost")
    folder = wait_for(bench, process, "done", "inject.1")
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 4, output
    result = json.loads((folder / "result.json").read_text())
    assert (result["verdict"], result["residue"]) == ("aborted", [])
    assert eventually_healthy(bench)

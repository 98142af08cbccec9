"""Each task reads the journal and the result of a run once: what it verifies are the bytes that it shows."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.program import PROOF, Folder, fault, step

GOLDEN = Path(__file__).parents[1] / "golden" / "attested"
RUN, OTHER = "20261127T180155.356Z-sample-e40f", "20261127T180156.694Z-sample-d1ad"
SUITE, INNER = "20261127T180159.784Z-all-b090", "20261127T180159.784Z-sample-80f3"
JOURNAL, RESULT, SCHEDULES = "journal.jsonl", "result.json", "schedule.jsonl"
DIES = (
    fault(["touch", "DIR/gone"], ["rm", "-f", "DIR/gone"], ["test", "-e", "DIR/gone"])
    + "restore:\n"
    + step(["sh", "-c", "kill -9 $PPID; sleep 1"])
)
"""Steps of a drill whose controller is killed before the restore, so that its fault remains."""
COUNTED = """
import atexit, json, os, sys
opened, counting = [], [True]
def hook(event, args):
    if event == "open" and counting and isinstance(args[0], str):
        if args[1] is not None:  # not `os.open`, as for the lock of a journal, and to append to it or flush it
            opened.append(os.path.relpath(args[0], "reports"))
def tell():
    counting.clear()
    with open(os.environ["OPENED"], "w") as file:
        json.dump(opened, file)
atexit.register(tell)
sys.addaudithook(hook)
sys.argv[0] = "drillbook"
from drillbook.cli.program import main
main()
"""
"""Program that runs ``drillbook``, and then writes the path of each opened file into the file ``OPENED``."""


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    shutil.copytree(GOLDEN / "reports", tmp_path / "reports")
    shutil.copytree(GOLDEN / "inventory", tmp_path / "inventory", dirs_exist_ok=True)
    return made


def opened(folder, *argv, status=0):
    """Run ``drillbook``, and return how often it opened each file below ``reports``."""
    told = folder.root / "opened.json"
    ended = subprocess.run(
        [sys.executable, "-c", COUNTED, *argv],
        cwd=folder.root,
        env={**folder.environment, "OPENED": str(told)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == status, ended.stderr + ended.stdout
    return Counter(json.loads(told.read_text()))


def named(counts, name):
    """Return how often each file with this name was opened."""
    return {path: count for path, count in counts.items() if Path(path).name == name}


def test_a_report_is_rendered_and_signed_from_one_reading(folder):
    counts = opened(folder, "report", RUN)
    assert named(counts, JOURNAL) == {f"{RUN}/{JOURNAL}": 1}
    assert set(named(counts, RESULT).values()) == {1}, "the index reads the results after the report was written"


def test_the_report_of_a_drill_of_a_suite_reads_each_journal_of_the_suite_once(folder):
    counts = opened(folder, "report", SUITE)
    assert named(counts, JOURNAL)[f"{SUITE}/{INNER}/{JOURNAL}"] == 1


@pytest.mark.parametrize("run", [RUN, OTHER])
def test_a_run_is_verified_by_one_reading(folder, run):
    counts = opened(folder, "report.verify", run)
    assert named(counts, JOURNAL) == {f"{run}/{JOURNAL}": 1}
    assert named(counts, RESULT) == {f"{run}/{RESULT}": 1}


def test_a_suite_is_verified_by_one_reading_of_each_run(folder):
    counts = opened(folder, "report.verify", SUITE)
    assert named(counts, JOURNAL)[f"{SUITE}/{INNER}/{JOURNAL}"] == 1
    assert set(named(counts, RESULT).values()) == {1}


def test_an_audit_reads_every_run_once(folder):
    opened(folder, "report.list")  # writes the index of the runs, for which it reads the results
    counts = opened(folder, "audit", "--since", "2026-11-01", "--until", "2026-11-30", status=3)
    runs = {f"{RUN}/{JOURNAL}", f"{OTHER}/{JOURNAL}", f"{SUITE}/{INNER}/{JOURNAL}"}
    assert {path: count for path, count in named(counts, JOURNAL).items() if path in runs} == dict.fromkeys(runs, 1)
    results = {path: count for path, count in named(counts, RESULT).items() if not path.startswith("audit-")}
    assert results == dict.fromkeys([f"{name}/{RESULT}" for name in (RUN, OTHER, SUITE, f"{SUITE}/{INNER}")], 1)
    assert named(counts, SCHEDULES)[SCHEDULES] == 1


def test_the_due_drills_are_told_from_one_reading_of_each_file(folder):
    counts = opened(folder, "drill.due", status=1)
    assert set(named(counts, JOURNAL).values()) == {1}
    assert set(named(counts, RESULT).values()) == {1}
    assert named(counts, SCHEDULES)[SCHEDULES] == 1


def test_the_due_drills_and_the_metrics_share_one_reading(folder):
    counts = opened(folder, "metrics.write", "metrics.prom")
    assert set(named(counts, JOURNAL).values()) == {1}
    assert set(named(counts, RESULT).values()) == {1}


def test_a_drill_reads_its_journal_once_after_its_end(tmp_path):
    """And the journal of the run before once, for the hash of its last event and for the comparison with it."""
    folder = Folder(tmp_path)
    folder.write(PROOF)
    assert folder.run("drill", "sample").returncode == 0
    before = folder.latest.name
    counts = opened(folder, "drill", "sample")
    assert named(counts, JOURNAL) == {f"{before}/{JOURNAL}": 1, f"{folder.latest.name}/{JOURNAL}": 1}


def test_a_recovery_reads_the_journal_before_under_its_lock_and_after(tmp_path):
    """Three readings are needed: the first decides what is to be done, the second holds what another process may have written
    until the journal was locked, and the third has the events of the recovery. The first line is read for its secrets."""
    folder = Folder(tmp_path)
    folder.write(DIES)
    folder.run("drill", "sample")
    run = next((tmp_path / "reports").glob("2*")).name
    counts = opened(folder, "drill.recover", run)
    assert named(counts, JOURNAL) == {f"{run}/{JOURNAL}": 4}

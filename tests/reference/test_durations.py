"""Durations in the catalogue, from the newest passed runs on a lab."""

import json

from drillbook.project.project import Project
from drillbook.reference import durations


def leave(root, run, name, lab="embedded", **more):
    """Folder of a run with its result and the first event of its journal."""
    folder = root / "reports" / run
    folder.mkdir(parents=True)
    first = {"kind": "run.started", "data": {"plan": {"inventory": {"environment": "lab", "lab": lab}}}}
    (folder / "journal.jsonl").write_text(json.dumps(first) + "\n")
    result(folder, drill=name, **more)


def result(folder, **more):
    found = {"run": folder.name, "environment": "lab", "verdict": "passed", "exit": 0, "service": "database"}
    times = {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:01:02.500Z"}
    (folder / "result.json").write_text(json.dumps({**found, **times, **more}, indent=2))


def project(root):
    (root / "drills").mkdir()
    path = root / durations.FILE
    path.parent.mkdir(parents=True)
    path.write_text('{"gone": 1.0, "api-down": 7.0}\n')
    return path


def test_durations_are_those_of_runs_that_passed_on_a_lab(tmp_path):
    path = project(tmp_path)
    leave(tmp_path, "20260101T000000.000Z-postgres-lost-0001", "postgres-lost", finished="2026-01-01T00:00:09Z")
    leave(tmp_path, "20260102T000000.000Z-postgres-lost-0005", "postgres-lost")
    leave(tmp_path, "20260101T000000.000Z-cache-lost-0002", "cache-lost", verdict="failed", exit=1)
    leave(tmp_path, "20260101T000000.000Z-files-lost-0003", "files-lost", lab="")
    leave(tmp_path, "20260101T000000.000Z-mine-0004", "mine")
    assert durations.renew(Project(tmp_path)) == ["durations.json"]
    assert json.loads(path.read_text()) == {"api-down": 7.0, "postgres-lost": 62.5}
    assert durations.renew(Project(tmp_path)) == []


def test_a_run_on_another_lab_than_that_of_the_entry_is_no_measurement(tmp_path):
    path = project(tmp_path)
    leave(tmp_path, "20260101T000000.000Z-rehearse-volume-0001", "rehearse-volume", lab="docker")
    leave(tmp_path, "20260101T000000.000Z-api-down-0002", "api-down", lab="docker")
    durations.renew(Project(tmp_path))
    assert json.loads(path.read_text()) == {"api-down": 7.0, "rehearse-volume": 62.5}


def test_a_suite_is_measured_as_a_whole_on_the_lab_of_its_drills(tmp_path):
    path = project(tmp_path)
    for suite, run, lab in (
        ("quarterly", "20260101T000000.000Z-quarterly-0001", "embedded"),
        ("handbook", "20260101T000000.000Z-handbook-0002", "docker"),
    ):
        leave(tmp_path, f"{run}/20260101T000000.000Z-mine-0003", "mine", lab=lab)
        result(tmp_path / "reports" / run, suite=suite)
    durations.renew(Project(tmp_path))
    assert json.loads(path.read_text()) == {"api-down": 7.0, "quarterly": 62.5}

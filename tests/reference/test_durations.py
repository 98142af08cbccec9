"""The durations of the catalogue, from the newest passed runs on a lab."""

import json

from drillbook.project.project import Project
from drillbook.reference import durations


def leave(root, run, name, **more):
    """A run's folder with its result and a journal."""
    folder = root / "reports" / run
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("{}\n")
    result = {"run": run, "drill": name, "environment": "lab", "verdict": "passed", "exit": 0, "service": "database"}
    times = {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:01:02.500Z"}
    (folder / "result.json").write_text(json.dumps({**result, **times, **more}, indent=2))


def test_durations_are_those_of_runs_that_passed_on_a_lab(tmp_path):
    (tmp_path / "drills").mkdir()
    path = tmp_path / durations.FILE
    path.parent.mkdir(parents=True)
    path.write_text('{"gone": 1.0, "api-down": 7.0}\n')
    leave(tmp_path, "20260101T000000.000Z-postgres-lost-0001", "postgres-lost")
    leave(tmp_path, "20260101T000000.000Z-cache-lost-0002", "cache-lost", verdict="failed", exit=1)
    leave(tmp_path, "20260101T000000.000Z-files-lost-0003", "files-lost", environment="staging")
    leave(tmp_path, "20260101T000000.000Z-mine-0004", "mine")
    assert durations.renew(Project(tmp_path)) == ["durations.json"]
    assert json.loads(path.read_text()) == {"api-down": 7.0, "postgres-lost": 62.5}
    assert durations.renew(Project(tmp_path)) == []

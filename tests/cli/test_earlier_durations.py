"""Durations of phases in the last passed run of a drill."""

import json

from drillbook.cli import earlier_durations
from drillbook.project.project import Project


def test_the_times_are_those_of_the_last_passed_run(tmp_path):
    project = Project(tmp_path)
    assert earlier_durations.phases_of_last(project, "sample") == {}
    for number, (drill, verdict) in enumerate(
        [("sample", "passed"), ("sample", "passed"), ("sample", "aborted"), ("more-sample", "passed")], 1
    ):
        folder = project.reports / f"2026010{number}T000000.000Z-{drill}-00aa"
        folder.mkdir(parents=True)
        phases = [{"phase": "restore", "status": "done", "seconds": number}]
        (folder / "result.json").write_text(json.dumps({"drill": drill, "verdict": verdict, "phases": phases}))
    damaged = project.reports / "20260109T000000.000Z-sample-00aa"
    damaged.mkdir()
    (damaged / "result.json").write_text("[")
    assert earlier_durations.phases_of_last(project, "sample") == {"restore": 2.0}

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


def test_the_duration_of_a_suite_is_told_from_its_drills():
    of_drills = earlier_durations.of_drills
    assert of_drills([39.4, 13.8, 20.4, 10.8, 7.65, 16.5, None]) == "not known as a whole; 6 of 7 drills: 1 min 49 s"
    assert of_drills([3.0, 4.5]) == "not known as a whole; its 2 drills: 7.50 s"
    assert of_drills([None, None]) == of_drills([]) == ""

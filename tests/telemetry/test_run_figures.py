"""Figures of runs for metrics: repeated misses, trends, residue, and restores, computed from results only."""

import json
from datetime import UTC, datetime

import pytest

from drillbook.journal.run_state import RunStates
from drillbook.project import due
from drillbook.project.project import Project
from drillbook.telemetry import metrics, run_figures

DAY = 86400


def result(number, **more):
    objective = {"target_s": 300.0, "measured_s": 100.0 + number, "error_s": 0.5, "met": True}
    data = {
        "service": "database",
        "drill": "sample",
        "environment": "lab",
        "verdict": "passed",
        "exit": 0,
        "started": f"2026-03-{number:02d}T09:00:00.000000Z",
        "objectives": {"rto": objective | more.pop("rto", {})},
        "steps": [],
        "residue": [],
        "settled": None,
    }
    return data | more


def figures(root, *results):
    """Figures read from runs with these ends, oldest first."""
    reports = Project(root).ready_reports()
    for number, one in enumerate(results):
        folder = reports / f"202603{number + 1:02d}T090000.000Z-sample-{number:04x}"
        folder.mkdir()
        (folder / "journal.jsonl").write_text("")
        (folder / "result.json").write_text(one if isinstance(one, str) else json.dumps(one))
    return run_figures.read(Project(root), RunStates())


def test_misses_in_a_row_skip_runs_that_could_not_verify(tmp_path):
    missed, unknown = {"met": False}, {"met": None, "measured_s": None}
    runs = [result(1, rto=missed), result(2), result(3, rto=missed), result(4, rto=unknown), result(5, rto=missed)]
    (one,) = figures(tmp_path, *runs)
    assert one.misses("rto") == 2
    assert one.misses("rpo") == 0


def test_the_last_measurement_is_that_of_the_newest_run_with_one(tmp_path):
    (one,) = figures(tmp_path, result(1), result(2, rto={"measured_s": None, "met": None}))
    assert one.last_measured("rto")["measured_s"] == 101.0
    assert one.newest.objective("rto")["met"] is None


def test_a_trend_of_the_runs_that_passed(tmp_path):
    failed = result(4, verdict="failed", exit=1, rto={"measured_s": 9000.0})
    (one,) = figures(tmp_path, *map(result, (1, 2, 3)), failed)
    slope, error = one.trend("rto")
    assert round(slope, 6) == 1.0
    assert round(error, 6) == 0.0
    assert one.trend("rpo") is None


def test_two_runs_have_no_trend(tmp_path):
    (one,) = figures(tmp_path, result(1), result(2))
    assert one.trend("rto") is None


def test_residue_of_all_runs_counts_until_it_is_closed(tmp_path):
    left = [{"step": "inject.1"}, {"step": "inject.2"}]
    closed = result(2, residue=left, settled={"by": "ann"}, exit=5)
    (one,) = figures(tmp_path, result(1, residue=left, exit=5), closed, result(3))
    assert one.residue == 2
    assert one.last_pass is one.newest


def test_a_pass_with_residue_is_no_proof(tmp_path):
    (one,) = figures(tmp_path, result(1, residue=[{"step": "inject.1"}], exit=5))
    assert one.last_pass is None


def test_the_last_pass_is_no_proof_when_it_restored_nothing(tmp_path):
    proof = {"clocks": {"disruption_s": 1.0}, "phases": [{"phase": "restore", "status": "done"}]}
    left = result(3, residue=[{"step": "inject.1"}], exit=5, **proof)
    drills = figures(tmp_path, result(1), result(2, **proof), left, result(4))
    assert (drills[0].last_pass, drills[0].last_proof) == (drills[0].newest, drills[0].every[2])
    found = {one.name: one.value for one in metrics.samples(due.read(Project(tmp_path)), drills)}
    passed, proven = found["last_pass_timestamp_seconds"], found["last_proof_timestamp_seconds"]
    assert (passed - proven) == 2 * DAY


def test_size_duration_and_age_of_the_newest_restore(tmp_path):
    facts = {"age_s": 3600.0, "used_bytes": 4000, "seconds": {"fetch": 1.0, "total": 2.0}}
    steps = [
        {"id": "backup.1", "status": "done", "seconds": 1.0, "facts": {"age_s": 7200.0}},
        {"id": "restore.1", "status": "done", "seconds": 9.0, "facts": facts},
        {"id": "restore.2", "status": "failed", "seconds": 9.0, "facts": {"used_bytes": 1}},
    ]
    (one,) = figures(tmp_path, result(1, steps=steps), result(2))
    assert one.last_restore() == {"backup_age_s": 3600.0, "bytes": 4000.0, "seconds": 2.0}
    steps[1]["facts"] = facts | {"backup": {"error_s": 600.5}}
    (tmp_path / "another").mkdir()
    (one,) = figures(tmp_path / "another", result(1, steps=steps), result(2))
    assert one.last_restore()["backup_age_s"] == 4200.5, "the data may be older than the time of the backup"


OWN_BACKUP = [
    {"id": "backup.1", "status": "done", "facts": {"location": "s3://backups/today", "identity": {"manifest": "aa"}}},
    {"id": "restore.1", "status": "done", "facts": {"made": {"manifest": "aa"}}},
]


@pytest.mark.parametrize(
    ("rpo", "steps", "values"),
    [
        ({}, [], {"recovery_met": 1.0, "recovery_reservation": 0.0}),
        ({}, OWN_BACKUP, {"recovery_met": 1.0, "recovery_reservation": 1.0}),
        ({"met": False}, OWN_BACKUP, {"recovery_met": 0.0, "recovery_reservation": 0.0}),
        ({"met": None}, OWN_BACKUP, {}),
        ({"met": True, "measured_s": None}, [], {}),
    ],
)
def test_an_alert_can_tell_an_objective_that_is_met_with_a_reservation(tmp_path, rpo, steps, values):
    run = result(1, steps=steps)
    run["objectives"]["rpo"] = run["objectives"]["rto"] | rpo
    drills = figures(tmp_path, run)
    found = {
        one.name: one.value
        for one in metrics.samples(due.read(Project(tmp_path), datetime(2026, 4, 1, tzinfo=UTC)), drills)
        if one.labels[-1:] == ("rpo",) and one.name in ("recovery_met", "recovery_reservation")
    }
    assert found == values
    assert drills[0].misses("rpo") == (rpo.get("met") is False)


def test_a_result_of_a_newer_version_has_its_figures_and_its_reservation(tmp_path):
    run = result(1, steps=OWN_BACKUP)
    run["objectives"]["rpo"] = run["objectives"]["rto"] | {"of_a_newer_version": 1}
    (one,) = figures(tmp_path, run)
    assert one.newest.state("rpo") == "met with a reservation"


def test_results_that_cannot_be_read_are_left_out(tmp_path):
    assert figures(tmp_path, "{", "[]", json.dumps({"service": "a"})) == []


MALFORMED = [
    {"findings": ["x"]},
    {"steps": ["x"]},
    {"phases": ["x"]},
    {"clocks": "x"},
    {"steps": [{"id": "restore.1", "status": "done", "facts": "x"}]},
    {"steps": 1},
    {"objectives": ["x"]},
    {"objectives": {"rto": {"target_s": "x", "measured_s": "x", "error_s": [], "met": True}}},
]


@pytest.mark.parametrize("part", MALFORMED)
def test_a_malformed_part_of_a_result_proves_nothing_and_harms_no_other_figure(tmp_path, part):
    proof = {"clocks": {"disruption_s": 1.0}, "phases": [{"phase": "restore", "status": "done"}], "findings": []}
    run = result(2) | proof
    run["objectives"]["rpo"] = run["objectives"]["rto"]
    old, other = result(1) | proof, result(3, drill="other") | proof
    drills = figures(tmp_path, old, run | part, other)
    found = {(one.name, *one.labels[1:]): one.value for one in metrics.samples(due.read(Project(tmp_path)), drills)}
    assert found["verdict", "sample", "lab", "passed"] == found["verdict", "other", "lab", "passed"] == 1.0
    assert found["last_run_timestamp_seconds", "sample", "lab"] - drills[1].every[1].started_s == DAY
    assert found["last_proof_timestamp_seconds", "other", "lab"] == drills[0].newest.started_s
    counts = "objectives" in part or (isinstance(part.get("steps"), list) and isinstance(part["steps"][0], dict))
    assert drills[1].last_proof is drills[1].every[0 if counts else 1], "a fault and its recovery need no facts of a step"


@pytest.mark.parametrize("part", [{"verdict": None}, {"exit": "x"}, {"started": None}, {"residue": 1}])
def test_a_result_without_a_verdict_a_time_or_changes_is_left_out(tmp_path, part):
    assert [one.newest.subject[1] for one in figures(tmp_path, result(1) | part, result(2, drill="other"))] == ["other"]


def test_the_number_of_unreadable_inventories_is_a_metric_of_its_own(tmp_path):
    (tmp_path / "inventory").mkdir()
    path = tmp_path / "inventory" / "production.yml"
    numbers = []
    for text in ("environment: production\nservices: {database: {kind: process, host: a}}\n", "services: ["):
        path.write_text(text)
        found = {one.name: one.value for one in metrics.samples(due.read(Project(tmp_path)), [])}
        numbers.append((found["inventories_unread"], found.get("never_passed")))
    assert numbers == [(0.0, 1.0), (1.0, None)]


def test_a_proof_stands_after_any_number_of_refused_runs(tmp_path):
    refused = [
        result(2 + number % 20, verdict="refused", exit=4, rto={"measured_s": None, "met": None}) for number in range(25)
    ]
    (one,) = figures(tmp_path, result(1), *refused)
    assert one.proven("rto")
    assert len(one.runs) == run_figures.MOST_RUNS


def test_a_figure_above_a_tightened_target_proves_nothing(tmp_path):
    refused = {"measured_s": None, "met": None}
    (one,) = figures(tmp_path, result(1), result(2, verdict="refused", exit=4, rto=refused | {"target_s": 50.0}))
    assert not one.proven("rto")
    (tmp_path / "other").mkdir()
    (one,) = figures(tmp_path / "other", result(1), result(2, verdict="refused", exit=4, rto=refused | {"target_s": 101.5}))
    assert one.proven("rto")

"""Drills that could only fail in a lab: what is asked for there, before and after a run."""

import json
from datetime import UTC, datetime

import pytest

from drillbook.catalog import shipped_files
from drillbook.exits import Exit
from drillbook.journal.run_state import RunStates
from drillbook.plan.schedule import State
from drillbook.project import due, newest_runs, schedules
from drillbook.project.project import Project
from drillbook.telemetry import metrics
from tests.cli.test_overview import Shelf
from tests.project.test_due import DAY, elsewhere, read, states

ROUTINE = "routine-database"
STAGING = "environment: staging\nservices: {database: {kind: postgres, host: a, not_drilled: x}}\n"
LAB_TEXT = "environment: lab\nlab: embedded\nservices: {database: {kind: postgres, host: a}}\n"


def shipped(shelf):
    (shelf.root / "drills" / f"{ROUTINE}.yml").write_text(shipped_files.text(f"drills/{ROUTINE}.yml"))


def ran(shelf, verdict, *, status=1):
    """Folder of a run of the drill. Its plan is that of a simpler drill, because the inventory lacks what the drill needs."""
    shelf.drill(ROUTINE)
    folder = shelf.result(ROUTINE, verdict, DAY, status)
    shipped(shelf)
    return folder


@pytest.fixture
def routine(tmp_path):
    """A project with a lab, and with a drill of the catalogue that restores the dumps of a team's own job."""
    shelf = Shelf(tmp_path)
    (tmp_path / "drills" / "sample.yml").unlink()
    (shelf.root / "inventory").mkdir()
    (shelf.root / "inventory" / "lab.yml").write_text(LAB_TEXT)
    shipped(shelf)
    return shelf


def test_a_drill_that_could_only_fail_in_the_lab_is_listed_there_and_not_due(routine):
    shelf = routine
    shelf.drill("fresh", "every: 30d\n")
    shelf.result("fresh", ago=9 * DAY)
    for how in ({}, {"environment": "lab"}):
        found = read(shelf, **how)
        assert [(row.drill, row.state) for row in found.rows] == [
            ("fresh", State.OK),
            (ROUTINE, State.NOT_HERE),
        ], "elsewhere, it comes last"
        row = found.rows[-1]
        assert not row.is_due
        assert (row.inventory, row.needs) == ("NAME", "an inventory with a routine backup, which the lab has not")
        assert found.status == Exit.OK
        assert found.as_data()["rows"][-1]["state"] == "not here"


def test_an_inventory_with_what_the_drill_needs_makes_it_due(routine):
    shelf = routine
    (shelf.root / "inventory" / "staging.yml").write_text(STAGING)
    for how in ({}, {"environment": "staging"}):
        (row,) = read(shelf, **how).rows
        assert (row.state, row.inventory, row.needs) == (State.NEVER, "staging", "")
        assert read(shelf, **how).status == Exit.FAILED
    assert [row.state for row in read(shelf, environment="lab").rows] == [State.NOT_HERE]


def test_a_run_in_the_lab_that_found_a_backup_makes_the_drill_count_there(routine):
    shelf = routine
    shelf.drill(ROUTINE, "every: 30d\n")
    shelf.result(ROUTINE, "failed", ago=DAY, status=1)
    assert states(shelf) == {(ROUTINE, "lab"): State.NEVER}, "what failed is not hidden"
    shelf.result(ROUTINE)
    assert states(shelf) == {(ROUTINE, "lab"): State.OK}, "somebody placed a dump there"


def failed(shelf, **finding):
    """A run that failed with one finding, by default because no backup was found."""
    path = ran(shelf, "failed") / "result.json"
    found = {"code": "backup-missing", "severity": "critical", "title": "no file", "step": "backup.1"} | finding
    path.write_text(json.dumps(json.loads(path.read_text()) | {"findings": [found]}, indent=2))
    return path.parent


def test_a_run_that_found_no_backup_leaves_the_drill_not_here(routine):
    """It could only fail there, and another run could do so, too. What failed is shown beside."""
    run = failed(routine)
    for how in ({}, {"environment": "lab"}):
        (row,) = [row for row in read(routine, **how).rows if row.drill]
        assert (row.state, row.environment, row.inventory) == (State.NOT_HERE, "lab", "NAME")
        assert row.needs == "an inventory with a routine backup, which the lab has not"
        assert (row.last_run, row.last_verdict, row.last_findings) == (run.name, "failed", "1 critical finding")
    now = datetime.now(UTC)
    rows = due.in_order(Project(routine.root), schedules.read(Project(routine.root)), standings(routine), now)
    assert [row.state for row in rows] == [State.NOT_HERE]
    never = [each for each in metrics.samples(read(routine), ()) if each.name == "never_passed"]
    assert ROUTINE not in {label for each in never for label in each.labels}


def standings(shelf):
    project = Project(shelf.root)
    return newest_runs.read(list(project.runs()), project, RunStates())


@pytest.mark.parametrize("verdict", ["refused", "aborted", "not run here"])
def test_a_run_that_did_not_look_for_a_backup_leaves_the_drill_not_here(routine, verdict):
    ran(routine, verdict, status=4)
    assert [row.state for row in read(routine).rows if row.drill] == [State.NOT_HERE]


@pytest.mark.parametrize("finding", [{"code": "objective-missed"}, {"step": "verify.1"}])
def test_a_run_that_failed_for_another_reason_makes_the_drill_count_there(routine, finding):
    failed(routine, **finding)
    assert [row.state for row in read(routine).rows if row.drill] == [State.NEVER]


def test_an_inventory_with_what_the_drill_needs_is_asked_for_also_after_such_a_run(routine):
    failed(routine)
    (routine.root / "inventory" / "staging.yml").write_text(STAGING)
    (row,) = [row for row in read(routine).rows if row.drill]
    assert (row.state, row.environment, row.inventory, row.needs) == (State.NEVER, "", "staging", "")
    assert row.last_verdict == "failed"
    assert [row.state for row in read(routine, environment="lab").rows if row.drill] == [State.NOT_HERE]
    elsewhere(ran(routine, "passed", status=0), "staging")
    rows = [row for row in read(routine).rows if row.drill]
    assert [(row.environment, row.state) for row in rows] == [("staging", State.OK)], "the lab is not asked for"


def test_a_suite_with_such_a_drill_is_judged_by_the_runs_of_its_drills(routine):
    text = "suite: all\ntitle: All\nevery: 7d\ndrills: [routine-database]\n"
    (routine.root / "drills" / "all.yml").write_text(text)
    folder = failed(routine)
    suite = folder.parent / folder.name.replace(ROUTINE, "all")
    suite.mkdir()
    folder.rename(suite / folder.name)
    whole = json.loads((suite / folder.name / "result.json").read_text())
    whole |= {"suite": "all", "run": suite.name, "runs": [{"folder": folder.name}], "findings": []}
    del whole["drill"]
    (suite / "result.json").write_text(json.dumps(whole, indent=2))
    assert {row.drill: row.state for row in read(routine).rows if row.drill}["all"] is State.NOT_HERE


def test_a_project_in_which_no_schedule_can_be_kept_still_raises_the_alarm(routine):
    found = read(routine)
    assert (found.scheduled, found.status) == (False, Exit.FAILED)
    routine.drill("whenever")
    assert states(routine) == {(ROUTINE, ""): State.NOT_HERE, ("whenever", ""): State.NEVER}


def test_a_drill_that_could_only_fail_is_no_drill_of_a_service_of_the_lab(routine):
    """Otherwise the list would name it as the drill to run."""
    shelf = routine
    shelf.drill("fresh", "every: 30d\n")
    folder = shelf.result("fresh", proof=False)
    lines = (folder / "journal.jsonl").read_text().replace('"app"', '"database"')
    (folder / "journal.jsonl").write_text(lines)
    (row,) = [row for row in read(shelf).rows if not row.drill]
    assert (row.service, row.state, row.drills) == ("database", State.NEVER, ())

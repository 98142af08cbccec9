"""Standings: the newest run and the newest passed run of each drill in each environment, from the results alone."""

import pytest

from drillbook.journal.run_state import RunStates
from drillbook.project import newest_runs
from drillbook.project.project import Project
from tests.project.test_due import DAY, elsewhere
from tests.project.test_due import shelf as shelf
from tests.project.test_overdue_since import in_suite


def standings(shelf):
    project, states = Project(shelf.root), RunStates()
    return newest_runs.read(newest_runs.begun(project, states), project, states)


def names(standing):
    return standing.last.run, standing.passed and standing.passed.run


def test_the_newest_run_and_the_newest_passed_one_are_found_in_each_environment(shelf):
    shelf.drill("one")
    old, passed, failed = (
        shelf.result("one", verdict, ago * DAY, status)
        for verdict, ago, status in (("passed", 9, 0), ("passed", 5, 0), ("failed", 3, 1))
    )
    other = shelf.result("one", ago=7 * DAY)
    elsewhere(other, "staging")
    found = standings(shelf)
    assert found.keys() == {("one", "lab"), ("one", "staging")}
    assert names(found["one", "lab"]) == (failed.name, passed.name)
    assert names(found["one", "staging"]) == (other.name, other.name)
    assert found["one", "lab"].first[:10] == found["one", "lab"].first[:10] <= old.name[:4] + "-9"
    assert found["one", "lab"].failed == found["one", "lab"].last.started
    assert names(newest_runs.newest(found)["one"]) == (failed.name, passed.name)


def test_a_passed_run_that_left_changes_is_not_a_passed_one(shelf):
    shelf.drill("one")
    left = shelf.result("one", status=5)
    assert names(standings(shelf)["one", "lab"]) == (left.name, None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"verdict": "passed"}'])
def test_a_result_that_cannot_be_read_counts_as_no_run(shelf, text):
    shelf.drill("one")
    folder = shelf.result("one")
    (folder / "result.json").write_text(text)
    assert standings(shelf) == {}


def test_a_run_whose_journal_is_lost_has_not_begun(shelf):
    shelf.drill("one")
    (shelf.result("one") / "journal.jsonl").unlink()
    assert newest_runs.begun(Project(shelf.root), RunStates()) == []


@pytest.mark.parametrize(("lab", "moves"), [("docker", True), ("embedded", False)])
def test_a_suite_on_the_docker_lab_moves_with_its_environment(shelf, lab, moves):
    path = shelf.root / "hosts.yml"
    path.write_text(path.read_text().replace("lab: embedded", f"lab: {lab}"))
    shelf.drill("one")
    in_suite(shelf, "one", 20 * DAY, proof=True)
    assert not newest_runs.moved(standings(shelf), "all", "lab"), "no run in docker-lab"
    elsewhere(in_suite(shelf, "one", DAY, proof=True), "docker-lab")
    found = standings(shelf)
    assert newest_runs.moved(found, "all", "lab") is moves
    assert not newest_runs.moved(found, "all", "docker-lab")
    in_suite(shelf, "one", DAY / 2, proof=True)
    assert not newest_runs.moved(standings(shelf), "all", "lab"), "the newest run is in lab again"

"""A project: its folder, its inventories, and its runs by their names."""

import contextlib

import pytest

from drillbook.errors import UnknownName, UsageError
from drillbook.project.project import Project, names_hint
from tests.project.test_due import DAY
from tests.project.test_due import shelf as shelf


@pytest.fixture
def project(shelf):
    (shelf.root / "inventory").mkdir()
    return Project(shelf.root)


def test_the_project_is_the_nearest_folder_with_drills(project, tmp_path):
    below = project.root / "drills" / "deep"
    below.mkdir()
    with contextlib.chdir(below):
        assert Project.here() == project
        assert Project.of_runs() == project


def test_an_auditor_needs_reports_alone(tmp_path_factory):
    root = tmp_path_factory.mktemp("reports-only")
    (root / "reports").mkdir()
    with contextlib.chdir(root / "reports"):
        assert Project.of_runs() == Project(root)
        with pytest.raises(UsageError, match="there is no folder `drills`"):
            Project.here()


def test_the_default_inventory_is_the_lab_or_the_only_one(project):
    folder = project.root / "inventory"
    (folder / "staging.yml").write_text("")
    assert project.inventory_name("") == "staging"
    (folder / "third place.yml").write_text("")
    with pytest.raises(UsageError, match="several inventories") as told:
        project.inventory_name("")
    assert told.value.hint == "add `--inventory staging` or `--inventory 'third place'`"
    (folder / "lab.yml").write_text("")
    assert project.inventory_name("") == "lab"
    assert project.inventory_name("staging") == "staging"


def test_an_unknown_inventory_names_those_that_exist(project):
    with pytest.raises(UnknownName, match="this project has no inventory"):
        project.inventory_path("lab")
    (project.root / "inventory" / "staging.yml").write_text("")
    with pytest.raises(UnknownName, match="no inventory 'stagging'") as told:
        project.inventory_path("stagging")
    assert told.value.hint == "did you mean 'staging'? inventories: staging"


def test_a_run_is_found_by_its_name_a_part_of_it_its_drill_or_as_the_latest(shelf):
    project = Project(shelf.root)
    for name in ("one", "two"):
        shelf.drill(name)
    first, second, third = (shelf.result(name, ago=ago * DAY) for name, ago in (("one", 5), ("one", 3), ("two", 1)))
    assert [project.run(name) for name in ("", "latest", first.name, "one", "two-0003")] == [
        third,
        third,
        first,
        second,
        third,
    ]
    with pytest.raises(UnknownName, match="2 runs match the name '-one-'") as told:
        project.run("-one-")
    assert told.value.hint == f"did you mean one of: {second.name}, {first.name}"
    with pytest.raises(UnknownName, match="no run 'three'") as told:
        project.run("three")
    assert told.value.hint.startswith(f"the newest are: {third.name}")


def test_the_beginning_of_a_name_counts_before_other_parts_of_it(shelf):
    project = Project(shelf.root)
    shelf.drill("one")
    first = shelf.result("one", ago=5 * DAY)
    date = first.name[:8]
    shelf.drill(f"of-{date}")
    shelf.result(f"of-{date}")
    assert project.run(date) == first


def test_a_run_inside_a_suite_is_a_run_and_its_suite_stands_for_its_drills(shelf):
    project = Project(shelf.root)
    shelf.drill("one")
    suite = project.ready_reports() / shelf.run_id("all", DAY)
    suite.mkdir()
    inner = suite / shelf.result("one").name
    (project.reports / inner.name).rename(inner)
    assert list(project.runs()) == [inner]
    assert project.run("all", suites=True) == suite
    assert project.runs_of("all") == [inner]
    with pytest.raises(UnknownName):
        project.run("all")


def test_a_run_without_its_journal_is_lost_and_stays_open(shelf):
    project = Project(shelf.root)
    shelf.drill("one")
    kept, lost = shelf.result("one", ago=DAY), shelf.open("one")
    (lost / "journal.jsonl").unlink()
    assert (list(project.runs()), project.lost(), project.open_runs()) == ([kept], [lost], [lost])
    with pytest.raises(UnknownName, match=f"the journal of {lost.name} no longer exists"):
        project.run(lost.name)
    assert project.run(lost.name, lost=True) == lost


def test_a_long_list_of_drills_is_replaced_by_its_command():
    assert names_hint(["a", "b"]) == "drills and suites: a, b"
    assert names_hint([str(number) for number in range(9)]) == "`invoke drill.list --all` lists the 9 drills and suites"

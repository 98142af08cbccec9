"""Schedules from the files of drills and suites: what lists need, and why a file cannot be read."""

import pytest

from drillbook.project import schedules
from drillbook.project.project import Project
from tests.project.test_due import shelf as shelf


def listed(shelf):
    return {one.name: one for one in schedules.read(Project(shelf.root))}


def test_a_drill_has_its_times_environments_and_services(shelf):
    shelf.drill("one", 'every: 30d\ngrace: 2d\nguard: {environments: [lab, staging]}\nowner: "{{ services.db.url }}"\n')
    one = listed(shelf)["one"]
    assert (one.suite, one.services, one.environments) == (False, ("app",), ("lab", "staging"))
    assert (one.every, one.grace) == (30 * 86400.0, 2 * 86400.0)
    assert {"app", "db"} <= one.uses
    assert (one.broken, one.restores) == ("", False)
    shelf.drill("two")
    assert (listed(shelf)["two"].environments, listed(shelf)["two"].schedule) == (("lab",), None)


def test_a_suite_has_the_services_of_its_drills_and_the_environments_of_all(shelf):
    shelf.drill("one", "guard: {environments: [lab, staging]}\n")
    shelf.drill("two")
    (shelf.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\nevery: 7d\ndrills: [one, two]\n")
    suite = listed(shelf)["all"]
    assert (suite.suite, suite.services, suite.environments, suite.drills) == (True, ("app",), ("lab",), ("one", "two"))
    shelf.drill("two", "guard: {environments: [docker-lab]}\n")
    assert listed(shelf)["all"].environments == ("docker-lab",), "a guard that permits the lab permits the Docker lab, too"
    (shelf.root / "drills" / "two.yml").write_text("drill: [")
    assert listed(shelf)["all"].mistake == "the drill two of this suite cannot be read"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drill: [", "one.yml:2:1: "),
        ("drill: one\n", "one.yml: the file has no title"),
        (
            "drill: one\ntitle: One\nservice: app\nevery: often\n",
            "one.yml: every cannot be read; see drillbook drill.plan one",
        ),
        (
            "drill: one\ntitle: One\nservice: app\nevery: x\nguard: {windows: [1]}\n",
            "one.yml: every and guard.windows cannot be read",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why(shelf, text, said):
    (shelf.root / "drills" / "one.yml").write_text(text)
    one = listed(shelf)["one"]
    assert one.broken.startswith(said)
    assert schedules.any_of([one])


def test_a_drill_has_the_schedule_of_its_suite_and_a_suite_that_of_its_drills(shelf):
    shelf.drill("one", "every: 30d\n")
    shelf.drill("two")
    suite = shelf.root / "drills" / "all.yml"
    suite.write_text("suite: all\ntitle: All\nevery: 7d\ndrills: [two, gone]\n")
    known = listed(shelf)
    assert [known[name].planned_by for name in ("one", "two", "all")] == ["", "its suite", ""]
    suite.write_text("suite: all\ntitle: All\ndrills: [one, two]\n")
    assert [each.planned_by for each in listed(shelf).values()] == ["", "", ""], "two has none"
    shelf.drill("two", "every: 7d\n")
    assert listed(shelf)["all"].planned_by == "its drills"
    suite.write_text("suite: all\ntitle: All\ndrills: [gone]\n")
    assert listed(shelf)["all"].planned_by == "", "no drill, and so no schedule"

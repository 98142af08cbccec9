"""Trust state of a project: the commands that are skipped until somebody trusts them."""

import pytest

from drillbook.errors import SecretError
from drillbook.plan import planner
from drillbook.project.project import Project
from drillbook.trust import trust_record
from drillbook.trust.trust_record import VARIABLE, Record
from drillbook.trust.trust_state import Trust, outside
from tests.trust.pull_request import PROBE, READY, STEP, PullRequest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    made = PullRequest(tmp_path / "project")
    made.site()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return made


def trust(folder):
    return Trust(Project(folder.root), "lab")


def accept(folder):
    trust_record.write(folder.root, Record(trust(folder).scan.digest, "2026-11-30T12:00:00Z", "ann", {}))


def planned(folder, name="sample"):
    project = Project(folder.root)
    return planner.make(project.drill(name), project.inventory("lab"))


def test_a_project_that_executes_nothing_needs_no_trust(folder):
    folder.write(STEP)
    assert (trust(folder).doubt, trust(folder).record) == ("", None)
    assert trust(folder).of_plan(planned(folder)) == ()


def test_a_command_of_a_drill_is_skipped_until_it_is_trusted(folder):
    folder.write(READY + STEP)
    assert trust(folder).doubt == "nobody has trusted it yet"
    assert [item.where for item in trust(folder).of_plan(planned(folder))] == ["drills/sample.yml:5"]
    assert trust(folder).of_plan(planned(folder, "harmless")) == (), "which executes nothing"
    accept(folder)
    assert (trust(folder).doubt, trust(folder).of_plan(planned(folder))) == ("", ())
    assert trust(folder).record.by == "ann"
    folder.write(READY.replace("mark", "other") + STEP)
    assert trust(folder).doubt.startswith("it has changed since it was trusted")
    assert len(trust(folder).of_plan(planned(folder))) == 1


def test_a_secret_of_a_service_is_skipped_with_the_plans_and_diagnoses_that_need_it(folder):
    folder.site("!command [pass, show, x]")
    folder.write(PROBE + STEP)
    assert [item.text for item in trust(folder).of_plan(planned(folder))] == ["pass show x  (for services.cache.password)"]
    assert trust(folder).of_plan(planned(folder, "harmless")) == ()
    inventory = Project(folder.root).inventory("lab")
    assert [item.kind for item in trust(folder).of_diagnosis(inventory, [], ["cache"])] == ["!command"]
    assert trust(folder).of_diagnosis(inventory, [], ["app"]) == ()


def test_a_secret_of_a_program_is_not_read_until_it_is_trusted(folder):
    folder.site("!command [echo, sword-fish]")
    barred = Project(folder.root).inventory("lab")
    trust(folder).bar(barred)
    with pytest.raises(SecretError, match="was not read: nobody has trusted it yet"):
        barred.services["cache"].password.reveal()
    accept(folder)
    free = Project(folder.root).inventory("lab")
    trust(folder).bar(free)
    assert free.services["cache"].password.reveal() == "sword-fish"


def test_the_files_of_a_docker_lab_are_skipped_only_on_its_inventory(folder):
    (folder.root / "lab").mkdir()
    (folder.root / "lab" / "compose.yml").write_text("services: {}\n")
    path = folder.root / "inventory" / "lab.yml"
    assert trust(folder).of_lab(Project(folder.root).inventory("lab")) == ()
    path.write_text("lab: docker\n" + path.read_text())
    assert [item.kind for item in trust(folder).of_lab(Project(folder.root).inventory("lab"))] == ["docker compose"]


@pytest.mark.parametrize(
    ("inventory", "elsewhere"),
    [
        ("lab", ""),
        ("project/inventory/lab.yml", ""),
        ("project/inventory/../inventory/lab.yml", ""),
        ("project/inventory/lab.yaml", "project/inventory/lab.yaml"),
        ("project/lab.yml", "project/lab.yml"),
        ("site.yml", "site.yml"),
    ],
)
def test_an_inventory_is_outside_unless_it_is_in_the_folder_of_the_project(tmp_path, monkeypatch, inventory, elsewhere):
    monkeypatch.chdir(tmp_path)
    assert outside(Project(tmp_path / "project"), inventory) == (str(tmp_path / elsewhere) if elsewhere else "")

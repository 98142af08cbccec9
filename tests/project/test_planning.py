"""Plans of a project's drills: a service that the inventory lacks is looked for in the other inventories."""

import shutil
from pathlib import Path

import pytest

from drillbook.errors import PlanError, SpecError, UnknownName
from drillbook.project import planning
from drillbook.project.project import Project
from tests.program import HEAD, VERIFY, step

ROOT = Path(__file__).parents[2]
HOSTS = "environment: ENV\nhosts: {a: {address: 127.0.0.1}}\nservices: {SERVICE: {kind: process, host: a}}\n"


@pytest.fixture
def project(tmp_path):
    for folder in ("drills", "inventory"):
        (tmp_path / folder).mkdir()
    for name, service in (("lab", "other"), ("staging", "app"), ("third place", "app")):
        text = HOSTS.replace("ENV", "lab").replace("SERVICE", service)
        (tmp_path / "inventory" / f"{name}.yml").write_text(text)
    (tmp_path / "drills" / "sample.yml").write_text(HEAD + "restore:\n" + step(["true"]) + VERIFY)
    return Project(tmp_path)


def test_the_inventories_that_have_a_missing_service_are_named(project):
    drill = planning.load(project, "sample", "lab")
    with pytest.raises(PlanError, match="no service 'app'") as told:
        planning.plan(project, drill, project.inventory("lab"))
    assert told.value.hint.endswith("`--inventory staging` or `--inventory 'third place'`")
    (project.root / "inventory" / "third place.yml").unlink()
    with pytest.raises(PlanError) as told:
        planning.plan(project, drill, project.inventory("lab"))
    assert told.value.hint == "the service is in the inventory `staging`: `--inventory staging`"
    assert planning.plan(project, drill, project.inventory("staging")).service == "app"


def test_no_lab_is_named_for_a_drill_that_no_lab_can_run(project):
    """Its guard permits the lab, whose inventory has the names, but the lab has no such backups."""
    folder = project.root
    shutil.copy(ROOT / "drills" / "routine-database.yml", folder / "drills")
    (folder / "inventory" / "lab.yml").write_text((ROOT / "inventory" / "lab.yml").read_text())
    drill = planning.load(project, "routine-database", "staging")
    with pytest.raises(PlanError) as told:
        planning.plan(project, drill, project.inventory("staging"))
    absent = [error for error in (told.value, *told.value.others) if error.absent]
    assert absent
    for error in absent:
        why = "the lab keeps no backups for routine-database"
        assert error.hint == f"describe {error.absent} in this inventory, or adapt the drill: {why}"


def test_mistakes_in_the_inventory_are_reported_beside_those_of_the_file(project):
    path = project.root / "drills" / "sample.yml"
    path.write_text(path.read_text().replace("title:", "titel:"))
    with pytest.raises(SpecError, match="titel") as told:
        planning.load(project, "sample", "lab")
    assert any("no service 'app'" in error.message for error in told.value.others)


def test_an_unknown_drill_is_an_error(project):
    with pytest.raises(UnknownName, match="no drill or suite 'simple'"):
        planning.load(project, "simple", "lab")

"""Plans of a project's drills: a service that the inventory lacks is looked for in the other inventories."""

import pytest

from drillbook.errors import PlanError, SpecError, UnknownName
from drillbook.project import planning
from drillbook.project.project import Project
from tests.program import HEAD, VERIFY, step

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


def test_mistakes_in_the_inventory_are_reported_beside_those_of_the_file(project):
    path = project.root / "drills" / "sample.yml"
    path.write_text(path.read_text().replace("title:", "titel:"))
    with pytest.raises(SpecError, match="titel") as told:
        planning.load(project, "sample", "lab")
    assert any("no service 'app'" in error.message for error in told.value.others)


def test_an_unknown_drill_is_an_error(project):
    with pytest.raises(UnknownName, match="no drill or suite 'simple'"):
        planning.load(project, "simple", "lab")

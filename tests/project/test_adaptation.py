"""Names that must be adapted before a shipped drill can run with the inventories of a project."""

import pytest

from drillbook.catalog import entries
from drillbook.project import adaptation
from drillbook.project.adaptation import Adaptation
from drillbook.project.project import Project

DRILL = "routine-database"
FULL = (
    "environment: staging\nhosts: {primary: {address: 192.0.2.1}}\ncontacts: {dba: {role: DBA}}\n"
    "services: {database: {kind: postgres}, database_copy: {kind: postgres}}\nbackups: {database_dumps: {kind: pg_dump}}\n"
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "inventory").mkdir()
    return Project(tmp_path)


def write(project, name, text):
    (project.root / "inventory" / f"{name}.yml").write_text(text)


def test_the_inventory_that_lacks_least_is_told(project):
    write(project, "other", "environment: production\nhosts: {}\nservices: {database: {kind: postgres}}\n")
    told = adaptation.of(entries.find(DRILL), project)
    assert told == Adaptation("other", ("database_copy", "database_dumps"), (), ("dba",), "production")
    write(project, "site", FULL)
    told = adaptation.of(entries.find(DRILL), project)
    assert (told, told.words(DRILL)) == (Adaptation("site"), "")
    assert adaptation.of(entries.find("rehearse-database"), project) == Adaptation("site", ("copy_api",))


def test_hosts_of_ansible_are_not_looked_up(project):
    write(project, "site", FULL.replace("hosts: {primary: {address: 192.0.2.1}}", "ansible: hosts.ini"))
    (project.root / "inventory" / "hosts.ini").write_text("primary\n")
    assert adaptation.of(entries.find("rehearse-database"), project).hosts == ()


def test_a_project_with_a_lab_or_without_inventories_is_not_own(project):
    assert not adaptation.is_own(project)
    write(project, "site", FULL)
    assert adaptation.is_own(project)
    write(project, "lab", "environment: [")
    assert not adaptation.is_own(project), "a lab that cannot be read"
    write(project, "lab", "environment: lab\n")
    assert adaptation.is_own(project), "an inventory of their own with this name"
    write(project, "lab", "environment: lab\nlab: embedded\n")
    assert not adaptation.is_own(project)

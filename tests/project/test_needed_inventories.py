"""The inventory with which a drill can run, and what it needs before."""

import pytest

from drillbook.project import needed_inventories, schedules
from drillbook.project.needed_inventories import Choice
from drillbook.project.project import Project

DRILL = """
drill: volume
title: A volume
service: files
guard: {environments: [lab, staging]}
verify:
  - command.run: {argv: ["true", "{{ services.copy.path }}"], effect: read}
"""
HAS = "services: {files: {kind: folder, host: a}, copy: {kind: folder, host: a}}\n"
LACKS = HAS.replace("copy: {", "copy: {missing: the package tar, ")


@pytest.fixture
def project(tmp_path):
    for name in ("drills", "inventory"):
        (tmp_path / name).mkdir()
    (tmp_path / "drills" / "volume.yml").write_text(DRILL)
    return Project(tmp_path)


def choice(project, environment="", **inventories):
    for name, text in inventories.items():
        (project.root / "inventory" / f"{name}.yml").write_text(text)
    (one,) = [one for one in schedules.read(project) if one.name == "volume"]
    return needed_inventories.read(project).choice(one, environment)


def test_the_usual_inventory_is_taken_if_it_has_all_services(project):
    assert choice(project, lab=f"environment: lab\nlab: embedded\n{HAS}") == Choice("lab")


def test_a_lab_that_is_not_the_usual_one_is_told(project):
    found = choice(project, lab=f"environment: lab\nlab: embedded\n{LACKS}", docker=f"environment: lab\nlab: docker\n{HAS}")
    assert found == Choice("docker", "the inventory docker")


def test_an_inventory_of_real_hosts_needs_nothing_more(project):
    found = choice(project, lab=f"environment: lab\n{LACKS}", hosts=f"environment: staging\n{HAS}")
    assert found == Choice("hosts")


def test_a_missing_program_is_named_also_if_only_an_expression_uses_its_service(project):
    assert choice(project, lab=f"environment: lab\n{LACKS}") == Choice("lab", "an installation of the package tar")


def test_a_service_that_no_inventory_has_is_named_unless_one_cannot_be_read(project):
    assert choice(project, lab="environment: lab\n") == Choice("lab", "an inventory with the service files")
    assert choice(project, broken="environment: [") == Choice("lab")


def test_an_inventory_of_a_permitted_environment_is_to_be_created_if_there_is_none(project):
    """No other inventory helps, because the guard refuses the drill there."""
    lab = {"lab": f"environment: office\nlab: embedded\n{HAS}"}
    found = choice(project, **lab)
    assert found == Choice("NAME", "an inventory of lab (create inventory/NAME.yml with `environment: lab`)"), (
        "its file exists"
    )
    guarded(project, "[staging]")
    assert choice(project) == Choice(
        "staging", "an inventory of staging (create inventory/staging.yml with `environment: staging`)"
    )


def test_no_inventory_of_a_lab_is_to_be_created_in_a_project_without_a_lab(project):
    """It would become the default of all commands. A drill of the catalogue, whose guard permits the lab, is adapted instead."""
    guard = "an environment of this project in its `guard.environments`"
    found = choice(project, office=f"environment: office\n{HAS}")
    made = "an inventory of staging (create inventory/staging.yml with `environment: staging`)"
    assert found == Choice("staging", f"{made}, or {guard}")
    guarded(project, "[lab]")
    assert choice(project) == Choice("office", guard)
    assert choice(project, other="environment: other\n") == Choice("NAME", guard)


def guarded(project, environments):
    (project.root / "drills" / "volume.yml").write_text(DRILL.replace("[lab, staging]", environments))


def test_an_inventory_that_cannot_be_read_may_be_one_of_a_permitted_environment(project):
    """The usual inventory is never chosen there, because the guard refuses the drill with it."""
    found = choice(project, lab=f"environment: office\n{HAS}", broken="environment: [")
    assert found == Choice("NAME", "an inventory of lab (inventory/broken.yml may be one, but cannot be read)")
    found = choice(project, staging="environment: [")
    assert found == Choice("staging", "an inventory of staging (inventory/staging.yml may be one, but cannot be read)")
    (project.root / "inventory" / "staging.yml").unlink()
    found = choice(project, more="environment: [")
    assert found.needs == "an inventory of lab (inventory/broken.yml, inventory/more.yml may be one, but cannot be read)"


def test_a_guard_that_permits_no_environment_needs_one(project):
    written = DRILL.replace("[lab, staging]", "[]")
    (project.root / "drills" / "volume.yml").write_text(written)
    assert choice(project, lab=f"environment: lab\n{HAS}").needs == "an environment in its `guard.environments`"


def test_a_suite_whose_drills_have_no_common_environment_needs_one(project):
    for name, place in (("one", "lab"), ("two", "staging")):
        written = DRILL.replace("volume", name).replace("[lab, staging]", f"[{place}]")
        (project.root / "drills" / f"{name}.yml").write_text(written)
    (project.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [one, two]\n")
    (project.root / "inventory" / "lab.yml").write_text(f"environment: lab\n{HAS}")
    suite = next(one for one in schedules.read(project) if one.suite)
    assert needed_inventories.read(project).choice(suite).needs == "an environment in which all its drills may run"


def test_an_inventory_without_the_service_is_one_of_a_permitted_environment(project):
    found = choice(project, lab="environment: office\n", staging="environment: staging\n")
    assert found == Choice("staging", "an inventory with the service files")


def test_only_inventories_of_the_environment_count(project):
    labs = {"lab": f"environment: lab\n{LACKS}", "staging": f"environment: staging\n{HAS}"}
    assert choice(project, "staging", **labs) == Choice("staging")
    assert choice(project, "lab").needs == "an installation of the package tar"


def test_a_value_of_the_lab_tells_which_programs_are_missing(project):
    missing = HAS.replace("copy: {", "copy: {missing: !lab missing.no-such-programs, ")
    assert choice(project, lab=f"environment: lab\nlab: embedded\n{missing}") == Choice("lab")


def test_a_suite_needs_what_its_drills_need(project):
    (project.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [volume]\n")
    (project.root / "inventory" / "lab.yml").write_text(f"environment: lab\n{LACKS}")
    suite = next(one for one in schedules.read(project) if one.suite)
    assert needed_inventories.read(project).choice(suite).needs == "an installation of the package tar"


ROUTINE = """
drill: routine-database
title: The newest dump
service: database
every: 7d
guard: {environments: [lab, staging]}
backup: [{backup.check: {service: database_dumps}}]
"""
LAB = "environment: lab\nlab: embedded\nservices: {database: {kind: postgres, host: a}}\n"
STAGING = "environment: staging\nservices: {database: {kind: postgres, host: a}}\n"


def unmet(project, environment="", name="routine-database"):
    (one,) = [one for one in schedules.read(project) if one.name == name]
    return needed_inventories.read(project).unmet(one, environment)


def test_a_drill_of_a_routine_backup_is_for_inventories_of_a_team_alone(project):
    """The job that takes such backups is no part of a lab."""
    for name, text in {
        "routine-database": ROUTINE,
        "routine-cache": ROUTINE.replace("database", "cache"),
        "other": ROUTINE.replace("drill: routine-database", "drill: other"),
        "all": "suite: all\ntitle: All\nevery: 7d\ndrills: [routine-database]\n",
    }.items():
        (project.root / "drills" / f"{name}.yml").write_text(text)
    (project.root / "inventory" / "lab.yml").write_text(LAB)
    assert unmet(project) == unmet(project, "lab") == needed_inventories.ROUTINE
    assert unmet(project, name="all") == needed_inventories.ROUTINE
    assert unmet(project, name="routine-cache") == "", "the cache of a lab writes dumps itself"
    assert unmet(project, name="other") == "", "nothing is known about it"
    (project.root / "inventory" / "staging.yml").write_text("environment: staging\n")
    assert unmet(project) == needed_inventories.ROUTINE, "an inventory without the service helps no more than the lab"
    (project.root / "inventory" / "staging.yml").write_text(STAGING)
    assert unmet(project) == unmet(project, "staging") == ""
    assert unmet(project, "lab") == needed_inventories.ROUTINE
    (one,) = [one for one in schedules.read(project) if one.name == "routine-database"]
    assert needed_inventories.read(project).choice(one) == Choice("staging"), "not the lab, which is the usual one"
    (project.root / "inventory" / "staging.yml").write_text("environment: [")
    assert unmet(project) == "", "it may have the service"
    for name in ("lab", "staging"):
        (project.root / "inventory" / f"{name}.yml").unlink()
    assert unmet(project) == "", "no lab"

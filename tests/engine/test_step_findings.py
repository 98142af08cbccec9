"""Advice of findings that depends on the drill: a routine backup that is missing in a lab is no mistake of the inventory."""

import shutil
from pathlib import Path

import pytest

from drillbook.engine.step_findings import NO_JOB, of_missing_routine, of_step
from drillbook.findings import finding
from drillbook.plan.planner import make
from drillbook.project.project import Project

ROOT = Path(__file__).parents[2]
MISSING = finding("backup-missing", title="dumps", measured="none", remedy="Correct the inventory.")


@pytest.fixture
def project(tmp_path):
    for folder in ("drills", "inventory"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return Project(tmp_path)


def remedy(project, drill, *, lab=True, phase="backup", problem=MISSING):
    plan = make(project.drill(drill), project.inventory("lab"))
    if not lab:
        plan = plan.model_copy(update={"inventory": plan.inventory.model_copy(update={"lab": ""})})
    found = of_step(problem, plan.phase(phase)[0], plan)
    assert found.step == plan.phase(phase)[0].id
    return found.remedy


@pytest.mark.parametrize("drill", ["routine-database", "routine-vectors", "routine-shop"])
def test_the_remedy_of_a_missing_routine_backup_says_that_the_lab_has_none(project, drill):
    assert remedy(project, drill) == NO_JOB
    assert of_missing_routine(make(project.drill(drill), project.inventory("lab"))) == NO_JOB, "for drill.check"
    assert remedy(project, drill, lab=False) == MISSING.remedy


def test_any_other_missing_backup_has_the_remedy_of_its_step(project):
    assert remedy(project, "routine-cache") == MISSING.remedy, "the cache itself writes its backup"
    assert remedy(project, "postgres-lost") == MISSING.remedy, "the drill itself takes its backup"
    assert remedy(project, "routine-database", phase="restore") == MISSING.remedy
    other = finding("backup-too-old", title="dumps", remedy="Repair the job.")
    assert remedy(project, "routine-database", problem=other) == other.remedy

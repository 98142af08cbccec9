"""A new project: made, complete, refused where something is there already, and its first drill really runs."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from drillbook import plan, scaffold
from drillbook.errors import UsageError
from drillbook.lab import control
from drillbook.project import Project
from drillbook.spec import Drill
from tests.program import PROGRAM

ROOT = Path(__file__).parent.parent


def drillbook(folder, *argv):
    environment = {**os.environ, "DRILLBOOK_LAB": f"/var/tmp/dbk-init-{os.getpid()}"}
    return subprocess.run([*PROGRAM, *argv], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=120)


def test_a_new_project_runs_its_first_drill(tmp_path):
    made = drillbook(tmp_path, "init", "new/project")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "new" / "project"
    assert "cd new/project" in made.stdout
    try:
        checked = drillbook(folder, "drill.check", "first")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        done = drillbook(folder, "drill", "pre-release")
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads((folder / "reports/latest/result.json").read_text())["verdict"] == "passed"
        assert (folder / "reports" / "latest" / "junit.xml").is_file(), "the CI file keeps it"
    finally:
        control.down(Path(f"/var/tmp/dbk-init-{os.getpid()}"))


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "tasks.py").write_text("mine\n")
    with pytest.raises(UsageError, match=r"tasks\.py"):
        scaffold.init(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.py"]
    assert (tmp_path / "tasks.py").read_text() == "mine\n"


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        scaffold.init(tmp_path / "file" / "project")


def test_the_files_are_right(tmp_path, monkeypatch):
    monkeypatch.setenv("DRILLBOOK_LAB", str(tmp_path / "lab"))
    scaffold.init(tmp_path)
    project = Project(tmp_path)
    drill = project.drill("first")
    assert isinstance(drill, Drill)
    assert plan.make(drill, project.inventory("lab")).steps
    assert project.inventory("staging").environment == "staging"
    assert (tmp_path / "inventory" / "lab.yml").read_text() == (ROOT / "inventory" / "lab.yml").read_text()
    for name, text in scaffold.contents().items():
        if name.endswith(".yml") and "inventory" not in name:
            assert yaml.safe_load(text), name


def test_the_commented_inventory_is_right_too(tmp_path):
    text = scaffold.contents()["inventory/staging.yml"]
    head, *rest = text.split("environment: staging")
    shown = "environment: staging" + "".join(rest)
    for key in ("hosts", "groups", "services"):
        shown = shown.replace(f"{key}: {{}}", f"{key}:")
    (tmp_path / "full.yml").write_text("\n".join(line.removeprefix("#") for line in shown.splitlines()))
    full = Project(tmp_path).inventory(str(tmp_path / "full.yml"))
    assert set(full.services) == {"api", "database", "backups"}
    assert head.startswith("# yaml-language-server: $schema=../.drillbook/inventory.schema.json")


def test_the_wheel_holds_every_template():
    from importlib.resources import files

    templates = files("drillbook").joinpath("templates")
    assert {one.name for one in templates.iterdir()} == {*scaffold.FILES.values(), scaffold.TREES}

"""New project: all files are there, existing files stop its creation, and its first drill really runs."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from drillbook.catalog import entries
from drillbook.cli import ci_files, scaffold
from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.lab import control
from drillbook.plan import planner
from drillbook.plan.schedule import State
from drillbook.plan.spec import Drill
from drillbook.project import due
from drillbook.project.project import Project
from drillbook.signing import keys
from tests.needs import need
from tests.program import PROGRAM

ROOT = Path(__file__).parents[2]


def drillbook(folder, *argv):
    environment = {**os.environ, "DRILLBOOK_LAB": f"/var/tmp/dbk-init-{os.getpid()}"}
    return subprocess.run(
        [*PROGRAM, *argv],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.long(70)
def test_a_new_project_runs_its_first_drill(tmp_path):
    made = drillbook(tmp_path, "init", "new/project")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "new" / "project"
    assert "cd new/project" in made.stdout
    (command,) = re.findall("drillbook (drill .*)", made.stdout)
    try:
        checked = drillbook(folder, "drill.check", "first")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        done = drillbook(folder, *command.split())
        assert done.returncode == 0, done.stdout + done.stderr
        due = drillbook(folder, "drill.due", "--all").stdout
        assert "1 schedule: 1 ok" in due, "the printed command is what the schedule asks for"
        assert "without a schedule" not in due
        assert "without a schedule" not in drillbook(folder, "drill.list").stdout
        done = drillbook(folder, "drill", "pre-release")
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads((folder / "reports/latest/result.json").read_text())["verdict"] == "passed"
        assert (folder / "reports" / "latest" / "junit.xml").is_file(), "the CI file keeps it"
    finally:
        control.down(Path(f"/var/tmp/dbk-init-{os.getpid()}"))


def test_a_new_project_is_on_a_schedule_and_raises_the_alarm_until_it_passes(tmp_path):
    scaffold.init(tmp_path)
    found = due.read(Project(tmp_path))
    assert [(row.drill, row.state, row.every) for row in found.rows] == [("first", State.NEVER, "7d")]
    assert (found.status, found.unread, found.unscheduled) == (Exit.FAILED, (), ())


def test_every_entry_of_the_catalogue_can_be_added_to_a_new_project(tmp_path):
    """The suite `pre-release` of a new project holds its own drills. The refusal of the shipped one names its drills."""
    scaffold.init(tmp_path)
    own = {path.stem for path in (tmp_path / "drills").glob("*.yml")}
    assert own & {entry.name for entry in entries.entries()} == {"pre-release"}
    for entry in entries.entries():
        if entry.name != "pre-release":
            scaffold.free(tmp_path, names=[entry.name])
    with pytest.raises(UsageError, match=r"already contains drills/pre-release\.yml") as refused:
        scaffold.free(tmp_path, names=["pre-release"])
    chosen = re.findall(r"--with (\S+?)[ )]", refused.value.hint)
    assert chosen == ["restore-newest", "rehearse-database"]
    assert "drills/restore-newest.yml" in scaffold.free(tmp_path, names=chosen)


def test_a_copied_drill_that_no_lab_can_run_is_told(tmp_path, capsys):
    scaffold.init(tmp_path)
    capsys.readouterr()
    scaffold.init(tmp_path, names=["routine-cache", "routine-database"])
    said = " ".join(capsys.readouterr().out.split())
    assert "routine-database needs an inventory of your own: the lab keeps no such backups" in said
    scaffold.init(tmp_path, names=["rehearse-cache"])
    assert "the lab keeps" not in capsys.readouterr().out
    staging = tmp_path / "inventory" / "staging.yml"
    staging.write_text("environment: staging\nservices: {database: {kind: postgres, host: a}}\n")
    scaffold.init(tmp_path, names=["routine-database"])
    assert "the lab keeps" not in capsys.readouterr().out, "it is for the inventory staging"
    scaffold.init(tmp_path, names=["routine-shop"])
    assert "routine-shop needs an inventory of your own" in capsys.readouterr().out


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
    assert planner.make(drill, project.inventory("lab")).steps
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


def git(folder, *argv):
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *argv], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def test_git_never_adds_the_signing_key(tmp_path, monkeypatch):
    """`git add --all` in a project used to include the private key, in new and in old projects."""
    need("git")
    need("ssh-keygen")
    monkeypatch.delenv("DRILLBOOK_SIGNING_KEY", raising=False)
    for name in ("new", "old"):
        folder = tmp_path / name
        folder.mkdir()
        if name == "new":
            scaffold.init(folder)
        (folder / ".drillbook").mkdir(exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / ".drillbook" / "signing_key"], check=True
        )
        assert keys.ready_key(folder)[0] == folder / ".drillbook" / "signing_key"
        git(folder, "init", "-q")
        git(folder, "add", "--all")
        added = git(folder, "ls-files").split()
        assert ".drillbook/signing_key" not in added
        assert ".drillbook/signing_key.pub" in added, "the public half may be there"
        keys.ready_key(folder)
        assert (folder / ".drillbook" / ".gitignore").read_text().count("/signing_key") == 1
    assert "signing_key" in (ROOT / ".gitignore").read_text()


def test_the_lock_of_the_projects_own_ci_names_every_dependency_by_hash():
    text = (ROOT / ".ci" / "requirements.lock").read_text().replace(" \\\n   ", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"\S+==\S+( --hash=sha256:[0-9a-f]{64})+", line) for line in lines)
    locked = {re.sub("[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["lab"], *project["optional-dependencies"]["dev"]]
    names = {re.sub("[-_.]+", "-", re.match(r"[\w.-]+", one)[0]).lower() for one in wanted}
    assert not names - locked
    versions = [one.rpartition(" ")[2] for one in project["classifiers"] if re.search(r"Python :: 3\.\d+$", one)]
    locked_for = set(re.findall(r"\b3\.\d+", text.partition("\nannotated")[0]))
    assert locked_for >= set(versions), "every version that is supported"
    binary = next(line for line in lines if line.startswith("psycopg-binary=="))
    assert binary.count("--hash=") == 2 * len(locked_for), "one wheel for each version and architecture"
    assert "--require-hashes" in (ROOT / ".ci" / "run").read_text()


def test_the_wheel_holds_every_template():
    from importlib.resources import files

    templates = files("drillbook.cli").joinpath("templates")
    assert {one.name for one in templates.iterdir()} == {
        *scaffold.FILES.values(),
        *ci_files.FILES.values(),
        "rehearsal",
        "look",
    }

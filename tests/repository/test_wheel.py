"""The wheel alone, in an environment of its own and an empty folder: catalogue, new project, plan, and what an extra brings."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from drillbook.catalog import shipped_files
from tests.needs import need

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("tests/", "bench/", "docs/measurements")
"""Parts of the checkout that no wheel needs."""
HIDDEN = ("asyncssh", "supervisor", "fastapi", "uvicorn", "psycopg_pool", "drillbook")
"""Packages of this environment that the new one does not see: those of the extra `lab`, and the editable installation."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The source archive, and the wheel that is built from it; from a copy, so that the checkout stays as it is."""
    need("git")
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in filter(None, run(ROOT, "git", "ls-files", "-z").split("\0")):
        if (ROOT / name).is_file() and not name.startswith(LEFT_OUT):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    run(copy, sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out))
    return out


@pytest.fixture(scope="module")
def wheel(dist):
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="module")
def program(wheel, tmp_path_factory):
    """The program of an environment with only the wheel; its dependencies are links to those of this environment."""
    folder = tmp_path_factory.mktemp("fresh")
    run(folder, sys.executable, "-m", "venv", "--without-pip", str(folder))
    run(folder, sys.executable, "-m", "pip", "--python", str(folder), "install", "-q", "--no-deps", "--no-index", str(wheel))
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        seen = not path.name.startswith((*HIDDEN, "__")) and path.suffix != ".pth"
        if seen and not (site / path.name).exists():
            (site / path.name).symlink_to(path)
    return str(folder / "bin" / "drillbook")


def run(folder, *argv, status=0):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DRILLBOOK_", "PIP_"))}
    done = subprocess.run(
        argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == status, f"{argv}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.long(40)
def test_the_wheel_holds_every_shipped_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix("drillbook/catalog/files/") for name in archive.namelist() if "/catalog/files/" in name}
    assert names == {path for folder in ("drills", "inventory", "lab") for path in shipped_files.below(folder)}


def test_the_wheel_alone_begins_a_project(program, tmp_path):
    outside = run(tmp_path, program, "drill.list", status=2)
    assert "make a new project here: drillbook init" in outside
    listed = json.loads(run(tmp_path, program, "catalog", "--for", "postgres", "--json"))
    assert "postgres-lost" in [entry["name"] for entry in listed]
    made = run(tmp_path, program, "init", "--with", "quarterly,rehearse-database", "--with", "docker-lab")
    assert "drillbook drill.plan quarterly" in made
    assert "invoke" not in made
    assert "postgres.restore" in run(tmp_path, program, "drill.plan", "postgres-lost")
    assert "database_copy" in run(tmp_path, program, "drill.plan", "rehearse-database")
    assert "never run" in run(tmp_path, program, "drill.list")
    assert (tmp_path / "lab" / "compose.yml").is_file()
    assert "api-down" in run(tmp_path, program, "catalog")
    assert "drillbook drill.recover" not in run(tmp_path, program, "actions", "postgres.dump")


def test_a_missing_extra_is_named_with_the_command_that_adds_it(program, wheel, tmp_path):
    run(tmp_path, program, "init")
    for task in (["lab.up"], ["drill", "first"], ["lab.up", "--kind", "docker"], ["lab.status"]):
        said = run(tmp_path, program, *task, status=2)
        assert "lab needs the extra `lab`: the package asyncssh is not installed" in said
        assert f"'drillbook[lab] @ file://{wheel}'" in said


def test_a_drill_is_added_to_a_project_that_is_there(program, tmp_path):
    run(tmp_path, program, "init")
    added = run(tmp_path, program, "init", "--with", "postgres-lost")
    assert "added to" in added
    assert "postgres-lost.yml" in added
    assert "tasks.py" not in added
    assert "has all of it already" in run(tmp_path, program, "init", "--with", "postgres-lost")
    (tmp_path / "drills" / "postgres-lost.yml").write_text("drill: mine\n")
    assert "nothing was written" in run(tmp_path, program, "init", "--with", "postgres-lost", status=2)


def test_the_metadata_are_those_that_an_index_takes(dist):
    files = sorted(map(str, dist.iterdir()))
    assert len(files) == 2
    assert run(dist, sys.executable, "-m", "twine", "check", "--strict", *files).count("PASSED") == 2

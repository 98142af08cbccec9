"""Drills of the catalogue that `init --with` copies into a project with an inventory of its own."""

import re
import subprocess

import pytest

from drillbook.project.project import Project
from tests.program import PROGRAM

DATABASE = """services:
  database:
    {kind: postgres, host: controller, address: 127.0.0.1, port: 1, database: shop, user: shop, password: x,
     admin: {user: a, password: x}, data_directory: /srv/shop}
"""


@pytest.fixture
def own(tmp_path):
    """A project for the backups of a database, which its inventory names, too. The result runs the program in it."""

    def run(*argv, folder=tmp_path / "own"):
        return subprocess.run(
            [*PROGRAM, *argv], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    places = ["--host", "controller", "--sandbox", "controller", "--at", str(tmp_path), "--database", "shop"]
    made = run("init", "own", "--rehearse", "postgres", *places, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    path = tmp_path / "own" / "inventory" / "rehearsal.yml"
    path.write_text(path.read_text().replace("services:\n", DATABASE))
    return run


def inventories(tmp_path):
    return Project(tmp_path / "own").inventory_names()


@pytest.mark.parametrize("name", ["rehearse-database", "routine-database", "rehearse-volume"])
def test_a_copied_drill_changes_no_default_inventory(own, tmp_path, name):
    before = own("drill.check", "rehearse")
    done = own("init", "--with", name)
    assert done.returncode == 0, done.stderr
    assert inventories(tmp_path) == ["rehearsal"]
    after = own("drill.check", "rehearse")
    assert after.returncode == before.returncode
    assert "lab" not in after.stderr
    assert "schedule.run --inventory rehearsal" in own("schedule.install", "--systemd", "--dry").stdout


def test_what_must_be_adapted_is_said_before_the_next_command(own):
    said = " ".join(own("init", "--with", "routine-database,rehearse-database").stdout.split())
    first, _, following = said.partition("Next")
    lacks = "First adapt {}, which was written for a lab: inventory/rehearsal.yml lacks {}; `guard.environments` lacks rehearsal."
    copies = "the services {}database_copy, database_dumps{} and the contact dba"
    assert lacks.format("routine-database", copies.format("", "")) in first
    assert lacks.format("rehearse-database", copies.format("copy_api, ", ", the host or group primary")) in first
    assert re.findall(r"drillbook (drill.plan \S+ --inventory \S+)", following) == [
        "drill.plan routine-database --inventory rehearsal",
        "drill.plan rehearse-database --inventory rehearsal",
    ]
    assert "the lab keeps no such backups" not in said


def test_nothing_is_said_of_a_drill_that_has_all_its_names(own, tmp_path):
    path = tmp_path / "own" / "inventory" / "rehearsal.yml"
    text = path.read_text().replace("environment: rehearsal", "environment: staging")
    path.write_text(
        text.replace("  copy:", "  database_copy:").replace("nightly:", "database_dumps:").replace("oncall:", "dba:")
    )
    said = own("init", "--with", "routine-database").stdout
    assert "adapt" not in said
    assert "the lab keeps no such backups" not in said, "the project has no lab, and what the drill needs"


def test_the_lab_is_copied_when_it_is_asked_for_or_known(own, tmp_path):
    own("init", "--with", "docker-lab")
    assert inventories(tmp_path) == ["docker", "rehearsal"]
    own("init", "--with", "rehearse-database")
    assert inventories(tmp_path) == ["docker", "lab", "rehearsal"]


def test_a_new_project_for_own_backups_gets_no_lab(tmp_path, own):
    made = own("init", "second", "--rehearse", "files", "--with", "routine-database", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert Project(tmp_path / "second").inventory_names() == ["rehearsal"]

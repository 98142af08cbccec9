"""Only secrets of services that a drill uses are read, and every read secret is redacted."""

import json
import os

import pytest

from drillbook.cli import access
from drillbook.plan.planner import make
from drillbook.plan.spec import load
from drillbook.project.project import Project
from drillbook.redact import Redactor
from tests.program import Folder, here, step

READ = "!command [sh, -c, 'touch {}/read-{}; printf sword%s fish-{}']"


@pytest.fixture
def folder(tmp_path):
    """Project whose drills use `app`; reading the password of `other` leaves a mark."""
    made = Folder(tmp_path)
    services(made, READ.format(tmp_path, "other", "other"))
    return made


def services(folder, password, more=""):
    (folder.root / "inventory" / "lab.yml").write_text(f"""\
environment: lab
hosts: {{{here(folder.root)}}}
services:
  app: {{kind: process, host: controller}}
  other: {{kind: redis, host: controller, password: {password}}}
{more}""")


@pytest.mark.parametrize("task", ["drill", "drill.check", "drill.plan"])
def test_a_command_of_a_service_that_the_drill_does_not_name_is_not_run(folder, task):
    folder.write("restore:\n" + step(["true"]))
    done = folder.run(task, "sample")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder.root / "read-other").exists()


def test_a_recovery_reads_no_more_than_the_run(folder):
    folder.write("restore:\n" + step(["true"]))
    assert folder.run("drill", "sample").returncode == 0
    assert folder.run("drill.recover", "latest").returncode == 0
    assert not (folder.root / "read-other").exists()


@pytest.mark.parametrize(
    "source", ["!env DRILLBOOK_NOWHERE", "!file nowhere", "!file pipe", "!file /dev/zero", "!command [nowhere]"]
)
def test_a_drill_does_not_wait_for_a_secret_that_it_does_not_need(folder, source):
    services(folder, source)
    os.mkfifo(folder.root / "inventory" / "pipe")
    folder.write("restore:\n" + step(["true"]))
    done = folder.run("drill", "sample", timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_that_is_too_large_for_a_secret_is_not_read_to_its_end(folder):
    services(folder, "!file /dev/zero")
    folder.write(
        "restore:\n  - command.run: {argv: ['true'], effect: read, env: {P: '{{ services.other.password }}'}}\n"
        "    hosts: controller\n"
    )
    done = folder.run("drill", "sample", timeout=30)
    assert done.returncode == 2
    assert "services.other.password" in done.stderr
    assert "more than 1048576 bytes" in done.stderr


def test_a_secret_that_a_step_is_handed_is_read_before_anything_runs_and_hidden(folder):
    folder.write(
        "restore:\n  - command.run: {argv: [sh, -c, 'echo $P'], effect: read, env: {P: '{{ services.other.password }}'}}\n"
        "    hosts: controller\n"
    )
    done = folder.run("drill", "sample")
    assert done.returncode == 0, done.stdout
    assert (folder.root / "read-other").exists()
    journal = (folder.latest / "journal.jsonl").read_text()
    assert "***" in journal
    assert "swordfish-other" not in journal + done.stdout


def test_a_secret_of_another_service_is_hidden_too_where_nothing_has_to_be_run_for_it(folder):
    services(folder, "!env OTHER_PASSWORD")
    folder.environment["OTHER_PASSWORD"] = "swordfish-other"
    folder.write("restore:\n" + step(["sh", "-c", "echo $OTHER_PASSWORD"]))
    assert folder.run("drill", "sample").returncode == 0
    journal = (folder.latest / "journal.jsonl").read_text()
    assert "***" in journal
    assert "swordfish-other" not in journal


def test_a_secret_that_is_read_late_is_hidden_from_then_on(folder):
    """Action that uses a service which no step names, so that the plan does not list it."""
    folder.write("restore:\n" + step(["true"]))
    made = make(load(folder.root / "drills" / "sample.yml"), Project(folder.root).inventory("lab"))
    redactor = access.redactor_for(made)
    assert redactor.text("swordfish-other") == "swordfish-other"
    assert redactor.cut(b"it is swordfish") == b"it is swordfish"
    assert made.inventory.services["other"].password.reveal() == "swordfish-other"
    assert redactor.text("swordfish-other") == "***"
    assert b"sword" not in redactor.cut(b"it is swordfish")


def test_a_redactor_that_learns_is_one_that_knew():
    learned, knew = Redactor(["first-secret"]), Redactor(["first-secret", "second/secret", "third secret"])
    learned.learn("second/secret", "third secret", "x", "first-secret")
    for text in ("first-secret second%2Fsecret third+secret", json.dumps({"a": "second/secret"}), "x"):
        assert learned.text(text) == knew.text(text)

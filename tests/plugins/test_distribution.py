"""A system from an installed distribution works like a built-in one, from `invoke actions` to the audit."""

from __future__ import annotations

import json
import os
import subprocess

import jsonschema
import pytest

from drillbook.journal.journal import read
from drillbook.lab import control
from drillbook.language import strict
from tests.plugins.conftest import DRILL, MAIN, SOURCE, Project, environment


@pytest.fixture
def user(tmp_path, server, installed):
    """Project whose program runs in the environment with the distribution."""
    made = Project(tmp_path / "project", server)
    made.program = [str(installed), "-P", "-c", MAIN]
    return made


@pytest.fixture(scope="module")
def lab():
    folder = control.default_folder(SOURCE).with_name(f"drillbook-plugins-{os.getpid()}")
    control.up(folder)
    yield folder
    control.down(folder)


HOSTS = """\

  app-1:
    address: 127.0.0.1
    port: !lab ssh.app-1
    user: !lab user
    identity: !lab identity
    known_hosts: !lab known_hosts
    scratch: !lab scratch.app-1
    lease: {boot: none}"""


@pytest.mark.long(40)
def test_it_runs_on_a_host_of_the_lab_from_the_plan_to_the_audit(user, lab):
    user.environment["DRILLBOOK_LAB"] = str(lab)
    user.site(HOSTS, "app-1")
    user.server.file.write_text("1 a line of before\n")

    plan = user.good("drill.plan", DRILL)
    assert "needs the plugin of the distribution drillbook-ledger, version 1.2" in plan
    assert "ledger.freeze" in plan
    assert "Thaw" not in plan
    user.good("drill.check", DRILL)
    user.good("drill", DRILL)

    result = user.result()
    assert result["verdict"] == "passed"
    assert result["residue"] == []
    assert result["objectives"]["rto"]["met"]
    assert result["objectives"]["rpo"]["lost_writes"] == 0
    assert result["objectives"]["rpo"]["acknowledged_writes"] > 0
    (found,) = (step for step in result["steps"] if step["action"] == "diagnosis.finds")
    assert found["facts"]["found"] == "frozen"
    assert user.server.texts == ["a line of before"]
    assert not user.server.frozen

    written = json.loads((user.latest / "plan.json").read_text())
    assert written["plugins"] == {"the distribution drillbook-ledger": "version 1.2"}
    for name in ("report.html", "report.md", "junit.xml"):
        assert "ledger.freeze" in (user.latest / name).read_text(), name
    user.good("report")
    user.good("report.verify")
    user.good("audit", "--since", "2000-01-01", "--until", "2099-12-31", "--out", "audit")
    audit = "".join(path.read_text() for path in (user.root / "audit").glob("*.md"))
    assert DRILL in audit
    assert "ledger" in audit


def test_it_appears_in_the_lists_the_schema_and_the_completion(user):
    every = user.good("actions")
    for name in ("ledger.check", "ledger.freeze", "ledger.available", "ledger.canary", "postgres.dump"):
        assert name in every
    assert "file that holds the lines" not in every
    assert "The ledger in the inventory." in user.good("actions", "ledger.freeze")
    assert DRILL in user.good("drill.list")
    assert DRILL in user.run("--complete", "--", "drillbook", "drill", "").stdout.split()

    drill = json.loads(user.good("schema", "drill"))
    assert "ledger.freeze" in json.dumps(drill)
    jsonschema.validate(strict.load(SOURCE / "drillbook_ledger" / "drills" / f"{DRILL}.yml").value, drill)
    inventory = json.loads(user.good("schema", "inventory"))
    jsonschema.validate(
        {"environment": "lab", "services": {"l": {"kind": "ledger", "host": "h", "url": "u", "file": "/f"}}}, inventory
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"environment": "lab", "services": {"l": {"kind": "ledger", "host": "h", "url": "u"}}}, inventory
        )
    tree = json.loads(user.good("schema", "tree"))
    jsonschema.validate(strict.load(SOURCE / "drillbook_ledger" / "trees" / "ledger.yml").value, tree)


def test_it_has_reference_pages(user, installed):
    code = "from drillbook.reference.pages import pages; print(''.join(pages().values()))"
    made = subprocess.run([str(installed), "-c", code], capture_output=True, text=True, check=True).stdout
    for text in ("ledger.freeze", "ledger.canary", "ledger-twice", "Path on its host of the file that holds the lines"):
        assert text in made, text


def test_its_author_runs_the_contract_tests(installed, tmp_path):
    test = tmp_path / "test_contract.py"
    test.write_text((SOURCE / "contract.py").read_text())
    argv = [str(installed), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(test)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mistakes_in_an_inventory_are_told_as_for_a_built_in_kind(user):
    user.site(more=", files: /here")
    said = user.good("drill.plan", DRILL, status=2)
    assert "lab.yml:4:" in said
    assert "unknown key 'files'" in said
    assert "did you mean 'file'" in said
    user.site(more=", token: open")
    assert "expected the source of a secret" in user.good("drill.plan", DRILL, status=2)
    text = (user.root / "inventory" / "lab.yml").read_text()
    (user.root / "inventory" / "lab.yml").write_text(text.replace("kind: ledger", "kind: leger"))
    said = user.good("drill.plan", DRILL, status=2)
    assert "there is no kind 'leger'" in said
    assert "did you mean 'ledger'" in said


def test_its_tree_finds_the_cause_and_its_remedy_is_a_run(user):
    assert "healthy" in user.good("diagnose", "ledger")
    user.server.file.with_name("lines.frozen").touch()
    assert "is frozen" in user.good("diagnose", "ledger", status=1)
    user.good("diagnose", "ledger", "--apply", "--assume", "yes")
    assert not user.server.frozen


def test_a_run_is_read_where_the_plugin_is_not(user, tmp_path):
    user.good("drill", DRILL)
    before = user.result()
    user.program = [str(environment(tmp_path / "bare")), "-P", "-c", MAIN]
    user.good("report")
    assert user.result() == before
    user.good("report.verify")
    user.good("audit", "--since", "2000-01-01", "--until", "2099-12-31", "--out", "audit")
    said = user.good("drill.plan", DRILL, status=2)
    assert f"there is no drill or suite '{DRILL}'" in said


def test_a_killed_run_is_recovered(user):
    folder = user.killed()
    assert "recovered: all changes" in user.good("drill.recover")
    assert not user.server.frozen
    assert user.server.texts == []
    assert json.loads((folder / "result.json").read_text())["residue"] == []


def test_a_killed_run_is_undone_where_the_plugin_is_not_and_proven_where_it_is(user, tmp_path):
    folder, there = user.killed(), user.program
    user.program = [str(environment(tmp_path / "bare")), "-P", "-c", MAIN]
    said = user.good("drill.recover", status=5)
    assert "ledger.freeze" in said
    assert user.thawed(), "its undo is in the journal"
    assert [event for event in read(folder / "journal.jsonl").events if event.kind == "recovery.finished"]
    assert json.loads((folder / "result.json").read_text())["residue"] != [], "nobody has proven it"
    user.program = there
    assert "recovered: all changes" in user.good("drill.recover")
    assert user.server.texts == []
    assert json.loads((folder / "result.json").read_text())["residue"] == []

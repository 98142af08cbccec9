"""A system from a plugin works like a built-in one, from `invoke actions` to the audit.

Each test runs twice: with the system in an installed distribution, and with the same files in `plugins/` of the project.
"""

from __future__ import annotations

import json
import os
import subprocess

import jsonschema
import pytest

from drillbook.journal.journal import read
from drillbook.lab import control
from drillbook.language import strict
from tests.hosts.servers import OpenSsh
from tests.plugins.conftest import DRILL, PACKAGE, SOURCE, InFolder, Installed

PERIOD = ("--since", "2000-01-01", "--until", "2099-12-31", "--out", "audit")
REPORTS = ("report.html", "report.md", "junit.xml")


@pytest.fixture(params=["distribution", "folder"])
def user(request, tmp_path, server):
    """Project with the plugin in one of the two places."""
    root = tmp_path / "project"
    if request.param == "distribution":
        return Installed(root, server, request.getfixturevalue("installed"))
    made = InFolder(root, server)
    made.good("trust", "--yes")
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
    assert f"needs the plugin of {user.origin}, {user.version}" in " ".join(plan.split())
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
    assert written["plugins"] == {user.origin: user.version}
    for name in REPORTS:
        assert "ledger.freeze" in (user.latest / name).read_text(), name
    user.good("report")
    user.good("report.verify")
    assert DRILL in audit(user)


def audit(user):
    """Markdown pages of an audit of all runs."""
    user.good("audit", *PERIOD)
    return "".join(path.read_text() for path in (user.root / "audit").glob("*.md"))


def test_its_finding_is_in_the_result_the_reports_and_the_audit(user):
    user.server.file.write_text("1 a line\n2 another\n2 a third\n")
    said = user.good("drill", "ledger-counted", status=1)
    assert "Two lines of the ledger bear one number" in said
    result = user.result()
    (found,) = result["findings"]
    assert (result["verdict"], found["code"], found["severity"]) == ("failed", "ledger-twice", "high")
    assert (found["wanted"], found["measured"]) == ("each number once", "2 twice")
    for name in REPORTS:
        text = (user.latest / name).read_text()
        for part in (found["title"], found["measured"], found["remedy"]):
            assert part in text, (name, part)
    assert "ledger-twice" in audit(user)
    user.take_away()
    assert found["title"] in audit(user), "the run outlives its plugin"

    user.bring_back()
    user.server.file.write_text("1 a line\n2 another\n")
    user.good("drill", "ledger-counted")
    assert user.result()["findings"] == []


def test_it_appears_in_the_lists_the_schema_and_the_completion(user):
    every = user.good("actions")
    for name in ("ledger.check", "ledger.freeze", "ledger.available", "ledger.canary", "postgres.dump"):
        assert name in every
    assert "file that holds the lines" not in every
    assert "The ledger in the inventory." in user.good("actions", "ledger.freeze")
    shown = user.good("drill.list")
    assert DRILL in shown
    assert "ledger-counted" in shown
    assert DRILL in user.run("--complete", "--", "drillbook", "drill", "").stdout.split()

    drill = json.loads(user.good("schema", "drill"))
    assert "ledger.freeze" in json.dumps(drill)
    jsonschema.validate(strict.load(PACKAGE / "drills" / f"{DRILL}.yml").value, drill)
    inventory = json.loads(user.good("schema", "inventory"))
    jsonschema.validate(
        {"environment": "lab", "services": {"l": {"kind": "ledger", "host": "h", "url": "u", "file": "/f"}}}, inventory
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"environment": "lab", "services": {"l": {"kind": "ledger", "host": "h", "url": "u"}}}, inventory
        )
    tree = json.loads(user.good("schema", "tree"))
    jsonschema.validate(strict.load(PACKAGE / "trees" / "ledger.yml").value, tree)


def test_it_has_reference_pages(user):
    code = f"{user.loading}from drillbook.reference.pages import pages; print(''.join(pages().values()))"
    made = started(user, "-P", "-c", code)
    for text in ("ledger.freeze", "ledger.canary", "ledger-twice", "Path on its host of the file that holds the lines"):
        assert text in made, text


def test_its_author_runs_the_contract_tests(user):
    test = user.root / "tests" / "test_contract.py"
    test.parent.mkdir()
    test.write_text((SOURCE / "contract.py").read_text().replace("drillbook_ledger", user.package))
    user.environment |= {"PYTHONPATH": "plugins", "PYTEST_ADDOPTS": "", "PYTHONWARNINGS": ""}
    argv = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(user.root), "tests")
    assert "1 passed" in started(user, *argv)


def started(user, *argv):
    """Output of the Python that can import the plugin."""
    done = subprocess.run(
        [str(user.python), *argv], cwd=user.root, env=user.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_service_is_recognised_on_a_host(user, tmp_path):
    (tmp_path / "sshd").mkdir()
    sshd = OpenSsh(tmp_path / "sshd")
    sshd.start()
    try:
        address = f"{sshd.user}@127.0.0.1:{sshd.port}"
        keys = ("--identity", str(sshd.client_key), "--known-hosts", str(sshd.known_hosts))
        said = user.good("init", ".", "--look", address, *keys, "--environment", "staging")
    finally:
        sshd.stop()
    text = (user.root / "inventory" / "found.yml").read_text()
    lines = (
        "kind: ledger  # program ledgerd",
        'host: "host-1"',
        f"url: {user.server.url}  # listens on loopback only",
        f"file: {user.server.file}",
    )
    assert "".join(f"    {line}\n" for line in lines) in text
    assert f"a ledger keeps its lines in {user.server.file}" in " ".join(said.split())


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


def test_a_run_is_read_where_the_plugin_is_not(user):
    user.good("drill", DRILL)
    before = user.result()
    user.take_away()
    user.good("report")
    assert user.result() == before
    user.good("report.verify")
    user.good("audit", *PERIOD)
    said = user.good("drill.plan", DRILL, status=2)
    assert f"there is no drill or suite '{DRILL}'" in said


def test_a_killed_run_is_recovered(user):
    folder = user.killed()
    said = " ".join(user.good("drill.recover").split())
    assert said.endswith("recovered: all changes of the run are undone; exit 0")
    assert not user.server.frozen
    assert user.server.texts == []
    assert json.loads((folder / "result.json").read_text())["residue"] == []


def test_a_killed_run_is_undone_where_the_plugin_is_not_and_proven_where_it_is(user):
    folder = user.killed()
    user.take_away()
    said = user.good("drill.recover", status=5)
    assert "ledger.freeze" in said
    assert user.thawed(), "its undo is in the journal"
    assert [event for event in read(folder / "journal.jsonl").events if event.kind == "recovery.finished"]
    assert json.loads((folder / "result.json").read_text())["residue"] != [], "nobody has proven it"
    user.bring_back()
    assert "recovered: all changes" in user.good("drill.recover")
    assert user.server.texts == []
    assert json.loads((folder / "result.json").read_text())["residue"] == []

"""A drill that its guard refuses because of the environment: lists, plan, check, report and audit say the same with the same
words, and name the same command, which works.
"""

import json
import re
import shlex

import pytest

from tests.program import Folder, step

ONLY = "may run only in staging"
COMMAND = "drill sample --inventory staging"


@pytest.fixture
def refused(tmp_path):
    """A project whose drill may run only in staging."""
    folder = Folder(tmp_path)
    folder.environment["COLUMNS"] = "300"
    folder.write("every: 7d\nguard: {environments: [staging]}\nrestore:\n" + step(["true"]))
    return folder


def with_staging(folder):
    lab = (folder.root / "inventory" / "lab.yml").read_text()
    (folder.root / "inventory" / "staging.yml").write_text(lab.replace("environment: lab", "environment: staging"))


def told(done):
    return " ".join(done.stdout.split())


def everywhere(folder):
    """Return what each place says after the refused run: the name of the place, and its text."""
    assert folder.run("drill", "sample").returncode == 4
    texts = {name: folder.run(name) for name in ("drill.list", "drill.due")}
    texts |= {name: folder.run(name, "sample") for name in ("drill.plan", "drill.check")}
    folder.run("audit", "--out", "audit")
    reports = {"report": folder.latest / "report.md", "audit": folder.root / "audit" / "audit.md"}
    written = {name: " ".join(path.read_text().replace("\\", "").split()) for name, path in reports.items()}
    return {name: told(done) for name, done in texts.items()} | written


def test_every_place_names_the_same_environment_and_the_same_command(refused):
    with_staging(refused)
    for name, text in everywhere(refused).items():
        assert ONLY in text, f"{name}: {text}"
        assert COMMAND in text, f"{name}: {text}"
        assert "drill sample`" not in text, f"{name} offers a run that is refused again: {text}"
    assert refused.run(*shlex.split(COMMAND)).returncode == 0, "the command that they name works"


def test_without_a_permitted_inventory_every_place_tells_what_to_create(refused):
    for name, text in everywhere(refused).items():
        assert ONLY in text, f"{name}: {text}"
        assert COMMAND in text, f"{name}: {text}"
        assert "create inventory/staging.yml with `environment: staging`" in text, f"{name}: {text}"
    with_staging(refused)
    assert refused.run(*shlex.split(COMMAND)).returncode == 0, "the command works once the inventory exists"


@pytest.mark.parametrize(("unread", "command"), [("staging", COMMAND), ("other", "drill sample --inventory NAME")])
def test_an_inventory_that_cannot_be_read_does_not_lead_back_to_the_forbidden_one(refused, unread, command):
    (refused.root / "inventory" / f"{unread}.yml").write_text("environment: [")
    for name, text in everywhere(refused).items():
        assert ONLY in text, f"{name}: {text}"
        assert f"inventory/{unread}.yml may be one, but cannot be read" in text, f"{name}: {text}"
        assert f"drillbook {command}" in text, f"{name}: {text}"
        assert not re.search(r"drillbook drill sample(?! --inventory)", text), f"{name} offers a refused run: {text}"
    with_staging(refused)
    assert refused.run(*shlex.split(COMMAND)).returncode == 0, "the command works once the file is corrected"


def test_an_inventory_outside_the_folder_does_not_lead_to_one_that_does_not_exist(refused):
    (refused.root / "inventory" / "lab.yml").rename(refused.root / "outside.yml")
    done = refused.run("drill.plan", "sample", "--inventory", "outside.yml")
    assert "Run it with an inventory of a permitted environment (`--inventory NAME`)." in told(done)
    assert refused.run("drill", "sample", "--inventory", "outside.yml").returncode == 4
    assert f"{ONLY} (`--inventory NAME`)" in told(refused.run("drill.list"))


def test_a_guard_that_permits_no_environment_is_to_be_changed(refused):
    refused.write("every: 7d\nguard: {environments: []}\nrestore:\n" + step(["true"]))
    for name, text in everywhere(refused).items():
        assert "may run only in" not in text, f"{name}: {text}"
        assert "may run in no environment" in text or name == "drill.due", f"{name}: {text}"
        assert "`guard.environments`" in text, f"{name}: {text}"
        assert "permitted environment" not in text, f"{name}: {text}"


def test_a_suite_whose_drills_have_no_common_environment_needs_one(refused):
    refused.write("guard: {environments: [test]}\nrestore:\n" + step(["true"]), "other")
    (refused.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\nevery: 7d\ndrills: [sample, other]\n")
    assert refused.run("drill", "all").returncode == 4
    needs = "needs an environment in which all its drills may run, then: drillbook drill all"
    assert f"may run in no environment; {needs}" in told(refused.run("drill.list"))
    assert needs in told(refused.run("drill.due"))


def test_the_audit_names_a_retirement_that_works(refused):
    """The run of the permitted environment does not take away what the audit says of the other one."""
    with_staging(refused)
    audit = everywhere(refused)["audit"]
    command = "schedule.retire sample --environment lab --reason TEXT"
    assert command in audit
    assert refused.run(*shlex.split(command)).returncode == 0
    refused.run("audit", "--out", "audit")
    assert command not in (refused.root / "audit" / "audit.md").read_text()


def test_a_drill_is_missed_only_where_it_may_run(refused):
    """Nobody can run it in the lab, so that it is not missed there; it is missed where its guard permits it."""
    with_staging(refused)
    everywhere(refused)
    told = json.loads((refused.root / "audit" / "audit.json").read_text())
    assert [(row["kind"], row["environment"]) for row in told["missed"]] == [("never ran", "staging")]


def test_the_first_list_of_due_drills_calls_the_run_refused(refused):
    with_staging(refused)
    everywhere(refused)
    (row,) = [row for row in json.loads(refused.run("drill.due", "--json").stdout)["rows"] if row["drill"] == "sample"]
    assert (row["permitted_in"], row["state"], row["inventory"]) == (["staging"], "never passed", "staging")
    assert "refused" in refused.run("drill.due").stdout
    assert refused.run(*shlex.split(COMMAND)).returncode == 0
    (row,) = [row for row in json.loads(refused.run("drill.due", "--json").stdout)["rows"] if row["drill"] == "sample"]
    assert row["permitted_in"] == []
    assert ONLY not in refused.run("drill.list").stdout

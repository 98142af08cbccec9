"""`runbook`: a drill as a readable page."""

import re
from pathlib import Path

import pytest

from drillbook.cli import make_runbook
from drillbook.inventory import inventory
from drillbook.plan import planner, spec
from tests.program import Folder, fault, step

ROOT = Path(__file__).parents[2]
PORTS = set(re.findall(r"port: !lab ([\w.-]+)", (ROOT / "inventory" / "lab.yml").read_text()))
DRILL = """\
description: What to do when it is gone.
owner: dba
objectives: {rto: 5m, detect: 2m}
probes: [tcp.open: {address: 127.0.0.1, port: 22}]
guard: {windows: [{from: '00:00', to: '24:00', zone: UTC}]}
"""


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path)
    path = tmp_path / "inventory" / "lab.yml"
    path.write_text(path.read_text() + "contacts: {dba: {role: DBA, phone: '+1 555'}}\n")
    made.write(
        DRILL
        + fault(["touch", "DIR/a b"], ["rm", "-f", "DIR/a b"])
        + "restore:\n"
        + step(["echo", "|<b>|"], "name: Put it back")
    )
    return made


def test_the_page_has_each_step_with_its_command_and_undo(folder):
    done = folder.run("runbook", "sample")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for line in (
        "# A sample",
        r"| dba \(owner\) | DBA |",
        "| Objective: RTO | at most 5 min |",
        "| Objective: detect | at most 2 min |",
        "- [ ] The present time is in one of these windows: every day 00:00 to 24:00 UTC.",
        "## Break the service",
        "`command.run` on controller; **breaks something**",
        f"  - argv: `touch '{folder.root}/a b'`",
        f"  - undo: `rm -f '{folder.root}/a b'`",
        "- [ ] **restore.1** Put it back",
        "## If something goes wrong",
        "- Call the owner: dba.",
    ):
        assert line in text, (line, text)
    assert (
        text.index("## Break the service")
        < text.index("## Restore the service")
        < text.index("## Verify that everything is back")
    )


def test_pages_say_that_a_guard_with_the_lab_permits_the_docker_lab(folder):
    path = folder.root / "inventory" / "lab.yml"
    path.write_text(path.read_text().replace("environment: lab", "environment: docker-lab\nlab: docker"))
    done = folder.run("runbook", "sample")
    assert "- [ ] The environment is one of: lab (and docker-lab, the lab in containers)." in done.stdout.replace("\\", "")
    done = folder.run("drill.plan", "sample")
    shown = " ".join((done.stdout + done.stderr).split())
    assert "on docker-lab; may run only in lab (and docker-lab, the lab in containers)" in shown


def test_a_file_and_a_suite(folder):
    (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\ndrills: [sample]\n")
    assert folder.run("runbook", "all", "--out", "page.md").returncode == 0
    assert (folder.root / "page.md").read_text() == folder.run("runbook", "sample").stdout
    done = folder.run("runbook", "sample", "--out", "none/page.md")
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)


def value(path):
    """A valid value for the key ``path`` of a lab."""
    if path in PORTS or path.startswith("missing."):
        return 1 if path in PORTS else ""
    before = "http://127.0.0.1/" if re.search("url|endpoint", path) else "" if "stanza" in path else "/lab/"
    return f"{before}{path}"


def test_every_shipped_drill_has_a_page():
    lab = inventory.load(ROOT / "inventory" / "lab.yml", lab=value)
    for name in ("postgres-lost", "table-dropped", "objects-deleted", "rehearse-database"):
        plan = planner.make(spec.load(ROOT / "drills" / f"{name}.yml"), lab)
        assert make_runbook.page(plan, "lab").count("- [ ] **") == len(plan.steps)


def test_questions_to_a_copy_name_the_folder_into_which_the_page_restores_it():
    lab = inventory.load(ROOT / "inventory" / "lab.yml", lab=value)
    drill = spec.load(ROOT / "drills" / "rehearse-database.yml")
    page = make_runbook.page(planner.make(drill, lab), "lab")
    assert "<folder of the restored copy>" not in page
    verified = page.partition("## Verify that everything is back")[2]
    assert "psql --host=/var/tmp/by-hand-database_copy-database_dumps --port=5432 " in verified
    assert "psql --host=127.0.0.1 " in verified, "the database itself is asked where it is"
    restored = page.partition("## Restore the service")[2].partition("## Verify")[0]
    assert "FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')" in restored

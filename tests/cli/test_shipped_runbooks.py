"""Runbooks of all shipped drills, as they lie on paper: no expression is left, and each step says what a person types or does."""

import re
from pathlib import Path

import pytest

from drillbook.cli import make_runbook
from drillbook.inventory import inventory
from drillbook.plan import drill_files, planner, spec

ROOT = Path(__file__).parents[2]
PORTS = {
    name for path in (ROOT / "inventory").glob("*.yml") for name in re.findall(r"port: !lab ([\w.-]+)", path.read_text())
}


def value(path):
    """A valid value for the key ``path`` of a lab."""
    if path in PORTS or path.startswith("missing."):
        return 7777 if path in PORTS else ""
    before = "http://127.0.0.1/" if re.search("url|endpoint", path) else "" if "stanza" in path else "/lab/"
    return f"{before}{path}"


LAB = inventory.load(ROOT / "inventory" / "lab.yml", lab=value)
DOCKER = inventory.load(ROOT / "inventory" / "docker.yml", lab=value)
DRILLS = [
    path for path in drill_files.names_in(ROOT / "drills").values() if re.search(r"^drill:", path.read_text(), re.MULTILINE)
]


def page(path):
    drill = spec.load(path)
    known = DOCKER if drill.head.service not in LAB.services or path.parent.name == "docker" else LAB
    plan = planner.make(drill, known)
    return plan, make_runbook.page(plan, "lab")


def test_there_are_many_drills():
    assert len(DRILLS) > 30


@pytest.mark.parametrize("path", DRILLS, ids=lambda path: path.stem)
def test_a_person_can_follow_the_page_without_drillbook(path):
    plan, text = page(path)
    assert "{{" not in text
    steps = re.split(r"^- \[ \] (?=\*\*)", text, flags=re.MULTILINE)[1:]
    assert len(steps) == len(plan.steps)
    for step in steps:
        assert "  - by hand" in step, step
        assert ("```sh\n" in step) != (
            "(no single command; Drillbook does it as part of the drill: `" in step
        ) or "answers this question" in step, step
        assert "<computed: " not in step, step


def test_what_the_inventory_knows_is_filled_in_and_the_rest_is_named():
    _, text = page(ROOT / "drills" / "postgres-lost.yml")
    assert re.search(r"\n    curl --silent --show-error --include http://127.0.0.1\S*/health\n", text)
    backup, intact = (text.split(f"**{name}**")[1].split("- [ ]")[0] for name in ("backup.1", "backup.2"))
    noted = ", ".join(f"`<{part} of backup.1>` (in expressions `dump.{part}`)" for part in ("location", "manifest"))
    assert f"  - write down for later steps: {noted}\n" in backup
    assert "from: `<location of backup.1>`" in intact
    assert "/<name of the run>/dpa" in backup

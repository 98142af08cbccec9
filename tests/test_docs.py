"""The documentation says what the code does."""

import re
from pathlib import Path

import pytest

from drillbook import plan, reference, spec
from drillbook.action import known_names
from drillbook.project import Project

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_generated_pages_are_current(name):
    path = ROOT / "docs" / name
    assert path.is_file(), "run `invoke docs`"
    assert path.read_text() == reference.pages()[name], "run `invoke docs`"


def test_every_action_is_in_the_reference():
    page = (ROOT / "docs" / "actions.md").read_text()
    assert [name for name in known_names() if f"### {name}\n" not in page] == []


def test_links_lead_somewhere():
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_exit_status_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    assert re.findall(r"^\| (\d) \|", text, re.MULTILINE) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("name", sorted(spec.names_in(ROOT / "drills")))
def test_every_shipped_drill_plans_on_the_lab(name, monkeypatch, tmp_path):
    monkeypatch.setenv("DRILLBOOK_LAB", str(tmp_path / "lab"))
    project = Project(ROOT)
    found = project.drill(name)
    for one in found.drills if isinstance(found, spec.Suite) else [name]:
        drill = project.drill(one)
        assert isinstance(drill, spec.Drill)
        assert plan.make(drill, project.inventory("lab")).steps

"""docs/sandbox.md: its inventory and its drill are loaded and planned."""

import re
from pathlib import Path

from drillbook.inventory import inventory
from drillbook.plan import planner, spec

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_its_files_can_be_planned(tmp_path):
    first, second = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "inventory.yml").write_text(f"environment: staging\n{first}".replace("hosts:\n", "hosts:\n  app-1: {}\n"))
    (tmp_path / "rehearse-files.yml").write_text(second)
    book = inventory.load(tmp_path / "inventory.yml")
    assert book.services["nightly"].kind == "tar"
    plan = planner.make(spec.load(tmp_path / "rehearse-files.yml"), book)
    assert set(plan.hosts()) == {"spare-1"}

"""Example drills of the built-in systems, and the inventory on which each is planned."""

from __future__ import annotations

import re
from pathlib import Path

from drillbook.sdk import discovery, examples

ROOT = Path(__file__).parents[1]
FILES = {path.stem: path for system in discovery.systems() if not system.origin for path in examples.files(system)}
"""Files of the examples, by name."""
TEAM = """
  billing: {kind: command, host: app-1, check: [/srv/billing/ctl, status]}
"""
WORKER = """
  worker: {kind: container, host: app, container: worker}
"""
"""Services of a team that no lab contains."""


def drill_files(*folders: Path) -> list[Path]:
    """Drill files in ``folders``, without suites. They are not parsed, because their diagnosis trees take long."""
    files = [path for folder in folders for path in sorted(folder.glob("*.yml"))]
    return [path for path in files if re.search(r"^drill:", path.read_text(encoding="utf-8"), re.MULTILINE)]


def inventory_of(name: str) -> str:
    """Inventory text for an example: that of a lab, plus the services that no lab contains."""
    docker = name in FILES and FILES[name].parts[-3] == "docker"
    text = (ROOT / "inventory" / ("docker.yml" if docker else "lab.yml")).read_text()
    return text.replace("\nservices:\n", f"\nservices:{WORKER if docker else TEAM}", 1)


def replaced(name: str, *pairs: tuple[str, str]) -> str:
    """Text of an example with other names, addresses and paths. Each replaced text must occur in the example."""
    text = FILES[name].read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text, f"{name} does not contain {old}"
        text = text.replace(old, new)
    return text

"""Unused code, found by vulture: `python -m bench.unused`; exit 3 when there is some.

Settings are in `[tool.vulture]` of pyproject.toml, names that others use in `bench/used.py`, each with the reason.
Two kinds of use are invisible in the Python source and looked up here: classes that discovery finds, and names in
templates.
"""

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import jinja2
from jinja2 import nodes

from drillbook.sdk.action import Action, find, known_names
from drillbook.sdk.discovery import service_class, service_kinds
from drillbook.sdk.probe import Probe

ROOT = Path(__file__).parents[1]


def discovered() -> Iterator[str]:
    """Names of classes that drills and inventories refer to as an action, a probe or a kind of service."""
    for kind in (Action, Probe):
        for name in known_names(kind):
            yield find(name, kind).__name__
    for kind_of_service in service_kinds():
        yield service_class(kind_of_service).__name__


def in_templates() -> Iterator[str]:
    """Names of attributes in the templates of reports."""
    environment = jinja2.Environment()
    for room in ("report", "audit", "campaign"):
        for template in sorted(resources.files(f"drillbook.{room}").joinpath("templates").iterdir(), key=str):
            if template.name.endswith(".j2"):
                for node in environment.parse(template.read_text(encoding="utf-8")).find_all(nodes.Getattr):
                    yield node.attr


def main() -> int:
    """Run vulture with the looked up names."""
    with tempfile.TemporaryDirectory() as folder:
        used = Path(folder) / "used.py"
        used.write_text("\n".join(f"_.{name}" for name in sorted({*discovered(), *in_templates()})) + "\n")
        paths = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]["paths"]
        return subprocess.run([sys.executable, "-m", "vulture", *paths, str(used)], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

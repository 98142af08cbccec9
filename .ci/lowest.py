"""Print the lowest versions that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("lab", "dev")
"""Extras that the test command of the README installs."""
BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9.]+)")


def lowest() -> Iterator[str]:
    """Constraint for each requirement with a lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    for requirement in dict.fromkeys(wanted):
        if found := BOUND.fullmatch(requirement):
            yield f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    print("\n".join(lowest()))

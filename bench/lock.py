"""Lock files with hashes: `python -m bench.lock` writes that of CI, and `constraints.txt`, its part for users of the wheel.

Versions are those of this environment. For every supported Python and architecture, pip itself selects the files, so
that a lock contains exactly the hashes of the files that some machine needs. It takes some minutes; nothing is
installed.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBC = range(34, 4, -1)
EXTRAS = ("lab", "qdrant", "age", "notify", "timestamp", "otel", "metrics", "mariadb", "fleet")
"""Extras that users may choose."""
OURS, PIP = "drillbook", ("pip",)
CI, USERS = ROOT / ".ci" / "requirements.lock", ROOT / "constraints.txt"
CI_HEAD = """\
# Packages that CI installs, each file by its hash: CPython 3.11, 3.12, 3.13 and 3.14 on Linux, x86_64 and aarch64, with glibc
# 2.34 or later; all of them take the same versions. Made by `python -m bench.lock` in an environment where the tests ran. The
# project itself is installed beside it from the checkout, with --no-deps.
"""
USERS_HEAD = """\
# Versions that this version of Drillbook was tested with, and the hash of each file, for its dependencies and these extras:
# {extras}.
# Made by `python -m bench.lock`. For an installation that takes exactly these:
#   pip install --require-hashes --no-deps -r constraints.txt && pip install --no-deps drillbook-VERSION-py3-none-any.whl
# or, with only the packages that are needed, and without their hashes:
#   grep -o '^[^ ]*==[^ ]*' constraints.txt >versions.txt && pip install -c versions.txt 'drillbook[lab] @ SOURCE'
"""


def canonical(name: str) -> str:
    """Name of a package in the form in which indexes compare names."""
    return re.sub("[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Version of each package of this environment, by name."""
    found = {canonical(dist.name): dist.version for dist in importlib.metadata.distributions()}
    return {name: version for name, version in found.items() if name not in (OURS, *PIP)}


def needed(extras: Iterable[str]) -> set[str]:
    """Names of the packages that Drillbook with ``extras`` needs, directly and indirectly, on any supported Python."""
    found: set[str] = set()
    queue = [(OURS, frozenset(extras))]
    while queue:
        name, wanted = queue.pop()
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            child = canonical(requirement.name)
            if child not in found and child != OURS and _holds(requirement, wanted):
                found.add(child)
                queue.append((child, frozenset(requirement.extras)))
    return found


def _holds(requirement: Requirement, extras: Iterable[str]) -> bool:
    places = [{"extra": extra, "python_version": python} for extra in ("", *extras) for python in PYTHONS]
    return requirement.marker is None or any(requirement.marker.evaluate(place) for place in places)


def hashes(pins: dict[str, str]) -> dict[str, set[str]]:
    """SHA-256 of the files that pip selects for ``pins``, by name, over every Python and architecture."""
    found: dict[str, set[str]] = {name: set() for name in pins}
    for python in PYTHONS:
        for machine in MACHINES:
            for name, digest in _chosen(pins, python, machine):
                found[name].add(digest)
    return found


def _chosen(pins: dict[str, str], python: str, machine: str) -> Iterator[tuple[str, str]]:
    tags = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux{year}_{machine}" for year in (2014, 2010, 1)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in pins.items()))
        file.flush()
        options = ["--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:", "--quiet", "--report", "-"]
        place = ["--python-version", python, *(part for tag in tags for part in ("--platform", tag))]
        argv = [sys.executable, "-m", "pip", "install", *options, *place, "--target", "/nonexistent", "-r", file.name]
        said = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
    for one in json.loads(said)["install"]:
        yield canonical(one["metadata"]["name"]), one["download_info"]["archive_info"]["hashes"]["sha256"]


def write(path: Path, head: str, known: dict[str, set[str]], pins: dict[str, str]) -> None:
    """Write the lock ``path`` of ``pins`` with their ``known`` hashes."""
    lines = [
        f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(known[name])) + "\n"
        for name, version in sorted(pins.items())
    ]
    path.write_text(head + "".join(lines), encoding="utf-8")
    sys.stdout.write(f"{path}: {len(pins)} packages\n")


def main() -> None:
    """Write both locks."""
    pins, wanted = installed(), needed(EXTRAS)
    if absent := sorted(wanted - pins.keys()):
        sys.exit(f"install these first, so that they are tested and locked: {', '.join(absent)}")
    known = hashes(pins)
    write(CI, CI_HEAD, known, pins)
    write(USERS, USERS_HEAD.format(extras=", ".join(EXTRAS)), known, {name: pins[name] for name in pins if name in wanted})


if __name__ == "__main__":
    main()

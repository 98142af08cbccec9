"""Coverage of each pure package by its own tests.

Exit 1 when one is below the required share. Pure packages decide from their arguments alone. Packages that contact
hosts, or use disks or terminals, are not measured: tracing the threads of their tests takes minutes, and disturbs
them before Python 3.12.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests import changed, tiers  # noqa: E402  found beside this folder

FLOOR = 90
TESTS = """
language    budget mistakes patterns placeholders strict
statistics  line quantiles
diagnosis   trees
plan        schedule privilege approval_cases campaign_approval guard needed_services planner planner_cases restorable
plan        schema source_rules spec
journal     damaged journal journal_cases
judge       clocks comparison detection earlier_runs event_index faultstate findings judge judge_views notes objectives
judge       outage outlook proofs residue rpo rto rto_stalls shortfall size_points steps verdict
corpus      corpus
report      agreement changes figures golden html index junit markdown event_lines next_steps rehearsal terminal timeline tolerated
"""
"""Test folders of these packages, and the fast files in them."""
SLOW = (
    "same_as_ansible",
    "nothing_hidden",
    "collide",
    "another_process",
    "nothing_hangs",
    "is_refused_at_its_line",
    "a_thousand_sites",
)
"""Tests among them that start browsers and programs, test limits, or draw thousands of examples: they cover no
additional line.
"""
PURE = ("language", "statistics", "diagnosis", "plan", "journal", "judge", "report")
LEFT_OUT = {
    "diagnosis/actions.py": "carries a diagnosis out",
    "plan/approval.py": "signs by ssh-keygen",
    "plan/closure_approval.py": "signs by ssh-keygen",
    "report/publish.py": "writes the folder of a run",
    "report/folders.py": "reads the folder of reports",
    "report/terminal/live_view.py": "draws on a terminal",
}
"""Modules of these packages that are not pure, each with the reason."""


def shares(files: dict[str, Any]) -> dict[str, float]:
    """Covered statements of each package in percent."""
    found = {}
    for package in PURE:
        wanted = {
            name: file["summary"]
            for name, file in files.items()
            if (inner := name.partition("src/drillbook/")[2]).startswith(f"{package}/") and inner not in LEFT_OUT
        }
        statements = sum(summary["num_statements"] for summary in wanted.values())
        if not statements:
            raise SystemExit(f"no module of {package} was measured")
        found[package] = 100 * sum(summary["covered_lines"] for summary in wanted.values()) / statements
    return found


def files() -> list[Path]:
    """Test files of these packages."""
    rows = [line.split() for line in TESTS.strip().splitlines()]
    return [ROOT / "tests" / folder / f"test_{name}.py" for folder, *names in rows for name in names]


def measure(report: Path) -> int:
    """Run the tests with coverage of these packages. Return pytest's exit status."""
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-k",
        " and ".join(f"not {slow}" for slow in SLOW),
    ]
    argv += [*(f"--cov=drillbook.{package}" for package in PURE), "--cov-report=", f"--cov-report=json:{report}"]
    # All of them at every commit: with DRILLBOOK_REQUIRE some would wait for their turn, see tests/tiers.py.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "DRILLBOOK_REQUIRE")}
    return subprocess.run([*argv, *map(str, files())], cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    """Print the share of each package, and those below the required share with their worst modules.

    CI leaves this to the night unless one of these packages, or a test in its folder, was changed.
    """
    change = changed.change()
    if tiers.CI and not (tiers.ALL or change.touches(*PURE) or change.tests(*PURE)):
        print(f"left to the night: no change of {', '.join(PURE)}, or of their tests")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        if status := measure(report):
            return status
        return told(json.loads(report.read_text())["files"])


def told(files: dict[str, Any]) -> int:
    """Print the share of each package, and the missing lines of those below the required share.

    Return 1 when there is one.
    """
    low = []
    for package, share in shares(files).items():
        print(f"{package:12} {share:5.1f} %{'' if share >= FLOOR else f'  below {FLOOR} %'}")
        if share < FLOOR:
            low.append(package)
    for name, file in sorted(files.items(), key=lambda item: -item[1]["summary"]["missing_lines"]):
        inner = name.partition("src/drillbook/")[2]
        if inner.partition("/")[0] in low and inner not in LEFT_OUT and file["missing_lines"]:
            print(f"{name}: {file['summary']['missing_lines']} lines, {file['missing_lines'][:20]}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())

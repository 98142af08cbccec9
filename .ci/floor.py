"""Coverage of each pure package by its own tests.

Exit 1 when one is below the required share. Pure packages decide from their arguments alone. ``NOT_MEASURED`` has the
reason for each of the others: tracing the threads of tests that contact hosts takes minutes, and disturbs them before
Python 3.12.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests import changed, tiers  # noqa: E402  found beside this folder

FLOOR = 90
MOST = 3
"""Largest number of packages that one run of CI measures."""
TESTS = """
ground      canonical_json encodings errors redact values
findings    findings kind
events      content event first_event kinds page
language    budget durations explaining indentation lists mistakes patterns placeholders strict syntax template
statistics  line quantiles
diagnosis   gather ranking run trees
plan        schedule privilege approval_cases campaign_approval guard needed_services planner planner_cases restorable
plan        schema source_rules spec
plan        broken_entries condition_class drill_files fault_limits plan planned_step recorded_content references
plan        limits schedule_terms secret_references step_roles step_rules window
journal     collection damaged intents journal journal_cases json_values line_file lines manual_undo own_writes
journal     result_file run_state suspension
judge       clocks comparison detection earlier_runs event_index faultstate findings judge judge_views later_steps notes
judge       objectives objective_proof outage outlook residue rpo rto rto_stalls shortfall size_points steps verdict
corpus      corpus
audit       absences chain content controls coverage coverage_signs exempt_list findings missed_drills objective_states
audit       period rehearsal_figures rendering retired run_evidence run_rows services suites told_of_runs trend undrilled_services
report      agreement changes figures golden html index junit labels losses markdown markdown_syntax event_lines next_steps
report      objective_figures objective_findings rehearsal_results summary timeline tolerated
report      diagnosis indented_json lost_data own_commands own_end possible_reservations proven_restore recovery_rows recovery_steps
report      recovery_summary remarks suite_table index_age index_notice
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
    "no_text_makes_the_search_slow",
    "a_long_secret_is_found",
    "every_way_of_looking",
    "each_control_counts",
    "both_formats_show_the_counts",
    "is_read_by_somebody",
    "is_named_by_a_string",
)
"""Tests among them that start browsers and programs, test limits, or draw thousands of examples: they cover no
additional line.
"""
GROUND = "ground"
"""Modules without a package."""
PURE = (
    GROUND,
    "findings",
    "events",
    "language",
    "statistics",
    "diagnosis",
    "plan",
    "journal",
    "judge",
    "report",
    "audit",
)
NOT_MEASURED = {
    "attestation": "runs ssh-keygen, and reads and writes folders of runs, stores and time-stamping services",
    "campaign": "starts a process for each site, on this machine or a cluster",
    "catalog": "reads the shipped files, of which its own tests start none",
    "cli": "prints on terminals; its tests start the program",
    "engine": "runs commands on hosts, in many threads",
    "hosts": "is the connection to hosts",
    "installation": "asks the installation and the environment of this process",
    "inventory": "reads files and other sources, such as Ansible's program",
    "lab": "starts servers",
    "notify": "sends messages",
    "project": "reads and writes the folder of a project",
    "reference": "imports every action, to make pages that a test compares as a whole",
    "sdk": "contacts hosts, stores and services",
    "signing": "runs ssh-keygen",
    "systems": "contact hosts and servers",
    "tasks": "is the import path of the tasks alone",
    "telemetry": "sends traces, and reads the folder of runs",
    "trust": "reads everything that a project would execute",
}
"""Packages that are not pure, each with the reason."""
LEFT_OUT = {
    "atomic_file.py": "replaces files on the disk",
    "audit/assurance.py": "runs ssh-keygen for the signature of each run",
    "audit/campaigns.py": "reads the folders of campaigns",
    "audit/records.py": "reads the folder of reports",
    "audit/suites.py": "reads the folder of reports",
    "diagnosis/actions.py": "carries a diagnosis out",
    "plan/approval.py": "signs by ssh-keygen",
    "plan/closure_approval.py": "signs by ssh-keygen",
    "report/publish.py": "writes the folder of a run",
    "report/folders.py": "reads the folder of reports",
    "report/terminal/live_view.py": "draws on a terminal",
}
"""Modules of these packages that are not pure, each with the reason."""


def package_of(inner: str) -> str:
    """Package of a module, whose path is relative to the source; ``GROUND`` for a module without a package."""
    return inner.partition("/")[0] if "/" in inner else GROUND


def wanted() -> list[str]:
    """Packages to measure: at night all, in CI those with a changed module or test, at most ``MOST`` of them at a run."""
    if not tiers.CI or tiers.ALL:
        return list(PURE)
    change = changed.change()
    touched = [package for package in PURE if change.touches(package) or change.tests(package)]
    return tiers.next_ones(touched, MOST, "coverage")


def measured(packages: Sequence[str] = PURE) -> list[str]:
    """Packages and modules that coverage traces, as it names them."""
    flat = [path.stem for path in (ROOT / "src" / "drillbook").glob("*.py") if path.name not in ("__init__.py", *LEFT_OUT)]
    names = [package for package in packages if package != GROUND]
    return [f"drillbook.{name}" for name in (*names, *(sorted(flat) if GROUND in packages else ()))]


def shares(files: dict[str, Any], packages: Sequence[str] = PURE) -> dict[str, float]:
    """Covered statements of each of these packages in percent."""
    found = {}
    for package in packages:
        own = {
            name: file["summary"]
            for name, file in files.items()
            if package_of(inner := name.partition("src/drillbook/")[2]) == package and inner not in LEFT_OUT
        }
        statements = sum(summary["num_statements"] for summary in own.values())
        if not statements:
            raise SystemExit(f"no module of {package} was measured")
        found[package] = 100 * sum(summary["covered_lines"] for summary in own.values()) / statements
    return found


def files(packages: Sequence[str] = PURE) -> list[Path]:
    """Test files of these packages."""
    rows = [line.split() for line in TESTS.strip().splitlines()]
    folders = {*packages, *(("corpus",) if "language" in packages else ())}
    return [ROOT / "tests" / folder / f"test_{name}.py" for folder, *names in rows if folder in folders for name in names]


def measure(report: Path) -> int:
    """Run the tests of the packages to measure, with their coverage. Return pytest's exit status."""
    packages = wanted()
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
    argv += [*(f"--cov={name}" for name in measured(packages)), "--cov-report=", f"--cov-report=json:{report}"]
    # All of them at every commit: with DRILLBOOK_REQUIRE some would wait for their turn, see tests/tiers.py.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "DRILLBOOK_REQUIRE")}
    return subprocess.run([*argv, *map(str, files(packages))], cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    """Print the share of each package, and those below the required share with their worst modules.

    CI leaves packages to the night if neither they nor a test in their folder was changed.
    """
    packages = wanted()
    if not packages:
        print(f"left to the night: no change of {', '.join(PURE)}, or of their tests")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        if status := measure(report):
            return status
        return told(json.loads(report.read_text())["files"], packages)


def told(files: dict[str, Any], packages: Sequence[str] = PURE) -> int:
    """Print the share of each package, and the missing lines of those below the required share.

    Return 1 when there is one.
    """
    low = []
    for package, share in shares(files, packages).items():
        print(f"{package:12} {share:5.1f} %{'' if share >= FLOOR else f'  below {FLOOR} %'}")
        if share < FLOOR:
            low.append(package)
    for name, file in sorted(files.items(), key=lambda item: -item[1]["summary"]["missing_lines"]):
        inner = name.partition("src/drillbook/")[2]
        if package_of(inner) in low and inner not in LEFT_OUT and file["missing_lines"]:
            print(f"{name}: {file['summary']['missing_lines']} lines, {file['missing_lines'][:20]}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())

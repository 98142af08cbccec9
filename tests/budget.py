"""Limit on the duration of a run of CI: tests of a large change that do not fit have their turn at later runs and at night.

The tests closest to the change come first: of changed test files, of changed modules, and those that follow a changed page.
The other tests of the changed packages share the remaining time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import pytest

LIMIT_S = 2400.0
"""Largest sum of the usual durations of the tests of a run, in seconds. Four tests run at the same time, see ``.ci/run``: 3,098 s
took 14.5 minutes on two cores, so that this is less than 11.5 minutes.
"""
OWN_S = 250.0
"""Part of the limit that changed test files may always use, in seconds."""
MOST_TURNS = 64
"""Largest divisor: of tests that would have their turn more rarely, none is taken."""
FAST_S = 0.04
"""Usual duration of a test of the fast tier in seconds."""
SECONDS = {
    "": 0.1,
    "attestation": 1.0,
    "attestation/test_auditor.py": 11,
    "audit": 0.52,
    "audit/test_campaigns.py": 7.3,
    "audit/test_rendering.py": 4.7,
    "campaign": 0.41,
    "campaign/test_approved.py": 11,
    "campaign/test_fleet.py": 6.8,
    "campaign/test_processes.py": 18,
    "catalog": 0.02,
    "cli": 0.6,
    "cli/test_campaign_matrix.py": 3.1,
    "cli/test_rehearsal_project.py": 1.2,
    "corpus": 0.02,
    "diagnosis": 0.71,
    "diagnosis/test_older_errors.py": 12,
    "docker": 56,
    "e2e": 30,
    "e2e/test_adversity.py": 3.9,
    "e2e/test_closed_terminal.py": 5.8,
    "e2e/test_hold.py": 51,
    "e2e/test_hostile.py": 10,
    "e2e/test_interrupts.py": 65,
    "e2e/test_not_run_here.py": 80,
    "e2e/test_own_backups.py": 8.5,
    "e2e/test_rehearsals.py": 15,
    "e2e/test_remedies.py": 0.73,
    "e2e/test_sabotage.py": 51,
    "e2e/test_wrong_runbook.py": 75,
    "engine": 1.0,
    "engine/leases/test_lease.py": 3.7,
    "engine/test_backup_restore.py": 10,
    "engine/test_pruning.py": 16,
    "estate": 15,
    "estate/test_sudoers.py": 57,
    "findings": 0.02,
    "ground": 0.07,
    "ground/test_atomic_file.py": 0.46,
    "hosts": 0.65,
    "installation": 0.02,
    "inventory": 0.02,
    "inventory/test_files.py": 1.8,
    "journal": 0.02,
    "judge": 0.09,
    "lab": 1.3,
    "lab/test_diagnosis_on_lab.py": 19,
    "language": 0.05,
    "language/test_budget.py": 4.6,
    "language/test_patterns.py": 0.53,
    "matrix": 5.5,
    "matrix/test_random_kills.py": 1.5,
    "notify": 0.03,
    "notify/test_messenger.py": 1.2,
    "plan": 0.11,
    "plan/test_approval.py": 0.34,
    "plugins": 2.1,
    "plugins/test_backup_source.py": 15,
    "plugins/test_plugin.py": 18,
    "project": 0.18,
    "project/test_retirements.py": 2.6,
    "project/test_run_index.py": 4.3,
    "reference": 0.21,
    "reference/test_architecture.py": 2.9,
    "report": 0.12,
    "report/test_browser.py": 14,
    "repository": 0.1,
    "repository/test_ci.py": 0.78,
    "repository/test_docs.py": 0.44,
    "repository/test_exits.py": 1.8,
    "repository/test_habits.py": 3.3,
    "repository/test_named_commands.py": 1.6,
    "repository/test_own_postgres_page.py": 14,
    "repository/test_refusals.py": 1.4,
    "repository/test_shell.py": 18,
    "repository/test_tiers.py": 0.21,
    "repository/test_wheel.py": 15,
    "sdk": 0.06,
    "sdk/test_backup_beginning.py": 2.4,
    "sdk/test_host_encryption.py": 2.3,
    "signing": 0.04,
    "systemd": 18,
    "systemd/test_refusals.py": 28,
    "systemd/test_units.py": 3.2,
    "systems": 3.9,
    "systems/backup": 0.49,
    "systems/docker": 2.2,
    "systems/files": 4.3,
    "systems/linux": 0.75,
    "systems/mariadb": 3.2,
    "systems/mariadb/test_comparison.py": 16,
    "systems/mariadb/test_drill.py": 24,
    "systems/mariadb/test_in_place.py": 20,
    "systems/pgbackrest": 5,
    "systems/pgbackrest/test_source.py": 11,
    "systems/postgres": 8.7,
    "systems/postgres/test_contained.py": 20,
    "systems/postgres/test_definition_compare.py": 26,
    "systems/postgres/test_dump_restoring.py": 16,
    "systems/postgres/test_killed.py": 24,
    "systems/postgres/test_source.py": 2.1,
    "systems/prometheus": 1.0,
    "systems/prometheus/test_alertmanager.py": 4.5,
    "systems/prometheus/test_alerts.py": 0.18,
    "systems/prometheus/test_client.py": 0.08,
    "systems/prometheus/test_rules.py": 0.33,
    "systems/prometheus/test_series.py": 0.58,
    "systems/qdrant": 10,
    "systems/redis": 1.3,
    "systems/restic": 3.8,
    "systems/s3": 4.3,
    "systems/sqlite": 4.0,
    "systems/tar": 1.2,
    "systems/units": 1.0,
    "telemetry": 0.29,
    "telemetry/test_dashboard.py": 2.2,
    "trust": 0.26,
    "trust/test_pull_request.py": 0.71,
}
"""Usual duration of a test in seconds, by file or folder below ``tests``; the most specific entry counts. Measured in runs of CI on two
cores that four tests share (`.ci/run --junitxml=FILE`).
"""


def seconds(item: pytest.Item) -> float:
    """Return the usual duration of a test: the argument of its mark `long`, or otherwise that of the fast tier, its file or its folder."""
    if item.get_closest_marker("fast"):
        return FAST_S
    if mark := item.get_closest_marker("long"):
        return float(mark.args[0])
    path = PurePosixPath(item.nodeid.partition("::")[0]).relative_to("tests")
    return next((SECONDS[str(place)] for place in (path, *path.parents) if str(place) in SECONDS), SECONDS[""])


def total(items: Sequence[pytest.Item]) -> float:
    """Return the sum of the usual durations in seconds."""
    return sum(map(seconds, items))


def told(usual_s: float) -> str:
    """Line at the end of a run of CI about the usual durations of its tests, and what to do when they are too long."""
    line = f"usual durations of the tests of this run: {usual_s:.0f} s in all, of at most {LIMIT_S:.0f} s"
    over = usual_s > LIMIT_S + OWN_S
    return f"{line}; raise divisors in tests/turns.py, so that CI takes no longer than 15 minutes" if over else line


def beyond(
    taken: Sequence[pytest.Item], parts: Sequence[Sequence[pytest.Item]], has_turn: Callable[[pytest.Item, int], bool]
) -> list[pytest.Item]:
    """Return the tests that do not fit into the run.

    ``taken``: tests that run in any case. ``parts``: further tests, those that matter most first; the first part may take
    ``OWN_S`` even if no time is left. ``has_turn``: tells whether one of so many runs is the turn of a test. If a part does not
    fit, one of so many of its tests is taken that they fit.
    """
    spent, left = total(taken), []
    for number, part in enumerate(parts):
        fitting = _fitting(part, max(LIMIT_S - spent, 0.0 if number else OWN_S), has_turn)
        spent += total(fitting)
        fits = set(fitting)
        left += [item for item in part if item not in fits]
    return left


def _fitting(
    part: Sequence[pytest.Item], most_s: float, has_turn: Callable[[pytest.Item, int], bool]
) -> Sequence[pytest.Item]:
    """Return the tests of a part whose usual durations together are at most ``most_s``."""
    if total(part) <= most_s:
        return part
    for turns in range(2, MOST_TURNS + 1):
        found = [item for item in part if has_turn(item, turns)]
        if found and total(found) <= most_s:
            return found
    return []

"""Limit on the duration of a run of CI: tests of a large change that do not fit have their turn at later runs and at night.

The tests closest to the change come first: of changed test files, of changed modules, and those that follow a changed page.
The other tests of the changed packages share the remaining time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import pytest

LIMIT_S = 1900.0
"""Largest sum of the usual durations of the tests of a run, in seconds. Four tests run at the same time, see ``.ci/run``."""
OWN_S = 300.0
"""Part of the limit that changed test files may always use, in seconds."""
MOST_TURNS = 64
"""Largest divisor: of tests that would have their turn more rarely, none is taken."""
FAST_S = 0.04
"""Usual duration of a test of the fast tier in seconds."""
SECONDS = {
    "": 0.1,
    "attestation": 0.5,
    "audit": 0.4,
    "campaign": 1.8,
    "cli": 0.8,
    "corpus": 1.0,
    "diagnosis": 2.5,
    "docker": 40,
    "e2e": 20,
    "engine": 1.1,
    "estate": 30,
    "hosts": 0.7,
    "lab": 3.5,
    "language": 0.4,
    "matrix": 0.1,
    "notify": 0.5,
    "plugins": 2.2,
    "project": 0.5,
    "report": 0.25,
    "repository": 0.3,
    "sdk": 0.3,
    "systemd": 14,
    "systems": 1.7,
    "systems/mariadb": 9,
    "systems/mariadb/test_dump_source.py": 3,
    "systems/mariadb/test_mariabackup_source.py": 4,
    "systems/pgbackrest": 8,
    "systems/postgres": 2.5,
    "systems/restic": 5,
    "telemetry": 0.6,
}
"""Usual duration of a test in seconds, by file or folder below ``tests``; the most specific entry counts. Measured in runs of CI on two
cores that four tests share.
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

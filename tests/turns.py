"""Turns of costly tests: the part of them that CI runs at each run, with about the same sum of usual durations at every run.

All tests with the same divisor form a line, in the order of the digests of their names, on which each takes as much room as it
takes time. The line is divided into as many equally long slots as the divisor says, and each run takes the slot before that of
the previous run. So each test runs once in so many runs.

If the digest alone decided, some runs would take twice as long as others. If each test went to the slot with the smallest sum, a
new test would exchange the slots of many others, and those whose turn just passed would wait twice as long. On the line a new
test takes a little room: others stay in their slot, except for those near its ends, which have their turn a run earlier or
later. A test that gets into the next slot when this had its turn just now would miss its turn; therefore a run also takes
the tests at the beginning of the next slot (``MARGIN``). Only a commit that adds more time than this can make such tests wait twice as long.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from tests import budget

SAFETY = Path(__file__).parents[1] / "docs" / "safety.md"
TURNS = {
    "e2e": 51,
    "docker": 29,
    "lab": 29,
    "estate": 29,
    "campaign": 29,
    "corpus/test_backups.py": 8,
    "corpus/test_fuzz.py": 8,
    "ground/test_encodings.py": 5,
    "inventory/test_files.py": 29,
    "language/test_budget.py": 8,
    "language/test_patterns.py": 8,
    "notify/test_messenger.py": 8,
    "plan": 4,
    "telemetry": 8,
    "systems": 51,
    "systems/prometheus": 1,
    "systems/prometheus/test_last_question.py": 8,
    "systems/prometheus/test_prometheus.py": 8,
    "engine": 20,
    "attestation": 29,
    "attestation/test_forgeries.py": 29,
    "audit": 29,
    "report": 29,
    "report/test_browser.py": 29,
    "trust": 8,
    "plugins": 29,
    "project": 8,
    "sdk": 29,
    "sdk/test_contract.py": 1,
    "hosts": 20,
    "systemd": 29,
    "cli": 29,
    "repository/test_any_stack_page.py": 20,
    "repository/test_habits.py": 4,
    "repository/test_named_commands.py": 4,
    "repository/test_newcomer.py": 29,
    "repository/test_own_postgres_page.py": 29,
    "repository/test_refusals.py": 4,
    "repository/test_shell.py": 8,
    "repository/test_site.py": 29,
    "repository/test_tutorial.py": 29,
    "repository/test_wheel.py": 29,
    "diagnosis": 29,
}
"""Files and folders of costly tests, with the divisor: CI runs one part of so many at each run; the most specific entry counts."""
BY_FILE = ("systems",)
"""Folders of ``TURNS`` whose files each start servers of their own: the tests of a file have their turn together."""
LARGE_S = 60.0
"""Usual duration of a file in seconds from which it is too costly for a turn of all of its tests together."""
NAMED_TURNS = 10
"""Divisor for tests that docs/safety.md names: each of them runs at every tenth run at least."""
CORPUS_TURNS = 12
"""Divisor for tests marked `corpus`: CI runs one part of so many in each file, rounded up."""
MARGIN = 0.05
"""Part of the next slot that a run takes, too."""


def digest(text: str) -> int:
    """Number for each text, even and odd about equally often."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def file_of(item: pytest.Item) -> str:
    """Path of the file of a test, from the top folder."""
    return item.nodeid.partition("::")[0]


def turns_of(file: str) -> int:
    """Divisor for the tests in ``file``: CI runs one part of so many at each run."""
    path = PurePosixPath(file).relative_to("tests")
    return next((TURNS[str(place)] for place in (path, *path.parents) if str(place) in TURNS), 1)


@dataclass(frozen=True)
class Group:
    """Tests that have their turn together. Of them ``count`` run at the turn, others at the next one."""

    name: str
    tests: Sequence[pytest.Item]
    turns: int
    count: int

    @property
    def seconds(self) -> float:
        """Usual duration of the tests of one turn."""
        return budget.total(self.tests) * self.count / len(self.tests)


def groups(items: Sequence[pytest.Item]) -> Iterator[Group]:
    """Groups of tests of which each has its turns.

    Of the corpus of backups, a twelfth of each file runs at each run. In ``TURNS``, tests that docs/safety.md names run at every
    tenth run at least, with some of their parameters, and so does a file that it names as a whole; other tests have their
    turn one by one, each parameter separately, or in ``BY_FILE`` together with their file.
    """
    page = SAFETY.read_text(encoding="utf-8")
    named, files = set(re.findall(r"`(test_\w+)`", page)), set(re.findall(r"`(tests/[\w/]+\.py)`(?!:)", page))
    costs: Counter[str] = Counter()
    found: dict[str, list[pytest.Item]] = {}
    for item in items:
        costs[file_of(item)] += budget.seconds(item)
    for item in items:
        file, function = file_of(item), item.name.partition("[")[0]
        together = PurePosixPath(file).parts[1] in BY_FILE and costs[file] < LARGE_S
        of_function = f"{file}::{function}" if function in named else file if together else item.nodeid
        found.setdefault(f"{file}::" if item.get_closest_marker("corpus") else of_function, []).append(item)
    for name, tests in found.items():
        file, _, function = name.partition("::")
        turns = turns_of(file)
        if name == f"{file}::":
            yield Group(name, tests, 1, -(-len(tests) // CORPUS_TURNS))
        elif function in named:
            yield Group(name, tests, min(turns, NAMED_TURNS), -(-len(tests) // turns))
        else:
            yield Group(name, tests, min(turns, NAMED_TURNS) if file in files else turns, len(tests))


def slots(found: Sequence[Group]) -> dict[str, set[int]]:
    """Slots of each group, by its name: from 0 to one less than its divisor, two for a group at the beginning of a slot."""
    slot = {}
    for turns in {group.turns for group in found}:
        line = sorted((group for group in found if group.turns == turns), key=lambda group: digest(group.name))
        costs = [group.seconds for group in line]
        passed, whole = 0.0, sum(costs) or 1.0
        for group, cost in zip(line, costs, strict=True):
            place = min((passed + cost / 2) / whole * turns, turns - MARGIN)
            slot[group.name] = {int(place), int(max(place - MARGIN, 0))}
            passed += cost
    return slot

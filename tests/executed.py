"""Tests that run an example of an action to the verdict `passed`, by the name of its drill or, where the action itself
declares the example, by the name of the action.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache

import yaml

from tests.docker import test_examples as on_docker
from tests.e2e import test_examples, test_rehearsals, test_routine_backups
from tests.examples import ROOT
from tests.matrix import test_kill_matrix

LISTS: dict[str, Iterable[str]] = {
    "e2e/test_examples.py::test_an_example_passes_on_the_lab": test_examples.HERE,
    "e2e/test_rehearsals.py::test_each_kind_of_backup_is_rehearsed_and_nothing_is_left": [
        name for name in test_rehearsals.SUITE if name not in test_rehearsals.ELSEWHERE
    ],
    "e2e/test_routine_backups.py::test_the_backup_of_another_program_is_restored_and_nothing_is_left": (
        test_routine_backups.NAMES
    ),
    "docker/test_examples.py::test_an_example_passes_on_the_docker_lab": on_docker.NAMES,
    "docker/test_handbook.py::test_every_drill_of_the_handbook_passes_and_its_cause_is_named": yaml.safe_load(
        (ROOT / "drills" / "handbook.yml").read_text()
    )["drills"],
    "matrix/test_kill_matrix.py::test_recovery_mends_a_run_that_was_killed_after_any_event": test_kill_matrix.DRILLS,
}
"""Tests with the list that they take their names from. In the kill matrix, the first run of each drill is not disturbed,
and must pass.
"""
ALONE = {
    "http.canary": "systems/http/test_canary.py::test_the_example_of_the_reference_works",
    "manual.confirm": "systems/manual/test_actions.py::test_the_example_of_the_reference_passes",
    "routine-vectors": (
        "e2e/test_routine_vectors.py::test_the_snapshot_of_another_program_is_restored_and_the_copy_removed"
    ),
    "rehearse-volume": "docker/test_examples.py::test_an_archive_of_a_volume_is_rehearsed_and_nothing_is_left",
}
"""Tests that run a single example."""
LOADS = re.compile(r"^from tests\.examples import .*\b(?:replaced|FILES)\b", re.MULTILINE)
"""Import of a test file that loads the files of examples."""


def executed() -> dict[str, list[str]]:
    """Tests of each example that a test runs."""
    found = {name: [test] for name, test in ALONE.items()}
    for test, names in LISTS.items():
        for name in names:
            found.setdefault(name, []).append(test)
    for name, file in test_examples.ELSEWHERE.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        if LOADS.search(text) and f'"{name}"' in text:
            found.setdefault(name, []).append(file)
    return found


def source(test: str) -> str:
    """Source of a test function. ``test``: its file below tests, and its name. Empty when there is no such function."""
    file, _, name = test.partition("::")
    return _functions(file).get(name, "")


@cache
def _functions(file: str) -> dict[str, str]:
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_source_segment(text, node) or "" for node in found}

"""Code of memray in a foreign process: messages of memray, explained."""

import re

import pytest

from drillbook.systems.linux import attaching
from drillbook.systems.linux.process_lookup import Found
from drillbook.systems.linux.process_selection import by_port


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        *((f"drillbook: {word}\n", "", "") for word in attaching._WHY),
        (
            "Failed to start tracking in remote process: ModuleNotFoundError(\"No module named 'memray'\")",
            "memray is not installed",
            "environment",
        ),
        (
            "Failed to start tracking in remote process: PermissionError(13, 'Permission denied')",
            r"cannot work in process 7: .*Permission denied",
            "the process's user",
        ),
        ("The given process ID is owned by a different user.", "may not be traced", "ptrace_scope"),
        ("You most likely do not have permission to trace the process.", "may not be traced", "{sudo: true}"),
        ("something \x1b else", r"could not trace process 7: something \\x1b else", "--verbose"),
    ],
)
def test_what_memray_says_is_explained(ground, said, message, hint):
    word = said.split()[1] if said.startswith("drillbook: ") else ""
    error = attaching._refused(ground.ctx(), Found(7, 1, "S", by_port(1)), "memray", word, "" if word else said)
    assert re.search(message, error.message)
    assert hint in error.hint
    assert "{pid}" not in error.message + error.hint

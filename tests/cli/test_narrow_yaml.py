"""Examples of actions and probes on a narrow terminal: no line is broken by it, and the YAML is the same."""

import contextlib
import os
import pty
import re
import subprocess
import termios

import pytest
import yaml

from drillbook.catalog import shipped_files
from drillbook.cli.narrow_yaml import narrowed
from drillbook.sdk import examples
from drillbook.sdk.action import Action, known_names
from drillbook.sdk.probe import Probe
from tests.program import Folder


@pytest.mark.parametrize("kind", [Action, Probe])
def test_each_example_fits_into_80_columns_and_keeps_its_value(kind):
    for name in known_names(kind):
        example = examples.of(name, shipped_files.root() / "drills", kind)
        if example:
            text = narrowed(example.text, 80)
            assert [line for line in text.splitlines() if len(line) > 80] == [], name
            assert yaml.safe_load(text) == yaml.safe_load(example.text), text


def test_a_line_that_fits_stays_as_it_is():
    assert narrowed("a: {b: 1}\n  # c   # d", 80) == "a: {b: 1}\n  # c   # d"


def at_a_terminal(folder, *argv):
    """Lines that the program prints at a terminal of 80 columns."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    program = folder.start(*argv, stdin=subprocess.DEVNULL, stdout=its, stderr=its)
    os.close(its)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    assert program.wait(60) == 0, said
    return re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).replace("\r", "").splitlines()


def test_the_terminal_shows_texts_wrapped_once_and_defaults_as_yaml(tmp_path):
    folder = Folder(tmp_path)
    said = at_a_terminal(folder, "actions", "sql.canary")
    assert "Each acknowledged row must exist after the recovery. A row is acknowledged when" in said, said
    assert max(map(len, said)) <= 80, said
    said = at_a_terminal(folder, "actions", "postgres.restore")
    assert max(map(len, said)) <= 80, said
    assert [line.split()[1] for line in said if line.startswith("closed ")] == ["false"]

"""Messages about mistakes fit the terminal: long lines wrap at spaces, except the quoted line of the file."""

import shutil
import sys
from os import terminal_size

from drillbook.cli.task_exit import fitted

HINT = "  hint: did you mean 'service.start'? available names: service.answers, service.kill, service.restart"
LINE = "  |   - service.sttart: {service: api, note: a line of a file that is longer than the terminal}"


def test_long_lines_are_broken_at_blanks_on_a_terminal_alone(monkeypatch):
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((60, 24)))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    lines = fitted(f"error: wrong\n{LINE}\n{HINT}").splitlines()
    assert lines[:2] == ["error: wrong", LINE]
    assert max(map(len, lines[2:])) < 60
    assert " ".join(" ".join(lines[2:]).split()) == " ".join(HINT.split())
    assert lines[3].startswith("        ")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert fitted(HINT) == HINT


def test_a_command_in_a_hint_is_not_broken(monkeypatch):
    command = "`drillbook drill.recover 20261130T065247.025Z-quarterly-add4 --settled --reason 'the host was replaced'`"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((80, 24)))
    lines = fitted(
        f"error: wrong\n  hint: the changes of the run are still in place; close them with {command}, and run it"
    ).splitlines()
    assert f"        {command}," in lines


def test_a_path_that_fits_only_without_the_indentation_is_not_broken(monkeypatch):
    path = "/srv/drills/acme/reports/20261201T111040.983Z-table-dropped-96e2/report.htm"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: terminal_size((80, 24)))
    assert len(path) + 8 > 80
    assert fitted(f"error: {path} does not exist").splitlines() == ["error:", f"    {path}", "        does not exist"]
    assert fitted(f"error: {path}/x does not exist").splitlines() == ["error:", f"  {path}/x", "        does not exist"]
    far = path + path
    assert f"        {far}" in fitted(f"error: {far} does not exist").splitlines(), "no indentation helps"

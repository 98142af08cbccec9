"""Tables on the terminal: the parts of a lab by host, and the actions with their effect and undo."""

import io
from pathlib import Path
from types import SimpleNamespace

from rich.console import Console

from drillbook.cli import tables


def test_the_lab_is_told_host_by_host() -> None:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    part = SimpleNamespace(name="postgresql", host="db-2", up=False, port=1, pid=None)
    tables.lab(SimpleNamespace(folder=Path("/x/lab"), components=(part,)), console)
    tables.lab(SimpleNamespace(folder=Path("/x/lab"), components=()), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "db-2  postgresql  off: a drill starts it" in text
    assert text.count("part") == 1
    assert "the lab in /x/lab is down" in text

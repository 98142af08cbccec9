"""Local commands return when their process ends, and not at the next poll."""

import os

import pytest

from drillbook.errors import CommandTimedOut
from drillbook.hosts import LocalHost, local
from drillbook.sdk.host import Deadline


def test_a_command_that_has_ended_is_not_waited_for(monkeypatch):
    """The end of the process and the end of its output may be noticed at the same time."""
    monkeypatch.setattr(local, "TICK", 30.0)
    deadline = Deadline.after(20)
    for _ in range(50):
        assert LocalHost().run(("true",), deadline=deadline).ok


def test_a_command_is_killed_although_the_shell_that_does_so_is_too_slow(monkeypatch, tmp_path):
    monkeypatch.setattr(local, "ENDING", "exec sleep 60")
    monkeypatch.setattr(local, "END_SECONDS", 0.1)
    with pytest.raises(CommandTimedOut, match="it could not be killed"):
        LocalHost().run(
            ("sh", "-c", 'echo $$ > "$1"; exec sleep 600', "sh", str(tmp_path / "pid")), deadline=Deadline.after(3)
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)

"""Processes of a lab: found by their pid and their start time."""

import subprocess
from pathlib import Path

from drillbook.lab import control, processes
from drillbook.lab.folder import OWNED_BY


def test_a_pid_that_went_to_another_process_is_not_ended(folder: Path) -> None:
    with subprocess.Popen(["sleep", "300"]) as other:
        try:
            found = processes.find(other.pid)
            assert not processes.alive(other.pid, found.started + 1)
            processes.kill(processes.Process(other.pid, found.parent, found.started + 1, zombie=False))
            folder.joinpath("run").mkdir(parents=True)
            folder.joinpath("OWNER").write_text(OWNED_BY)
            folder.joinpath("run", "daemon.pid").write_text(f"{other.pid} {found.started + 1}")
            control.down(folder)
            assert other.poll() is None
        finally:
            other.kill()

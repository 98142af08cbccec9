"""Starting and stopping labs: under each identity, after crashes, and next to foreign files."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from drillbook.lab import control, identity, layout, processes
from drillbook.lab.layout import ADDRESS, Lab
from tests.waiting import nothing_happens_for, until

from .conftest import mentioning, run

MODES = ["userns", "ambient"] if os.geteuid() == 0 else ["same"]


@pytest.mark.parametrize("mode", MODES)
def test_a_lab_whose_daemon_was_killed_is_replaced_and_then_leaves_nothing(
    mode: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(identity.CHOICE, mode)
    lab = control.up(folder)
    assert lab.identity == mode
    port, password = lab.port("postgres.db-1"), lab.secret("pg_app")
    with psycopg.connect(host=ADDRESS, port=port, user="dpa", dbname="dpa", password=password):
        left = int(run(lab, "db-2", "nohup sleep 300 >/dev/null 2>&1 </dev/null & echo $!").out)
    os.kill(lab.pid, signal.SIGKILL)
    until(lambda: (daemon := processes.find(lab.pid)) is None or daemon.zombie, "the end of the daemon")
    nothing_happens_for(0.3, lambda: processes.find(left) is None)
    assert not control.status(folder).running

    again = control.up(folder)
    assert again.pid != lab.pid
    assert processes.find(left) is None or processes.find(left).zombie
    assert control.status(folder).healthy

    left = int(run(again, "db-2", "nohup sleep 300 >/dev/null 2>&1 </dev/null & echo $!").out)
    started = time.monotonic()
    control.down(folder)
    assert time.monotonic() - started < 300, "nobody waited for the sleep"
    assert not folder.exists()
    assert mentioning(folder) == []
    assert processes.find(left) is None or processes.find(left).zombie
    sockets = {str(path) for path in Path("/tmp").glob("seaweedfs-*.sock")}
    assert [name for name in sockets if any(str(again.base + n) in name for n in range(layout.BLOCK))] == []


def test_down_works_when_the_daemon_is_dead_already(folder: Path) -> None:
    lab = control.up(folder)
    os.kill(lab.pid, signal.SIGKILL)
    control.down(folder)
    assert not folder.exists()
    assert mentioning(folder) == []
    control.down(folder)


def test_up_again_uses_the_lab_that_runs(lab: Lab) -> None:
    assert control.up(lab.folder).pid == lab.pid


def test_status_shows_every_component(lab: Lab) -> None:
    status = control.status(lab.folder)
    assert status.running
    assert status.healthy
    down = [(part.name, part.host) for part in status.components if not part.up]
    assert down == [("shop", "db-1"), ("postgresql", "db-2"), ("spare-api", "db-2"), ("copy-api", "db-2")]
    assert all(part.pid for part in status.components if part.up)

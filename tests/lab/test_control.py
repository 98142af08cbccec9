"""Starting and stopping labs: under each identity, after crashes, and next to foreign files."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from drillbook.errors import LabError
from drillbook.lab import control, identity, layout, processes
from drillbook.lab.folder import OWNED_BY
from drillbook.lab.layout import ADDRESS, Lab
from tests.waiting import nothing_happens_for, until

from .conftest import mentioning, run

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another identity")
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


@needs_root
def test_as_an_ordinary_user(folder: Path) -> None:
    folder.mkdir()
    here = Path(__file__).parent
    source = Path(control.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "drillbook.lab.identity", "ambient", str(folder), "run", "ordinary_user", str(folder)],
        env=os.environ | {"PYTHONPATH": f"{source}:{here}", identity.CHOICE: "auto"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["65534", "same", "True"]), done


def test_when_a_port_is_taken_the_next_block_is_used(folder: Path) -> None:
    wanted = Lab.preferred(folder)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((ADDRESS, wanted.port("redis")))
        other.listen()
        assert Lab.free(folder).base != wanted.base
    assert Lab.preferred(folder) == wanted
    assert 20000 <= wanted.base <= 29980


@needs_root
def test_a_socket_that_another_user_left_is_avoided(folder: Path) -> None:
    """SeaweedFS of this user could not replace the file in /tmp, and would not start."""
    wanted = Lab.preferred(folder)
    left = Path(f"/tmp/seaweedfs-filer-grpc-{wanted.base + 3}.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(left))
        try:
            assert Lab.free(folder) == wanted, "root replaces it"
            os.seteuid(65534)
            assert Lab.free(folder).base != wanted.base
        finally:
            os.seteuid(0)
            left.unlink()


def test_a_folder_that_is_not_a_lab_is_left_alone(tmp_path: Path) -> None:
    other = Path(f"/var/tmp/{tmp_path.parent.parent.name}-{os.getpid()}"[:60])
    other.mkdir()
    try:
        (other / "precious").write_text("mine")
        for action in (control.up, control.down):
            with pytest.raises(LabError, match="do not belong to a lab"):
                action(other)
        assert (other / "precious").read_text() == "mine"
    finally:
        (other / "precious").unlink()
        other.rmdir()


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


@pytest.mark.parametrize(("name", "wanted"), [("x" * 80, "too long"), ("with space", "character")])
def test_a_folder_that_cannot_work_is_refused(name: str, wanted: str) -> None:
    with pytest.raises(LabError, match=wanted):
        control.up(Path("/var/tmp") / name)
    assert not (Path("/var/tmp") / name).exists()


def test_the_default_folder_is_short_and_stable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRILLBOOK_LAB", raising=False)
    assert control.default_folder(tmp_path) == control.default_folder(tmp_path) != control.default_folder(tmp_path / "other")
    assert str(control.default_folder(tmp_path)).startswith(f"/var/tmp/drillbook-{os.getuid()}-")
    monkeypatch.setenv("DRILLBOOK_LAB", "/var/tmp/chosen")
    assert control.default_folder(tmp_path) == Path("/var/tmp/chosen")

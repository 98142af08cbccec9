"""Docker engine of CI: it starts beside what a killed engine, or one that still shuts down, left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.needs import missing, need
from tests.waiting import until

SCRIPT = Path(__file__).parents[2] / ".ci" / "engine.sh"
START = '. "$1"; start_engine "$2" "$2/log" --data-root "$2/data" --bridge=none --iptables=false --ip6tables=false; echo "$engine"'


@pytest.fixture
def engine():
    """Folder for the socket and state of an engine: a short path, because a socket's path has at most 107 bytes."""
    need("docker")
    need("dockerd")
    if os.geteuid():
        missing("dockerd needs root")
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        yield Path(folder)


def pid_files(engine):
    return engine / "docker.pid", engine / "docker" / "containerd" / "containerd.pid"


@contextmanager
def starting(engine):
    """The script while it starts an engine, which is stopped at the end.

    It has a network of its own, because an engine without a bridge removes that of the machine's engine.
    """
    environment = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"}
    with subprocess.Popen(
        ["unshare", "--net", "--mount", "bash", "-euc", START, "bash", SCRIPT, engine],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as script:
        try:
            yield script
        finally:
            script.wait(180)
            stop(engine)


def stop(engine):
    """End the engine of a folder by its own pid file and await its end."""
    file, _ = pid_files(engine)
    if file.exists():
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not file.exists(), "the engine ends")


def answers(engine):
    argv = ["docker", "--host", f"unix://{engine}/docker.sock", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_an_engine_starts_beside_pid_files_whose_numbers_other_programs_have(engine):
    with subprocess.Popen(["sleep", "300"]) as other:
        for file in pid_files(engine):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(other.pid))
        with starting(engine) as script:
            assert int(script.stdout.readline()) == int(pid_files(engine)[0].read_text())
            assert answers(engine)
        assert other.poll() is None, "the other program is left alone"
        other.kill()


def test_an_engine_starts_beside_the_pid_file_of_one_that_ended_and_was_not_awaited(engine):
    ended = subprocess.Popen(["dockerd", "--version"], stdout=subprocess.DEVNULL)
    until(lambda: "Z" in Path(f"/proc/{ended.pid}/stat").read_text().rpartition(")")[2].split()[0], "it has ended")
    pid_files(engine)[0].write_text(str(ended.pid))
    with starting(engine) as script:
        assert script.stdout.readline().strip()
        assert answers(engine)
    assert ended.wait() == 0


def test_an_engine_starts_as_soon_as_the_one_before_it_has_shut_down(engine):
    with starting(engine) as first:
        before = int(first.stdout.readline())
        # An engine that shuts down answers no more, while its process and pid file are still there.
        (engine / "docker.sock").unlink()
        with starting(engine) as script:
            until(lambda: f"process with PID {before} is still running" in (engine / "log").read_text(), "it is refused")
            assert script.poll() is None
            os.kill(before, signal.SIGTERM)
            assert int(script.stdout.readline()) != before
            assert answers(engine)

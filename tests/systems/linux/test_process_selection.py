"""Commands for a selected process: run for this process only, with its pid and start time inserted."""

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.systems.linux.process_selection import ANOTHER, PID, START, Selection, by_pid_file, by_port
from tests.systems.ground import Ground


@pytest.fixture
def ground(tmp_path):
    made = Ground(tmp_path)
    yield made
    made.close()


@pytest.fixture
def listener():
    """Separate process that listens on a port."""
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.pid, int(process.stdout.readline())
        process.stdin.close()


def start_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])


@pytest.fixture(params=["port", "file", "unit"])
def selected(request, listener, tmp_path):
    pid, port = listener
    path = tmp_path / "it's a.pid"
    path.write_text(f"{pid}\n")
    ways = {"port": by_port(port), "file": by_pid_file(str(path)), "unit": Selection("unit", shlex.join(["echo", str(pid)]))}
    return ways[request.param], pid


def test_the_words_stand_for_the_process_and_input_follows(ground, selected):
    by, pid = selected
    argv = ("sh", "-c", 'printf "%s|" "$@"', "sh", PID, "it's", START, "@pids")
    for start in (None, start_of(pid)):
        output = by.run(ground.ctx(), argv, pid, start).check()
        assert output.text == f"{pid}|it's|{start_of(pid)}|@pids|"


def test_another_process_is_not_touched(ground, selected):
    by, pid = selected
    for other, start in ((os.getpid(), None), (os.getpid(), start_of(os.getpid())), (pid, start_of(pid) + 1), (1, None)):
        output = by.run(ground.ctx(), ("echo", "started", PID), other, start)
        assert (output.exit, output.text) == (ANOTHER, "")


def test_a_selection_that_means_nothing_starts_nothing(ground, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    for by in (by_port(free), by_pid_file(str(tmp_path / "none")), Selection("unit", "false")):
        assert by.run(ground.ctx(), ("echo", "started"), os.getpid()).exit == ANOTHER


def test_the_command_is_the_same_for_every_pid(ground, selected):
    by, pid = selected
    seen = []
    ctx = ground.ctx()
    for number in (pid, os.getpid()):
        seen.append(by.run(ctx, ("true", PID, START), number).argv)
    assert seen[0] == seen[1]
    assert not {str(pid), str(os.getpid())} & {*seen[0]}

"""Command lines on hosts: detecting processes that only root can end."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from drillbook.engine.leases.lock import fence
from drillbook.errors import CommandTimedOut
from drillbook.hosts.local import LocalHost
from drillbook.hosts.shell import ENDING, FENCE_WORDS, Order, through_sudo
from drillbook.sdk.host import Deadline


def fenced(argv, folder, times):
    """``argv`` with the fences of ``times`` locks, as on a host with that many services of a drill."""
    for _ in range(times):
        argv = fence(argv, str(folder), 1, "")
    return argv


@pytest.mark.parametrize("times", [0, 1, 2, 5])
@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (("sudo", "-n", "sleep", "600"), True),
        (("/usr/bin/sudo", "-n", "true"), True),
        (("env", "A=1", "sudo", "true"), True),
        (("sleep", "600"), False),
        (("echo", *"abcdefgh", "sudo"), False),
    ],
)
def test_sudo_is_found_behind_the_fences_of_any_number_of_locks(argv, wanted, times):
    assert len(fenced(argv, "/x", times)) == len(argv) + FENCE_WORDS * times
    assert through_sudo(fenced(argv, "/x", times)) is wanted


@pytest.mark.parametrize("times", [0, 1, 2])
def test_what_runs_through_sudo_is_ended_through_sudo(tmp_path, monkeypatch, times):
    lock, log, sudo = tmp_path / "lock", tmp_path / "log", tmp_path / "sudo"
    lock.mkdir()
    (lock / "1").touch()
    sudo.write_text(f'#!/bin/sh\nshift\necho "$1" >> {log}\nexec "$@"\n')
    sudo.chmod(0o755)
    someone = tmp_path / "id"  # root needs no sudo to end a process
    someone.write_text("#!/bin/sh\necho 1000\n")
    someone.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CommandTimedOut):
        LocalHost().run(fenced(("sudo", "-n", "sleep", "600"), lock, times), deadline=Deadline.after(0.5))
    assert log.read_text().split()[0] == "sleep"
    assert "kill" in log.read_text()


SHELLS = [words for words in (("dash",), ("busybox", "ash"), ("bash",)) if shutil.which(words[0])]


@pytest.mark.parametrize("before", ["", "set -f; ", "set -u; "])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_a_login_shell_runs_the_first_fence_itself(tmp_path, shell, times, before):
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock" / "1").touch()
    words = fenced(("printf", "%s;", "-x", "it's $(not)", "a\nb", "*"), tmp_path / "lock", times)
    line = Order("far", words).line(shell[-1]).decode()
    assert "exec sh -c" not in line.partition(" >&2;")[2][:30]

    def run():
        return subprocess.run([*shell, "-c", before + line], check=False, capture_output=True, text=True, cwd="/")

    assert (run().stdout, run().returncode) == ("-x;it's $(not);a\nb;*;", 0)
    (tmp_path / "lock" / "2").touch()
    assert (run().stdout, run().returncode) == ("", 97)
    (tmp_path / "lock" / "1").unlink()
    (tmp_path / "lock" / "2").unlink()
    assert run().returncode == 97


def test_an_unknown_login_shell_runs_no_fence_itself(tmp_path):
    for shell in ("zsh", "mksh", "ksh", "fish", ""):
        assert Order("far", fenced(("true",), tmp_path, 1)).line(shell).decode().count("exec sh -c") == 1


TREE = 'sh -c "setsid sleep 600 & echo \\$!; sleep 600 & echo \\$!; wait" & echo $!; wait'
"""Command with a child, two grandchildren, and one of them in a separate session."""


def killed(shell, script, command, lines):
    """Run ``script`` in ``shell`` for a ``command`` that prints the ids of ``lines`` processes. Wait until they are gone."""
    command = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    entries = [Path(f"/proc/{int(command.stdout.readline())}") for _ in range(lines)]
    killing = subprocess.Popen([*shell, "-c", script, "sh", str(command.pid), ""])
    command.wait(20)
    assert killing.wait(20) == 0
    deadline = Deadline.after(20)
    while any(entry.exists() for entry in entries) and deadline.remaining():
        deadline.wait(0.01)
    command.stdout.close()
    left = [entry for entry in entries if entry.exists()]
    for entry in left:
        os.kill(int(entry.name), signal.SIGKILL)
    return not left


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_descendants_are_killed_in_whatever_session_they_are(shell):
    assert killed(shell, ENDING, ["sh", "-c", TREE], 3)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_a_process_of_the_session_that_lost_its_parent_is_killed(shell):
    orphan = "set -m; (sleep 600 & echo $!); exec sleep 600"
    assert killed(shell, ENDING, ["bash", "-c", orphan], 1)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_an_orphan_of_a_session_of_a_child_is_killed(shell):
    """The monitor of sudo (``use_pty``) is a child of the command, and leads the session of what it runs."""
    orphan = "set -m; (sleep 600 & echo $!); exec sleep 600"
    assert killed(shell, ENDING, ["sh", "-c", f"setsid bash -c '{orphan}' & wait"], 1)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_a_child_of_an_orphan_that_ends_with_the_command_is_killed(tmp_path, shell):
    """The orphan reads a pipe of the command, so it ends with the command. Its child has a session of its own."""
    os.mkfifo(fifo := tmp_path / "fifo")
    orphan = f'(sh -c "setsid sleep 600 & echo \\$!; cat <{fifo}" &) ; exec sleep 600 >{fifo}'
    assert killed(shell, ENDING, ["sh", "-c", orphan], 1)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_a_command_is_killed_as_a_group_where_there_is_no_proc(tmp_path, shell):
    script = ENDING.replace("/proc/self/stat", str(tmp_path / "absent"))
    assert killed(shell, script, ["sh", "-c", "sleep 600 & echo $!; wait"], 1)

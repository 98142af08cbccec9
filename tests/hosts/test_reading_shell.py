"""Commands that only read share one shell on the host, and nobody can tell the difference."""

import os
import signal
import threading
from pathlib import Path

import pytest

from drillbook.errors import Cancelled, CommandTimedOut
from drillbook.hosts import open_host
from drillbook.hosts.shell import Order
from drillbook.hosts.ssh import opening, reading_shell
from drillbook.hosts.ssh.reading_shell import only_reads
from tests.hosts.servers import OpenSsh, descendants
from tests.hosts.suite import soon


@pytest.fixture(params=["openssh", "asyncssh_server"])
def host(request):
    host = open_host(request.getfixturevalue(request.param).target(), targets={})
    yield host
    host.close()


@pytest.fixture
def own_server(tmp_path):
    server = OpenSsh(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def opened(own_server):
    """Opens the host of the server, which is started with more lines of configuration."""
    hosts = []

    def start(*lines):
        own_server.extra += "".join(f"{line}\n" for line in lines)
        own_server.start()
        hosts.append(open_host(own_server.target(), targets={}))
        return hosts[0]

    yield start
    for host in hosts:
        host.close()


def _asked_for(host):
    """Number of channels that were asked for on the connection."""
    return len(host.link(soon()).transport.channels_seen)


def _shell(host):
    return host._shell._shell


@pytest.fixture
def apart(host, monkeypatch):
    """Runs a command on a channel of its own."""

    def run(argv):
        with monkeypatch.context() as patch:
            patch.setattr("drillbook.hosts.ssh.host.only_reads", lambda order: False)
            return host.run(argv, deadline=soon())

    return run


def test_reading_commands_need_one_channel_together(host):
    assert host.run(["true"], deadline=soon()).ok
    pid, before = _shell(host).pid, _asked_for(host)
    for number in range(20):
        assert host.run(["test", str(number), "-eq", "7"], deadline=soon()).exit == (0 if number == 7 else 1)
    assert (_shell(host).pid, _asked_for(host)) == (pid, before)


def _files(folder: Path) -> list[list[str]]:
    (folder / "no end").write_bytes(b"two\nlines")
    (folder / "all bytes").write_bytes(bytes(range(256)) * 40)
    (folder / "it's\na name").write_text("ü")
    (folder / "much").write_bytes(b"0123456789abcdef" * 200_000)
    (folder / "nothing").write_bytes(b"")
    names = sorted(str(one) for one in folder.iterdir())
    return [
        *(["cat", name] for name in names),
        ["cat", *names],
        ["stat", "-c", "%s %n", *names],
        ["ls", str(folder / "absent")],
        ["grep", "-c", "zwei", names[0]],
        ["cat"],
        ["wc", "-c"],
        ["id", "--no-such-option"],
        ["test", "a b", "=", "a b"],
        ["[", "1", "=", "2"],
        ["test", "a", "==", "a"],
        ["test", "99999999999999999999", "-gt", "1"],
        ["test", "-N", names[0]],
        ["true", "--version"],
        ["false"],
    ]


def test_output_and_status_are_those_of_a_channel_of_its_own(host, apart, tmp_path):
    for argv in _files(tmp_path):
        one, other = host.run(argv, deadline=soon()), apart(argv)
        assert _told(one) == _told(other), argv


def _told(output):
    return output.exit, output.signal, output.stdout, output.stdout_bytes, output.stderr


@pytest.mark.parametrize("name", ["TERM", "KILL"])
def test_a_command_that_is_killed_tells_the_signal(host, name):
    host.run(["true"], deadline=soon())
    results = []
    thread = threading.Thread(target=lambda: results.append(host.run(["tail", "-f", "/dev/null"], deadline=soon())))
    thread.start()
    child = _child(_shell(host).pid)
    host.run(["kill", f"-{name}", child], deadline=soon()).check()
    thread.join(20)
    assert _told(results[0]) == (None, name, b"", 0, b"")
    assert host.run(["true"], deadline=soon()).ok


def _child(pid):
    """Wait until the process ``pid`` has a child, and return the child's number."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = soon()
    while not (found := children.read_text().split()):
        deadline.wait(0.01)
    return found[0]


def _wait_for_end(pid):
    """Wait until no process ``pid`` runs any more."""
    deadline = soon()
    while (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        deadline.wait(0.01)


def test_the_deadline_ends_the_command_and_the_next_one_gets_a_new_shell(host):
    host.run(["true"], deadline=soon())
    pid = _shell(host).pid
    with pytest.raises(CommandTimedOut, match="it was killed"):
        host.run(["tail", "-f", "/dev/null"], deadline=soon(0.5))
    assert not Path(f"/proc/{pid}").exists()
    assert host.run(["cat", "/proc/self/stat"], deadline=soon()).ok
    assert _shell(host).pid != pid


def test_a_stopped_run_ends_the_command(host):
    host.run(["true"], deadline=soon())
    deadline = soon()
    timer = threading.Timer(0.2, deadline.cancel.set)
    timer.start()
    with pytest.raises(Cancelled, match="it was killed"):
        host.run(["tail", "-f", "/dev/null"], deadline=deadline)
    timer.join()


def test_commands_at_the_same_time_do_not_wait_for_each_other(host):
    host.run(["true"], deadline=soon())
    cancel = soon()

    def wait_long():
        with pytest.raises(Cancelled):
            host.run(["tail", "-f", "/dev/null"], deadline=cancel)

    thread = threading.Thread(target=wait_long)
    thread.start()
    _child(_shell(host).pid)
    assert host.run(["cat", "/proc/version"], deadline=soon()).stdout
    assert thread.is_alive()
    cancel.cancel.set()
    thread.join(20)


def _read_from_killed_shell(host, fifo, *, alone):
    """Kill the shell while `cat` reads from ``fifo`` in it, and the `cat` as well unless ``alone``. Return the result."""
    host.run(["true"], deadline=soon())
    os.mkfifo(fifo)
    results = []
    thread = threading.Thread(target=lambda: results.append(host.run(["cat", str(fifo)], deadline=soon())))
    thread.start()
    child = _child(_shell(host).pid)
    os.kill(_shell(host).pid, 9)
    if not alone:
        os.kill(int(child), 9)
    _wait_for_end(child)
    fifo.write_bytes(b"arrived")
    thread.join(20)
    return results[0]


def test_a_command_whose_shell_is_killed_runs_again_on_a_channel_of_its_own(host, tmp_path):
    assert _read_from_killed_shell(host, tmp_path / "fifo", alone=False).stdout == b"arrived"


def test_a_command_that_outlives_the_shell_is_killed_before_it_runs_again(opened, tmp_path):
    assert _read_from_killed_shell(opened(), tmp_path / "fifo", alone=True).stdout == b"arrived"


def test_a_shell_that_ended_between_two_commands_is_started_again(host):
    host.run(["true"], deadline=soon())
    pid = _shell(host).pid
    os.kill(pid, 9)
    assert host.run(["true"], deadline=soon()).ok


def test_a_server_with_one_channel_takes_turns(opened, tmp_path):
    host = opened("MaxSessions 1")
    assert host.run(["true"], deadline=soon()).ok
    assert _shell(host)
    assert host.run(["echo", "said"], deadline=soon()).text == "said"
    assert _shell(host) is None
    assert host.run(["cat", "/proc/version"], deadline=soon()).ok
    assert _shell(host) is None


def test_a_file_is_read_although_the_shell_has_the_only_channel(opened, tmp_path):
    host = opened("MaxSessions 1")
    assert host.run(["true"], deadline=soon()).ok
    (tmp_path / "file").write_text("data")
    assert host.get(str(tmp_path / "file")) == b"data"


def test_a_login_shell_that_prints_a_text_is_used_as_before(opened, tmp_path):
    host = opened('ForceCommand sh -c "echo hello; $SSH_ORIGINAL_COMMAND"')
    for _ in range(3):
        assert host.run(["uname"], deadline=soon()).text.split() == ["hello", "Linux"]
    assert _shell(host) is None


def test_a_server_that_runs_another_command_instead(opened):
    host = opened("ForceCommand echo only this")
    for _ in range(2):
        assert host.run(["cat", "/proc/version"], deadline=soon()).text == "only this"
    assert _shell(host) is None


def test_a_silent_server_gets_a_channel_first(host, monkeypatch):
    host.run(["true"], deadline=soon())
    before = _asked_for(host)
    monkeypatch.setattr(opening, "FRESH_S", 0.0)
    assert host.run(["true"], deadline=soon()).ok
    assert _asked_for(host) > before


@pytest.mark.parametrize(
    ("words", "more", "reads"),
    [
        (("cat", "a"), {}, True),
        (("systemctl", "is-active", "a"), {}, True),
        (("systemctl", "stop", "a"), {}, False),
        (("systemctl",), {}, False),
        (("sh", "-c", "true"), {}, False),
        (("/tmp/cat",), {}, False),
        (("cat", "a" * reading_shell.MOST_WORDS), {}, False),
        (("cat",), {"stdin": b"a"}, False),
        (("cat",), {"preamble": b"a"}, False),
        (("cat",), {"cwd": "/"}, False),
    ],
)
def test_only_known_commands_without_input_are_read_in_the_shell(words, more, reads):
    assert only_reads(Order("far", words, **more)) is reads


def test_output_for_a_sink_has_a_channel_of_its_own(host, tmp_path):
    with (tmp_path / "sink").open("wb") as sink:
        host.run(["cat", "/proc/version"], deadline=soon(), sink=sink)
    assert _shell(host) is None


def test_a_folder_that_was_replaced_is_found(opened, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "file").write_text("old")
    host = opened(f'ForceCommand cd "{home}"; eval "$SSH_ORIGINAL_COMMAND"')
    assert host.run(["cat", "file"], deadline=soon()).text == "old"
    pid = _shell(host).pid
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    home.rename(tmp_path / "moved")
    home.mkdir()
    (home / "file").write_text("new")
    assert host.run(["cat", "file"], deadline=soon()).text == "new"
    assert _shell(host).pid == pid


def test_a_folder_that_is_gone_ends_the_shell(opened, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    host = opened(f'ForceCommand cd "{home}"; eval "$SSH_ORIGINAL_COMMAND"')
    assert host.run(["true"], deadline=soon()).ok
    home.rmdir()
    assert host.run(["cat", "/proc/version"], deadline=soon()).ok


def test_a_server_whose_command_waits_for_more_input(opened, monkeypatch):
    monkeypatch.setattr(reading_shell, "START_S", 0.5)
    host = opened("ForceCommand cat")
    for _ in range(2):
        assert host.run(["uname"], deadline=soon()).exit == 0
    assert _shell(host) is None


def test_a_server_that_hangs_before_the_shell_has_started(opened, own_server):
    host = opened()
    host.open()
    assert host.link(soon()).transport._ahead.answered.wait(20)
    pids = [own_server._process.pid, *descendants(own_server._process.pid, "sshd")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(CommandTimedOut, match="had not started"):
            host.run(["uname"], deadline=soon(0.7))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert host.run(["uname"], deadline=soon()).text == "Linux"


def test_the_start_of_a_program_is_not_that_of_the_shell(host, tmp_path):
    """Programs of the shell itself, such as `test` of bash, would understand more than the programs do."""
    made = tmp_path / "made"
    host.run(["test", "-v", f"a[$(touch {made})]"], deadline=soon())
    assert not made.exists()

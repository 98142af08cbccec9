"""Read-only commands share one shell on the host, without any difference in their results."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from drillbook.engine.leases import Lease, fence
from drillbook.errors import Cancelled, CommandLost, CommandTimedOut
from drillbook.hosts import open_host
from drillbook.hosts.shell import Order
from drillbook.hosts.ssh import early_channels, reading_shell
from drillbook.hosts.ssh.reading_shell import calls_function, only_reads, reads_by_script
from drillbook.sdk import target_folders
from drillbook.sdk.host import LeaseConfig
from drillbook.sdk.programs import Programs
from drillbook.sdk.shell_functions import Functions
from tests.hosts.servers import OpenSsh, descendants
from tests.hosts.suite import soon
from tests.needs import need


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
    """Start the server with additional lines of configuration, and open its host."""
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
    """Number of channels requested on the connection."""
    return len(host.link(soon()).transport.channels_seen)


def _shell(host):
    return host._shell._shell


@pytest.fixture
def apart(host, monkeypatch):
    """Run a command on a separate channel."""

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
    """Wait until the process ``pid`` has a child. Return the pid of the child."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = soon()
    while not (found := children.read_text().split()):
        deadline.wait(0.01)
    return found[0]


def _wait_for(path):
    deadline = soon()
    while not path.exists():
        deadline.wait(0.01)


def _wait_for_end(pid):
    """Wait until the process ``pid`` has ended."""
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
    """Kill the shell while its `cat` reads from ``fifo``, and the `cat` too unless ``alone``. Return the result."""
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
    monkeypatch.setattr(early_channels, "FRESH_S", 0.0)
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
    """Builtins of the shell, such as `test` of bash, accept more syntax than the programs do."""
    made = tmp_path / "made"
    host.run(["test", "-v", f"a[$(touch {made})]"], deadline=soon())
    assert not made.exists()


FUNCTIONS = Functions(
    """set -u
kept=${kept:-nothing}
told() { for one; do printf '<%s>' "$one"; done; echo " $kept $(umask) $#" >&2; kept=much; umask 0; cd /tmp; }
input() { cat; }
leave() { exit "$1"; }
wait_for() { echo "$$" >> "$2"; read -r line < "$1" && echo "$line"; }
"$@"
"""
)


def _call(name, *words):
    return ["sh", "-c", FUNCTIONS, "drillbook", name, *words]


CALLS = [
    _call("told", "a b", "it's $(not) `run`\n", "", "ü"),
    _call("told"),
    _call("input"),
    _call("leave", "0"),
    _call("leave", "97"),
    _call("unknown"),
]


def test_functions_give_the_same_in_the_shell_as_on_a_channel_of_their_own(host):
    host.run(_call("leave", "0"), deadline=soon()).check()
    pid = _shell(host).pid
    for argv in CALLS * 2:
        apart = ["sh", "-c", str(FUNCTIONS), *argv[3:]]
        before = _asked_for(host)
        one = host.run(argv, deadline=soon())
        assert (_shell(host).pid, _asked_for(host)) == (pid, before)
        other = host.run(apart, deadline=soon())
        if argv[4] == "unknown":
            assert (one.exit, b"not found" in one.stderr) == (other.exit, b"not found" in other.stderr)
        else:
            assert _told(one) == _told(other), argv


def test_questions_about_programs_and_the_removal_of_files_need_no_channel_of_their_own(host, tmp_path, monkeypatch):
    kept, run = tmp_path / "drillbook" / "runs" / "other", tmp_path / "drillbook" / "runs" / "run 1"
    for folder in (kept, run):
        folder.mkdir(parents=True)
    monkeypatch.setattr(early_channels, "FRESH_S", 60.0)
    host.run(["true"], deadline=soon()).check()
    before = _asked_for(host)
    odd = ["no such\nprogram", "$(true)", "bin/sh"]
    assert Programs().missing(host, ["sh", *odd, "cat"], deadline=soon()) == odd
    remove = ("sh", "-c", target_folders.REMOVE, "sh", str(tmp_path / "drillbook"), "run 1", str(tmp_path / "former"))
    host.run(remove, deadline=soon()).check()
    assert (run.exists(), kept.exists()) == (False, True)
    kept.rmdir()
    host.run(remove, deadline=soon()).check()
    assert list(tmp_path.glob("drillbook")) == []
    assert _asked_for(host) == before


def test_a_function_whose_shell_is_killed_is_lost_and_not_called_again(host, tmp_path):
    host.run(_call("leave", "0"), deadline=soon()).check()
    os.mkfifo(tmp_path / "fifo")
    errors = []

    def wait():
        with pytest.raises(CommandLost, match="the shell on the host ended") as error:
            host.run(_call("wait_for", str(tmp_path / "fifo"), str(tmp_path / "called")), deadline=soon())
        errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    child = _child(_shell(host).pid)
    _wait_for(tmp_path / "called")
    os.kill(_shell(host).pid, 9)
    os.kill(int(child), 9)
    thread.join(20)
    assert errors
    _wait_for_end(child)
    assert len((tmp_path / "called").read_text().split()) == 1
    assert host.run(_call("leave", "3"), deadline=soon()).exit == 3


@pytest.mark.parametrize(
    "line",
    ['ForceCommand sh -c "echo hello; $SSH_ORIGINAL_COMMAND"', 'ForceCommand sh -c "$SSH_ORIGINAL_COMMAND"; echo bye'],
)
def test_a_function_is_called_once_although_its_server_prints_a_text(opened, tmp_path, line):
    host = opened(line)
    called = tmp_path / "called"
    (tmp_path / "line").write_text("x\n")
    for number in (1, 2):
        host.run(_call("wait_for", str(tmp_path / "line"), str(called)), deadline=soon())
        assert len(called.read_text().split()) == number


def test_a_host_without_setsid_runs_functions_on_channels_of_their_own(opened, tmp_path):
    host = opened(f'ForceCommand PATH={tmp_path}; export PATH; /bin/sh -c "$SSH_ORIGINAL_COMMAND"')
    (tmp_path / "sh").symlink_to("/bin/sh")
    for _ in range(2):
        assert host.run(_call("leave", "3"), deadline=soon()).exit == 3
    assert _shell(host) is None


def test_the_watcher_of_a_lease_outlives_a_later_command_that_is_killed_in_the_shell(opened, tmp_path):
    host = opened()
    (tmp_path / "scratch").mkdir()
    fields = {"scratch": str(tmp_path / "scratch"), "lease": LeaseConfig(kind="watcher", boot="none")}
    host._target = host.target.model_copy(update=fields)
    lease = Lease(host, "run-1", 60)
    lease.arm(1, "x", [["true"]], deadline=soon())
    pid = _shell(host).pid
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CommandTimedOut, match="it was killed"):
        host.run(_call("wait_for", str(tmp_path / "fifo"), str(tmp_path / "called")), deadline=soon(0.7))
    assert not Path(f"/proc/{pid}").exists()
    assert lease.state(deadline=soon()).watcher
    lease.end(deadline=soon())


def test_a_script_that_is_killed_runs_again_and_the_next_command_gets_no_output_of_it(host, tmp_path):
    lines = tmp_path / "lines"
    lines.write_text("first\n")
    host.run(["true"], deadline=soon()).check()
    pid = _shell(host).pid
    results, cancel = [], soon()
    script = ["sh", "-c", f"tail -f {lines} | grep --line-buffered s"]

    def follow():
        with pytest.raises(Cancelled):
            host.run(script, deadline=cancel)
        results.append("stopped")

    thread = threading.Thread(target=follow)
    thread.start()
    os.kill(int(_child(pid)), 9)
    deadline = soon()
    while _shell(host) is not None:
        deadline.wait(0.01)
    with lines.open("a") as file:
        file.write("second\n")
    assert host.run(["cat", "/proc/version"], deadline=soon()).stdout == Path("/proc/version").read_bytes()
    assert _shell(host).pid != pid
    cancel.cancel.set()
    thread.join(20)
    assert results


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_a_function_whose_text_is_cut_is_not_called(shell, tmp_path, monkeypatch):
    words = tuple(_call("wait_for", "/dev/null", str(tmp_path / "called")))
    text = reading_shell.command_text(words, {}) + "\n_status=$?\n"
    argv = [*(["busybox"] if shell == "busybox" else []), "sh" if shell == "busybox" else shell]
    last = text.rindex("}")

    def run(text):
        done = subprocess.run(
            [need(argv[0]), *argv[1:]], check=False, input=f"exec 3>&2 4</dev/null\n{text}", text=True, timeout=20
        )
        return done.returncode, (tmp_path / "called").exists()

    for cut in range(text.index("\n(_drillbook_0 "), last):
        if cut % 7 == 0 or cut > last - 9:
            assert not run(text[:cut])[1], text[:cut]
    assert run(text) == (0, True)


@pytest.mark.parametrize(
    ("words", "more", "calls"),
    [
        (_call("told"), {}, True),
        (["sh", "-c", str(FUNCTIONS), "drillbook", "told"], {}, False),
        (["bash", "-c", FUNCTIONS, "drillbook", "told"], {}, False),
        (["sudo", "sh", "-c", FUNCTIONS, "drillbook", "told"], {}, False),
        (["sh", "-c", FUNCTIONS, "drillbook"], {}, False),
        (_call("told", "a" * reading_shell.MOST_WORDS), {}, False),
        (_call("told"), {"stdin": b"a"}, False),
        (_call("told"), {"cwd": "/"}, False),
    ],
)
def test_only_functions_without_input_are_called_in_the_shell(words, more, calls):
    assert calls_function(Order("far", tuple(words), **more)) is calls


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ('test -e "$DISK/made-1"', True),
        ("! test -e /x", True),
        ("test -e /x && grep -q 'a b; rm' ${Y} || false", True),
        ("df -P / 2>/dev/null | tail -1; true", True),
        ("grep -c a /x 2>&1|head -1", True),
        ("systemctl is-active nginx >/dev/null 2>&1", True),
        ("true", True),
        ("systemctl stop nginx", False),
        ("test -e /x; rm y", False),
        ("test -e /x&&rm y", False),
        ("test -e /x\nrm y", False),
        ("cat /x &", False),
        ("cat /x & true", False),
        ("cat /x > /y", False),
        ("cat /x >/dev/null2", False),
        ("cat < /x", False),
        ("cat /x >\r/dev/null", False),
        ("cat /x >\xa0/dev/null", False),
        ("cat /x >\n/dev/null", False),
        ("cat /proc/$X/fd/0", False),
        ("cat $PPID", False),
        ("ls /dev/fd", False),
        ("cat $(touch /x)", False),
        ("cat `touch /x`", False),
        ('cat "$(touch /x)"', False),
        ("(cat /x)", False),
        ("a=b cat /x", False),
        ("if true; then cat /x; fi", False),
        ("cat /x &&", False),
        ("'cat' /x", False),
        ("", False),
    ],
)
def test_a_script_of_reading_commands_is_read_in_the_shell(text, reads):
    assert reads_by_script(Order("far", ("sh", "-c", text))) is reads
    assert reads_by_script(Order("far", fence(("sh", "-c", text), "/lock", 1))) is reads
    assert not reads_by_script(Order("far", ("sudo", "sh", "-c", text)))
    assert not reads_by_script(Order("far", ("sh", "-c", text), stdin=b"a"))


def test_scripts_and_fences_give_the_same_in_the_shell_as_on_a_channel_of_their_own(host, tmp_path, monkeypatch):
    (tmp_path / "lock").mkdir()
    (tmp_path / "lock" / "2").touch()
    (tmp_path / "file").write_text("a b\nc\n")
    scripts = [f'grep -c a "{tmp_path}/file" | cat', f"test -e {tmp_path}/none || ls {tmp_path}/none", "cat $1 $2"]
    orders = [["sh", "-c", text, "sh", f"{tmp_path}/file"] for text in scripts]
    orders += [list(fence(argv, str(tmp_path / "lock"), token)) for argv in orders for token in (1, 2)]
    host.run(["true"], deadline=soon()).check()
    pid, before = _shell(host).pid, _asked_for(host)
    one = [_told(host.run(argv, deadline=soon())) for argv in orders]
    assert (_shell(host).pid, _asked_for(host)) == (pid, before)
    monkeypatch.setattr("drillbook.hosts.ssh.host.reads_by_script", lambda order: False)
    assert one == [_told(host.run(argv, deadline=soon())) for argv in orders]
    assert {status for status, *_ in one} == {0, 1, 2, 97} or {status for status, *_ in one} == {0, 2, 97}


@pytest.mark.parametrize("end", ["$(", "\\", "`"])
@pytest.mark.parametrize("text", ['psql -c "{}', "tar c {}", 'cat a"{}"', "cat {}"])
def test_a_text_with_many_variables_is_refused_at_once(text, end):
    """With quantifiers that try all divisions of a text, eight variables would block the controller for minutes."""
    words = ("sh", "-c", text.format("$DATABASE_NAME/${DATABASE_USER}" * 200 + end))
    assert len(words[2]) < reading_shell.MOST_WORDS
    assert not reads_by_script(Order("far", words))

"""Failures that only occur behind SSH."""

import io
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fabric
import pytest

from drillbook.errors import (
    AuthenticationFailed,
    Cancelled,
    CommandTimedOut,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    UsageError,
)
from drillbook.hosts import open_host
from drillbook.hosts.capture import Capture, MarkedCapture
from drillbook.hosts.ssh import connecting as link
from drillbook.hosts.ssh import files, opening
from drillbook.hosts.ssh.channel import Exec
from drillbook.hosts.ssh.host import SshHost
from drillbook.hosts.ssh.session import Ending, open_session
from drillbook.hosts.ssh.transport import close_channel
from drillbook.sdk.host import Target
from tests.hosts.servers import AsyncSsh, OpenSsh, Relay, descendants, new_key
from tests.hosts.suite import Programs, soon, threads_left
from tests.waiting import nothing_happens_for, until


@pytest.fixture
def opened():
    """Function that creates hosts, which are closed at the end."""
    hosts = []

    def make(target, targets=None, **options):
        hosts.append(open_host(target, targets=targets or {}, **options))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()
    assert not threads_left(12)  # connecting to a host that hangs goes on for its 10 s


@pytest.fixture(params=["openssh", "asyncssh_server"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=[OpenSsh, AsyncSsh])
def own_server(request, tmp_path):
    """Server that the test may kill."""
    folder = tmp_path / "server"
    folder.mkdir()
    one = request.param(folder).start()
    yield one
    one.stop()


def fingerprint(key):
    return subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]


def fails(host, kind):
    with pytest.raises(kind) as caught:
        host.run(["true"], deadline=soon())
    assert caught.value.host == host.name
    assert caught.value.__cause__ is None
    return caught.value


def test_unknown_host_key_and_the_command_that_records_it(server, opened, tmp_path):
    known = tmp_path / "known hosts"
    target = server.target(known_hosts=str(known))
    error = fails(opened(target), HostKeyUnknown)
    assert "ssh-ed25519" in str(error)
    assert fingerprint(server.host_key) in error.message
    command = error.hint[error.hint.index("ssh-keyscan") :]
    assert command == f"ssh-keyscan -p {server.port} 127.0.0.1 >> '{known}'"
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert opened(target).run(["true"], deadline=soon()).ok


def test_changed_host_key_names_the_line(server, opened, tmp_path):
    other = new_key(tmp_path / "other")
    known = tmp_path / "known"
    known.write_text(
        f"# one\nelsewhere {server.host_key.with_suffix('.pub').read_text()}"
        f"[127.0.0.1]:{server.port} {other.with_suffix('.pub').read_text()}"
    )
    error = fails(opened(server.target(known_hosts=str(known))), HostKeyChanged)
    assert f"{known}:3 " in error.message
    assert fingerprint(other) in error.message
    assert fingerprint(server.host_key) in error.message
    subprocess.run(error.hint[error.hint.index("ssh-keygen") :], shell=True, check=True, capture_output=True)
    assert "127.0.0.1" not in known.read_text()


def test_changed_host_key_in_a_hashed_file(openssh, opened, tmp_path):
    other, known = new_key(tmp_path / "other"), tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{openssh.port} {other.with_suffix('.pub').read_text()}")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
    assert f"{known}:1 " in fails(opened(openssh.target(known_hosts=str(known))), HostKeyChanged).message


def reached(openssh, opened, known):
    return opened(openssh.target(known_hosts=str(known)))


@pytest.fixture
def patient(tmp_path):
    """Separate server of the test, because sshd refuses an address after several connections without a login."""
    folder = tmp_path / "server"
    folder.mkdir()
    one = OpenSsh(folder).start()
    yield one
    one.stop()


def test_known_hosts_as_ssh_reads_them(patient, opened, tmp_path):
    """Each form of a known_hosts entry is read as OpenSSH reads it; the test compares with OpenSSH."""
    key, port, known = patient.host_key.with_suffix(".pub").read_text(), patient.port, tmp_path / "known"
    other = new_key(tmp_path / "other").with_suffix(".pub").read_text()
    for number, (text, good) in enumerate(
        [
            (f"[127.0.0.*]:{port} {key}", True),
            (f"[127.0.0.?]:{port},elsewhere {key}", True),
            (f"* {key}", True),
            (f"127.0.0.1 {key}", True),
            (f"*,![127.0.0.1]:{port} {key}", True),
            (f"*,!127.* {key}", True),
            (f"*,![127.0.0.1]:{port},!127.0.0.1 {key}", False),
            (f"[127.0.0.1]:1 {key}", False),
            (f"@revoked * {key}[127.0.0.1]:{port} {key}", False),
            (f"@revoked * {other}[127.0.0.1]:{port} {key}", True),
            (f"@cert-authority * {key}", False),
            (f"nonsense\n\n# * {key}\n[127.0.0.1]:{port} {key}", True),
        ]
    ):
        known.write_text(text)
        ssh = subprocess.run(
            [
                "ssh",
                "-F",
                "/dev/null",
                "-o",
                "BatchMode=yes",
                "-o",
                f"UserKnownHostsFile={known}",
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "GlobalKnownHostsFile=/dev/null",
                "-o",
                "HostKeyAlgorithms=ssh-ed25519",
                "-i",
                str(patient.client_key),
                "-p",
                str(port),
                f"{patient.user}@127.0.0.1",
                "true",
            ],
            capture_output=True,
            check=False,
        )
        assert (ssh.returncode == 0) is good, (number, ssh.stderr)
        if good:
            assert reached(patient, opened, known).run(["true"], deadline=soon()).ok, number
        else:
            error = fails(reached(patient, opened, known), HostKeyChanged if text.startswith("@revoked") else HostKeyUnknown)
            assert ("which is revoked in" in error.message) is text.startswith("@revoked")
            assert ("@cert-authority" in error.message) is text.startswith("@cert")


def test_host_key_alias(patient, opened, tmp_path):
    known, config = tmp_path / "known", alias(patient, tmp_path / "ssh" / "config")
    config.write_text(config.read_text().replace(str(patient.known_hosts), str(known)) + "  HostKeyAlias the-database\n")
    error = fails(opened(Target(name="db"), ssh_config=str(config)), HostKeyUnknown)
    subprocess.run(error.hint[error.hint.index("ssh-keyscan") :], shell=True, check=True, capture_output=True)
    assert known.read_text().startswith("the-database ")
    assert opened(Target(name="db"), ssh_config=str(config)).run(["true"], deadline=soon()).ok
    known.write_text(f"the-database {new_key(tmp_path / 'other').with_suffix('.pub').read_text()}")
    assert "-R the-database" in fails(opened(Target(name="db"), ssh_config=str(config)), HostKeyChanged).hint


def test_wrong_key(server, opened, tmp_path):
    key = new_key(tmp_path / "stranger")
    error = fails(opened(server.target(identity=str(key))), AuthenticationFailed)
    assert server.user in error.message
    assert str(key) in error.message
    assert "authorized_keys" in error.hint


def test_no_key_at_all(server, opened, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert "no key is available" in fails(opened(server.target(identity="")), AuthenticationFailed).message


def test_refused_port(opened, unused_port):
    error = fails(opened(Target(name="gone", address="127.0.0.1", port=unused_port)), HostUnreachable)
    assert f"127.0.0.1:{unused_port}" in error.message
    assert "refused" in error.message


def test_name_that_is_not_known(opened):
    assert "no.such.host.invalid" in fails(opened(Target(name="x", address="no.such.host.invalid")), HostUnreachable).message


def test_something_that_is_not_ssh(opened, echo_server):
    error = fails(opened(Target(name="web", address="127.0.0.1", port=echo_server)), HostUnreachable)
    assert f"127.0.0.1:{echo_server}" in error.message


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_server_that_closes_the_connection_at_once(opened, reset):
    """sshd does so beyond MaxStartups, and for machines that its access rules refuse."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            connection, _ = server.accept()
            connection.recv(1)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        port = server.getsockname()[1]
        error = fails(opened(Target(name="db", address="127.0.0.1", port=port)), HostUnreachable)
        thread.join()
    place = f"127.0.0.1:{port}"
    assert (
        error.message
        == f"db: no SSH connection to {place}: the server closed the connection before it sent the first line of an SSH server"
    )
    assert error.hint.startswith("read the log of sshd on the host: MaxStartups, PerSourcePenalties or access rules")
    assert "hosts.db.port" in error.hint


def test_a_server_that_says_nothing(opened, monkeypatch):
    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        error = fails(opened(Target(name="db", address="127.0.0.1", port=port)), HostUnreachable)
    assert error.message.endswith("the server accepted the connection, but sent no first line of an SSH server within 0.5 s")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.write_text("garbage"), "is not a usable private key"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: new_key(path, passphrase="secret"), "needs a passphrase"),
    ],
)
def test_identity_that_is_of_no_use(openssh, opened, tmp_path, make, words):
    make(tmp_path / "identity")
    error = fails(opened(openssh.target(identity=str(tmp_path / "identity"))), HostError)
    assert words in error.message
    assert str(tmp_path / "identity") in error.message
    assert error.hint


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_key(openssh, opened, tmp_path, kind):
    key = new_key(tmp_path / "key", kind=kind)
    authorized = openssh.folder / "authorized_keys"
    before = authorized.read_text()
    authorized.write_text(before + key.with_suffix(".pub").read_text())
    try:
        assert opened(openssh.target(identity=str(key))).run(["true"], deadline=soon()).ok
    finally:
        authorized.write_text(before)


def alias(server, path):
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"Host db\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.user}\n"
        f"  IdentityFile {server.client_key}\n  UserKnownHostsFile {server.known_hosts}\n"
    )
    return path


def test_alias_of_a_configuration_file(server, opened, tmp_path):
    config = alias(server, tmp_path / "ssh" / "config")
    assert opened(Target(name="db"), ssh_config=str(config)).run(["true"], deadline=soon()).ok
    assert opened(Target(name="first", address="db"), ssh_config=str(config)).run(["true"], deadline=soon()).ok


def test_alias_of_the_home(server, opened, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    alias(server, tmp_path / ".ssh" / "config")
    assert opened(Target(name="db")).run(["true"], deadline=soon()).ok


def test_opening_leaves_the_configuration_that_all_threads_share(server, opened, monkeypatch):
    """Each write truncates the file for a moment, in which other connections find no entry."""
    merged = []
    link.shared_config()

    def merge(config):
        merged.append(config)

    monkeypatch.setattr(fabric.Config, "merge", merge)
    opened(server.target()).run(["true"], deadline=soon()).check()
    assert merged == []


def test_configuration_that_is_missing(opened, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        opened(Target(name="db"), ssh_config=str(tmp_path / "missing"))


def test_gateway(server, opened, openssh, tmp_path):
    """Connections through the server to an sshd; hosts share the connection to the gateway, which closes with the
    last of them.
    """
    jump, targets = server.target("jump"), {}
    targets |= {"jump": jump, "a": openssh.target("a", gateway="jump"), "b": openssh.target("b", gateway="jump")}
    a, b = opened(targets["a"], targets), opened(targets["b"], targets)
    assert a.run(["echo", "a"], deadline=soon()).text == "a"
    assert b.run(["echo", "b"], deadline=soon()).text == "b"
    assert a._gateway is b._gateway
    through = a._gateway.host.link(soon())
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(b.run, ["sh", "-c", 'touch "$0"; sleep 1; echo done', str(tmp_path / "runs")], deadline=soon())
        until((tmp_path / "runs").exists)
        a.close()
        assert running.result().text == "done"
    assert through.alive
    b.close()
    assert not through.alive
    again = opened(targets["a"], targets)
    assert again.run(["true"], deadline=soon()).ok
    assert again._gateway is not a._gateway


def test_a_channel_of_a_lost_connection_is_closed_without_an_error(server, opened, monkeypatch):
    """An error of closing a channel would replace the result of the command, or end the thread that kills it."""

    def broken(data):
        raise EOFError

    link = opened(server.target()).link(soon())
    channel = open_session(link, soon(), host="far")
    with monkeypatch.context() as patch:
        patch.setattr(link.transport.packetizer, "write_all", broken)
        close_channel(channel)
    assert channel.closed


def test_gateway_verifies_the_inner_host_key(openssh, server, opened, tmp_path):
    targets = {"jump": server.target("jump"), "a": openssh.target("a", gateway="jump", known_hosts=str(tmp_path / "none"))}
    fails(opened(targets["a"], targets), HostKeyUnknown)


def test_gateway_that_cannot_reach(server, opened, unused_port):
    targets = {"jump": server.target("jump"), "a": Target(name="a", address="127.0.0.1", port=unused_port, gateway="jump")}
    error = fails(opened(targets["a"], targets), HostUnreachable)
    assert "through its gateway" in error.message


def test_gateway_that_is_gone(openssh, opened, unused_port):
    targets = {"jump": Target(name="jump", address="127.0.0.1", port=unused_port), "a": openssh.target("a", gateway="jump")}
    with pytest.raises(HostUnreachable, match="jump: cannot connect"):
        opened(targets["a"], targets).run(["true"], deadline=soon())


def test_gateways_that_make_no_sense():
    a, b = Target(name="a", gateway="b"), Target(name="b", gateway="a")
    for target, targets, words in (
        (a, {"a": a, "b": b}, "cycle"),
        (a, {}, "not a host"),
        (a, {"b": Target(name="b", local=True)}, "this machine"),
    ):
        with pytest.raises(UsageError, match=words):
            open_host(target, targets=targets)


def test_proxy_jump_of_the_configuration_is_verified(openssh, server, opened, tmp_path):
    config = alias(server, tmp_path / "ssh" / "config")
    inner = (
        f"Host inner\n  HostName 127.0.0.1\n  Port {openssh.port}\n  User {openssh.user}\n  ProxyJump db\n"
        f"  IdentityFile {openssh.client_key}\n  UserKnownHostsFile {openssh.known_hosts}\n"
    )
    config.write_text(config.read_text() + inner)
    host = opened(Target(name="inner"), ssh_config=str(config))
    assert host.run(["true"], deadline=soon()).ok
    assert host._gateway.host.name == "db"
    strict = tmp_path / "strict"
    strict.write_text(config.read_text().replace(str(server.known_hosts), str(tmp_path / "none")))
    with pytest.raises(HostKeyUnknown, match="db: "):
        opened(Target(name="inner"), ssh_config=str(strict)).run(["true"], deadline=soon())


def test_lost_in_flight_and_connected_again(own_server, opened):
    host = opened(own_server.target())
    assert host.run(["true"], deadline=soon()).ok
    timer = threading.Timer(0.5, own_server.stop)
    timer.start()
    with pytest.raises(HostUnreachable, match="the connection was lost"):
        host.run(["sleep", "60"], deadline=soon())
    timer.join()
    with pytest.raises(HostUnreachable, match="cannot connect"):
        host.run(["true"], deadline=soon())
    own_server.start()
    assert host.run(["true"], deadline=soon()).ok
    host.put(b"x", str(own_server.folder / "file"))


def test_a_way_that_is_cut_and_opened_again(openssh, opened, tmp_path):
    """The running command fails with an error; the next command opens a new connection, within its deadline."""
    relay, path = Relay(openssh.port), str(tmp_path / "file")
    known = tmp_path / "known"
    known.write_text(f"* {openssh.host_key.with_suffix('.pub').read_text()}")
    host = opened(openssh.target(port=relay.port, known_hosts=str(known)))
    relay.open()
    try:
        for use in (lambda: host.run(["true"], deadline=soon()), lambda: host.put(b"x", path), lambda: host.get(path)):
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(host.run, ["sh", "-c", f"echo begun > {path}.begun; sleep 60"], deadline=soon())
                until = time.monotonic() + 20
                while not Path(f"{path}.begun").exists() and time.monotonic() < until:
                    time.sleep(0.02)
                relay.cut()
                with pytest.raises(HostUnreachable, match="the connection was lost"):
                    running.result()
            with pytest.raises(HostUnreachable, match="cannot connect"):
                host.run(["true"], deadline=soon())
            Path(f"{path}.begun").unlink()
            relay.open()
            use()
    finally:
        relay.cut()


def test_a_host_that_hangs_does_not_keep_files_waiting(own_server, opened, monkeypatch):
    """Writing and reading a file has a separate deadline, so that one hanging host does not block the revert of others."""
    monkeypatch.setattr(files, "SECONDS", 1.0)
    host, path = opened(own_server.target()), str(own_server.folder / "file")
    host.put(b"x", path)
    pids = [own_server._process.pid, *descendants(own_server._process.pid, "sshd")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for use in (lambda: host.put(b"y", path), lambda: host.get(path, limit=10)):
            with pytest.raises(HostError):
                use()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    host.put(b"z", path)
    assert host.get(path) == b"z"


def test_killed_while_idle_is_not_noticed(own_server, opened):
    host = opened(own_server.target())
    path = str(own_server.folder / "file")
    for use in (lambda: host.run(["true"], deadline=soon()), lambda: host.put(b"x", path), lambda: host.get(path)):
        use()
        own_server.stop()
        own_server.start()
        use()


def test_one_connection_for_everything(own_server, opened):
    host = opened(own_server.target())
    with ThreadPoolExecutor(8) as pool:
        assert all(done.ok for done in pool.map(lambda _: host.run(["true"], deadline=soon()), range(40)))
    host.put(b"", str(own_server.folder / "file"))
    with host.forward("127.0.0.1", own_server.port):
        pass
    host.open()
    established = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()]
    assert len([1 for _, peer, state in established if peer.endswith(f":{own_server.port:04X}") and state == "01"]) == 1


@pytest.mark.parametrize("stdin", [b"", bytes(32 << 20)], ids=["idle", "writing"])
def test_host_that_hangs(own_server, opened, stdin):
    """Deadline and stop flag take effect even if the host answers nothing."""
    host = opened(own_server.target())
    host.run(["true"], deadline=soon())
    server = own_server._process.pid
    pids = [server, *descendants(server, "sshd")]
    timer = threading.Timer(0.3, lambda: [os.kill(pid, signal.SIGSTOP) for pid in pids])
    timer.start()
    started = time.monotonic()
    try:
        with pytest.raises(CommandTimedOut, match="could not be killed"):
            host.run(["sleep", "300"], stdin=stdin, deadline=soon(1))
        assert time.monotonic() - started < 300, "before the command would end by itself"
        deadline = soon()
        threading.Timer(0.2, deadline.cancel.set).start()
        with pytest.raises(Cancelled):
            host.run(["true"], deadline=deadline)
    finally:
        timer.join()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_sink_gets_each_line_when_it_arrives(openssh, opened):
    """Durations of script stages depend on the arrival of their lines, so that lines must not be delayed."""

    class Pieces(io.BytesIO):
        count = 0

        def write(self, data):
            self.count += 1
            return super().write(data)

    sink = Pieces()
    script = "for number in 1 2 3 4 5 6 7 8 9 10; do echo $number; sleep 0.05; done"
    opened(openssh.target()).run(("sh", "-c", script), sink=sink, deadline=soon()).check()
    assert sink.count > 5, "together they take 0.5 s, which are three ticks"


def test_a_small_piece_reaches_the_sink_when_it_arrives(openssh, opened, monkeypatch, tmp_path):
    """Paramiko notifies waiting threads before it adds the data, so that the amount of data is not known then."""
    monkeypatch.setattr("drillbook.hosts.ssh.channel.TICK", 30.0)
    fifo, arrived, in_time = tmp_path / "fifo", threading.Semaphore(0), []
    os.mkfifo(fifo)

    class Pieces(io.BytesIO):
        def write(self, data):
            arrived.release()
            return super().write(data)

    def let_it_go_on():
        for _ in range(2):
            in_time.append(arrived.acquire(timeout=10))
            fifo.write_text("go on")

    thread = threading.Thread(target=let_it_go_on)
    thread.start()
    script = 'echo one; cat "$1" >/dev/null; echo two; cat "$1" >/dev/null'
    opened(openssh.target()).run(("sh", "-c", script, "sh", str(fifo)), sink=Pieces(), deadline=soon(90)).check()
    thread.join()
    assert in_time == [True, True]


def test_a_sink_that_fails_before_the_process_id_is_known(openssh, opened):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    host, tag = opened(openssh.target()), str(uuid.uuid4().int)[:12]
    link = host.link(soon())
    line = f"echo out; sleep 0.5; echo more; echo mark-$$ >&2; exec sleep 300.{tag}".encode()
    process = Exec(open_session(link, soon(), host="far"), line, b"", Capture(0, Full()), MarkedCapture(100, "mark-"))
    with pytest.raises(OSError, match="No space"):
        while process.step(5) is None:
            pass
    assert process.pid is None
    assert Ending(host._keeper, process, host="far", sudo=False).run() == ""
    process.close()
    assert not Programs(host).there(tag)


def test_flag_ends_the_wait_for_a_channel(own_server, opened, monkeypatch):
    monkeypatch.setattr(opening, "FRESH_S", 0.0)  # as when the server does not answer for a while
    host = opened(own_server.target())
    host.run(["true"], deadline=soon())
    pids = [own_server._process.pid, *descendants(own_server._process.pid, "sshd")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        deadline = soon()
        timer = threading.Timer(0.3, deadline.cancel.set)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Cancelled, match="had not started"):
            host.run(["true"], deadline=deadline)
        assert time.monotonic() - started > 0.2
        timer.join()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert host.run(["true"], deadline=soon()).ok


def test_server_that_allows_few_channels(tmp_path, opened):
    server = OpenSsh(tmp_path)
    server.extra += "MaxSessions 2\n"
    server.start()
    try:
        host = opened(server.target())
        with ThreadPoolExecutor(8) as pool:
            assert all(done.ok for done in pool.map(lambda _: host.run(["sleep", "0.1"], deadline=soon()), range(16)))
    finally:
        server.stop()


def test_login_shell_that_knows_no_posix(openssh, opened):
    host = opened(openssh.target())
    host.link(soon()).shell = "fish"
    assert host.run(["echo", "a b"], deadline=soon()).text == "a b"


def test_server_without_sftp(tmp_path, opened):
    server = OpenSsh(tmp_path)
    server.extra = "Subsystem nothing /bin/false\n"
    config = server.command
    server.command = lambda: [word for word in config() if strip_sftp(server.folder / "sshd_config")]
    server.start()
    try:
        host, path = opened(server.target()), str(tmp_path / "a file")
        data = os.urandom(2_000_000)
        host.put(data, path, mode=0o640)
        assert Path(path).stat().st_mode & 0o777 == 0o640
        assert host.get(path, limit=len(data)) == data
        assert host.get(path, limit=5) == data[:5]
        with pytest.raises(FileNotFoundError):
            host.get(path + "x")
        with pytest.raises(HostError, match="folder"):
            host.put(b"", str(tmp_path))
    finally:
        server.stop()


def strip_sftp(config):
    config.write_text(re.sub(r"Subsystem sftp.*\n", "", config.read_text()))
    return True


def test_a_line_that_is_too_long(openssh, opened):
    with pytest.raises(HostError, match="standard input"):
        opened(openssh.target()).run(["true", "x" * 200_000], deadline=soon())


def test_a_file_that_has_no_size(openssh, opened):
    assert b"Linux" in opened(openssh.target()).get("/proc/version")


def test_commands_that_end_before_their_input_do_not_harm_others(openssh, opened):
    """A packet for a channel that the server has forgotten would end the connection, and the long command with it."""
    host = opened(openssh.target())
    with ThreadPoolExecutor(8) as pool:
        long = pool.submit(host.run, ["sh", "-c", "sleep 6; echo done"], deadline=soon(60))
        until = time.monotonic() + 5
        while time.monotonic() < until:
            done = list(pool.map(lambda _: host.run(["true"], stdin=bytes(300_000), deadline=soon()), range(14)))
            assert all(one.ok for one in done)
        assert long.result().text == "done"


def test_commands_end_while_keys_are_exchanged(openssh, opened):
    """New keys are exchanged after every half gigabyte: a command that ends during the exchange must not wait for
    itself.
    """
    host = opened(openssh.target())
    transport = host.link(soon()).transport
    exchanges = []
    send = transport._send_kex_init
    transport._send_kex_init = lambda: (exchanges.append(1), send())
    transport.packetizer.REKEY_BYTES = 1_000_000
    with ThreadPoolExecutor(8) as pool:
        for number in range(60):  # how much of the input is sent before a command ends differs
            if number >= 6 and len(exchanges) > 10:
                break
            assert all(
                one.ok for one in pool.map(lambda _: host.run(["true"], stdin=bytes(300_000), deadline=soon()), range(14))
            )
    assert len(exchanges) > 10
    assert host.link(soon()).transport is transport


def test_a_command_that_ends_while_its_channel_is_being_looked_at_has_its_status(openssh, opened, monkeypatch):
    """On a busy machine, the reading thread may pause between two looks until all data has arrived."""
    drain, waited = Exec._drain, []

    def preempted(self):
        if drain(self):
            return True
        until = time.monotonic() + 5
        while not self._channel.closed and time.monotonic() < until:
            time.sleep(0.01)
        waited.append(self._channel.closed)
        return False

    host = opened(openssh.target())
    assert host.run(["true"], deadline=soon()).ok
    monkeypatch.setattr(Exec, "_drain", preempted)
    output = host.run(["sh", "-c", "sleep 0.5; echo said; exit 3"], deadline=soon())
    assert (output.text, output.exit) == ("said", 3)
    assert waited[0] is True, "it ended between the two looks"


def test_output_that_cannot_be_read_for_a_while_is_not_left_out(openssh, opened, tmp_path):
    """A sender may lock a connection for longer than a reader waits, for example during a key exchange."""
    host = opened(openssh.target())
    gate = host.link(soon()).transport.gate
    with ThreadPoolExecutor(1) as pool:
        command = 'touch "$0"; sleep 0.3; echo said'
        running = pool.submit(host.run, ["sh", "-c", command, str(tmp_path / "runs")], deadline=soon())
        until((tmp_path / "runs").exists)
        with gate:
            nothing_happens_for(3, running.done)
        output = running.result()
    assert (output.text, output.exit) == ("said", 0)


def test_cancelled_while_all_channels_are_taken(openssh, opened, tmp_path):
    host = opened(openssh.target())
    host.open()
    with ThreadPoolExecutor(8) as pool:
        marks = [tmp_path / str(number) for number in range(8)]
        nap = 'touch "$0"; sleep 8'
        naps = [pool.submit(host.run, ["sh", "-c", nap, str(mark)], deadline=soon()) for mark in marks]
        until(lambda: all(mark.exists() for mark in marks))
        with pytest.raises(CommandTimedOut, match="had not started"):
            host.run(["true"], deadline=soon(0.3))
        assert not any(nap.done() for nap in naps)
        assert all(nap.result().ok for nap in naps)


def test_memory_stays_flat(openssh, opened):
    class Null:
        size = 0

        def write(self, data):
            assert len(data) <= 256 * 1024
            self.size += len(data)

    host, sink = opened(openssh.target()), Null()
    host.run(Programs(host).floods(1 << 20), deadline=soon(), sink=Null())
    before = peak()
    host.run(Programs(host).floods(200 << 20), deadline=soon(120), sink=sink)
    host.run(Programs(host).floods(200 << 20), deadline=soon(120))
    assert sink.size == 200 << 20
    assert peak() - before < 30_000


def peak():
    """Peak memory of this process in KiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def test_nothing_is_connected_before_it_is_used(unused_port):
    SshHost(Target(name="x", address="127.0.0.1", port=unused_port)).close()

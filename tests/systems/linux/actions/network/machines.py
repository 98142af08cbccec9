"""Three machines in networks of their own: the controller, the target with its sshd, and a peer with a server.

The controller is this thread. The network of the machine itself is not changed: the thread leaves it during a test.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from drillbook.errors import HostError, NotReady, StepFailed
from drillbook.hosts.ssh.host import SshHost
from drillbook.sdk.action import Context, find
from drillbook.sdk.host import Deadline
from tests.hosts.servers import OpenSsh, descendants
from tests.needs import need

NEW_NETWORK = 0x40000000


CONTROLLER, TARGET, TARGET_INSIDE, PEER = "10.99.1.1", "10.99.1.2", "10.99.2.2", "10.99.2.3"


PORT, OTHER_PORT = 7001, 7002


SERVE = """
import socket, threading
def serve(port):
    listener = socket.create_server(("", port))
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=echo, args=(sock,), daemon=True).start()
def echo(sock):
    while data := sock.recv(1000):
        sock.sendall(data)
for port in (7001, 7002):
    threading.Thread(target=serve, args=(port,), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


TALK = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.settimeout(30)
for line in sys.stdin:
    sock.sendall(b"x")
    print(sock.recv(1) and "echo", flush=True)
"""


LIBC = ctypes.CDLL(None, use_errno=True)


def sh(*argv, stdin=""):
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout


def call(function, *arguments):
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def own_network():
    """Move this thread, and its later threads and processes, into a new network."""
    with Path(f"/proc/self/task/{threading.get_native_id()}/ns/net").open() as home:
        call(LIBC.unshare, NEW_NETWORK)
        try:
            yield
        finally:
            call(LIBC.setns, home.fileno(), NEW_NETWORK)


class Machine:
    """Process in a separate network, with a server in it."""

    def __init__(self):
        self.process = subprocess.Popen([need("unshare"), "-n", sys.executable, "-c", SERVE], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"
        self.enter = [need("nsenter"), "-t", str(self.process.pid), "-n"]
        self.sh("ip", "link", "set", "lo", "up")

    def sh(self, *argv, stdin=""):
        return sh(*self.enter, *argv, stdin=stdin)

    def wire(self, name, address):
        self.sh("ip", "addr", "add", f"{address}/24", "dev", name)
        self.sh("ip", "link", "set", name, "up")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Sshd(OpenSsh):
    """sshd in the target's network."""

    def __init__(self, folder, machine):
        super().__init__(folder)
        self.machine = machine
        self.known_hosts.write_text(f"[{TARGET}]:{self.port} {self.host_key.with_suffix('.pub').read_text()}")

    def start(self):
        command = super().command()
        config = self.folder / "sshd_config"
        config.write_text(config.read_text().replace("127.0.0.1", "0.0.0.0"))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.machine.enter, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def target(self, name="far", **changes):
        return super().target(name, address=TARGET, **changes)


class World:
    """The three machines, and the target for use by an action."""

    def __init__(self, folder):
        self.folder = folder
        self.target, self.peer = Machine(), Machine()
        pid, other = str(self.target.process.pid), str(self.peer.process.pid)
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "c0", "type", "veth", "peer", "name", "t0", "netns", pid)
        sh("ip", "addr", "add", f"{CONTROLLER}/24", "dev", "c0")
        sh("ip", "link", "set", "c0", "up")
        sh("ip", "link", "add", "x0", "type", "veth", "peer", "name", "y0")
        sh("ip", "link", "set", "x0", "netns", pid)
        sh("ip", "link", "set", "y0", "netns", other)
        self.target.wire("t0", TARGET)
        self.target.wire("x0", TARGET_INSIDE)
        self.peer.wire("y0", PEER)
        self.sshd = Sshd(folder, self.target).start()
        self.host = SshHost(self.sshd.target(scratch=str(folder)))
        until = time.monotonic() + 20
        while True:
            try:
                self.host.open()
                break
            except HostError:
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.05)

    def context(self, step="inject.1", run="20260101T000000Z-test-0001", host=None):
        host = host or self.host
        return Context(
            run_id=run,
            step=step,
            host=host,
            services={},
            host_named=lambda name: host,
            deadline=Deadline.after(60),
            folder=self.folder,
        )

    def rules(self):
        """Everything that the target's packet filter and queues contain."""
        texts = [self.target.sh(need(f"{tool}-save")) for tool in ("iptables", "ip6tables")]
        lines = [line for text in texts for line in text.splitlines() if line[0] == "-"]
        tables = self.target.sh(need("nft"), "list", "tables").splitlines()
        return lines + [table for table in tables if " drillbook" in table]

    def connects(self, port=PORT):
        """New connection from the target to the peer: its result in a word."""
        script = 'exec 3<>"/dev/tcp/$0/$1" && echo connects'
        done = subprocess.run(
            [*self.target.enter, "timeout", "2", "bash", "-c", script, PEER, str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or ("refused" if "refused" in done.stderr else "hangs")

    def stop(self):
        self.host.close()
        for pid in descendants(self.sshd._process.pid, "sshd"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.sshd.stop()
        self.target.stop()
        self.peer.stop()


def make(name, **fields):
    return find(f"network.{name}").model_validate(fields)


def carry_out(ctx, undo, times=1):
    for _ in range(times):
        for argv in undo.commands:
            ctx.host.run(argv, deadline=Deadline.after(20)).check()


def can_delay(far):
    add = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    return subprocess.run(["unshare", "-n", *add], capture_output=True, check=False).returncode == 0


class Lowered:
    """The target for an account other than root."""

    def __init__(self, host):
        self.host, self.name, self.target = host, host.name, host.target

    def run(self, argv, **options):
        return self.host.run(["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", *argv], **options)


NOWHERE = "198.51.100.7"


TO_PEER = {"peer": PEER, "peer_port": PORT}


# TOOL...: hide the programs from a command in a view of the files of its own.
HIDING = """
while test "$1" != --; do
  for folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
    test ! -e "$folder/$1" || mount --bind /dev/null "$folder/$1" || exit 99
  done
  shift
done
shift
exec "$@"
"""


class Lacking(Lowered):
    """The target without some programs."""

    def __init__(self, host, *programs):
        super().__init__(host)
        self.hidden = ["unshare", "-m", "sh", "-c", HIDING, "sh", *programs, "--"]

    def run(self, argv, **options):
        return self.host.run([*self.hidden, *argv], **options)


class Refusing(Lowered):
    """The target with a packet filter whose kernel lacks a module, with the message of `iptables-restore`."""

    def __init__(self, host, folder):
        super().__init__(host)
        tool = folder / "iptables-restore"
        tool.write_text("#!/bin/sh\necho 'iptables-restore: Extension comment is not supported' >&2\nexit 2\n")
        tool.chmod(0o755)
        self.path = f"PATH={folder}:{os.environ['PATH']}"

    def run(self, argv, **options):
        return self.host.run(["env", self.path, *argv], **options)


class Kernel(Lowered):
    """The target with a `tc` that answers the rehearsal like a kernel with or without netem."""

    def __init__(self, host, folder, *, netem):
        super().__init__(host)
        answer = "exit 0" if netem else "echo 'Error: Specified qdisc kind is unknown.' >&2; exit 2"
        (tool := folder / "tc").write_text(
            f'#!/bin/sh\ncase "$*" in *"add dev lo "*) {answer} ;; esac\nexec {shutil.which("tc")} "$@"\n'
        )
        tool.chmod(0o755)
        self.path = f"PATH={folder}:{os.environ['PATH']}"

    def run(self, argv, **options):
        return self.host.run(["env", self.path, *argv], **options)


class Confined(Lowered):
    """The target like a container: without new namespaces, and with a `modprobe` that knows all modules of the
    kernel, or none.
    """

    def __init__(self, host, folder, *, modules):
        super().__init__(host)
        for name, answer in {"unshare": "exit 1", "modprobe": "exit 0" if modules else "exit 1"}.items():
            (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
            (folder / name).chmod(0o755)
        self.path = f"PATH={folder}:{os.environ['PATH']}"

    def run(self, argv, **options):
        return self.host.run(["env", self.path, *argv], **options)


class Unnamed(Lowered):
    """The target behind an SSH server that does not report the client's address."""

    def run(self, argv, **options):
        if "SSH_CONNECTION" in " ".join(argv):
            argv = ["sh", "-c", "printf unknown"]
        return self.host.run(argv, **options)


class Delaying(Lowered):
    """The target with a `tc` that claims that the kernel can delay packets, whether it can or not."""

    def __init__(self, host, folder):
        super().__init__(host)
        tool = folder / "tc"
        tool.write_text('#!/bin/sh\ncase "$*" in "qdisc show"*) PATH=/usr/sbin:/sbin:$PATH exec /sbin/tc "$@";; esac\n')
        tool.chmod(0o755)
        self.path = f"PATH={folder}:{os.environ['PATH']}"

    def run(self, argv, **options):
        return self.host.run(["env", self.path, *argv], **options)


def refused_without_netem(far):
    """On a kernel without sch_netem: the fault is refused before the drill; an injection fails, and leaves nothing."""
    fault, ctx = make("delay", peer=PEER, peer_port=PORT, by="300ms"), far.context()
    with pytest.raises(NotReady, match="its kernel cannot delay packets: ") as failure:
        fault.ready(ctx)
    assert "load the modules sch_netem and sch_prio, or use `relay.delay`" in failure.value.hint
    try:
        with pytest.raises(StepFailed, match=r"tc rejects the delay: .*qdisc"):
            fault.inject(ctx)
        assert fault.active(ctx) is False
    finally:
        carry_out(ctx, fault.undo(ctx), 2)
    assert "noqueue 0:" in far.target.sh("tc", "qdisc", "show", "dev", "x0")

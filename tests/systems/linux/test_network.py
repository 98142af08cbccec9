"""network.* with a real sshd in a separate network, whose packet filter may break.

Three networks, as of three machines: of the controller (this thread), of the target with its sshd, and of the peer
with a server. The network of the machine itself is not changed: the thread leaves it during a test.
"""

import contextlib
import ctypes
import dataclasses
import os
import select
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from drillbook.cli.orchestration import Orchestrator
from drillbook.errors import CommandFailed, CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.hosts.ssh.host import SshHost
from drillbook.inventory import inventory
from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.sdk.action import Context, find
from drillbook.sdk.host import Deadline
from drillbook.systems.linux.actions.net import Filters
from drillbook.systems.linux.actions.network.faults.shaping import major_of
from drillbook.systems.linux.actions.network.opening import own_queues
from drillbook.systems.linux.service import Relay
from drillbook.systems.redis.service import Redis
from tests.examples import replaced
from tests.hosts.servers import OpenSsh, descendants
from tests.needs import need
from tests.waiting import nothing_happens_for

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


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    for tool in ("iptables", "ip6tables", "nft", "tc", "ip", "unshare", "nsenter", "sshd", "bash", "timeout"):
        need(tool)
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], check=False).returncode != 0:
        pytest.skip("only root may make networks")
    with own_network():
        made = World(tmp_path_factory.mktemp("world"))
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
def far(world):
    """The machines, with a foreign rule in the packet filter that must survive everything."""
    foreign = ["-A", "INPUT", "-p", "udp", "-m", "comment", "--comment", "that this step did not set", "-j", "DROP"]
    world.target.sh("iptables", *foreign)
    before = world.rules()
    yield world
    assert world.rules() == before, "something is left, or gone"
    world.target.sh("iptables", "-D", *foreign[1:])
    assert world.connects() == "connects"


def make(name, **fields):
    return find(f"network.{name}").model_validate(fields)


def carry_out(ctx, undo, times=1):
    for _ in range(times):
        for argv in undo.commands:
            ctx.host.run(argv, deadline=Deadline.after(20)).check()


@pytest.mark.parametrize("tool", ["iptables", "nft"])
@pytest.mark.parametrize(("name", "shown"), [("drop", "hangs"), ("reset", "refused")])
def test_a_fault_is_real_proven_and_undone_exactly(far, tool, name, shown):
    fault, ctx = make(name, peer=PEER, peer_port=PORT, tool=tool), far.context()
    fault.ready(ctx)
    undo = fault.undo(ctx)
    carry_out(ctx, undo, 2)  # before its injection
    assert fault.active(ctx) is False
    try:
        facts = fault.inject(ctx)
        assert facts["tool"] == tool
        assert (facts["exempt"], facts["shown_by"]) == (CONTROLLER, "connection")
        assert fault.active(ctx) is True
        assert (far.connects(), far.connects(OTHER_PORT)) == (shown, "connects")
        assert any(ctx.run_id in line for line in far.rules()) or tool == "nft"
        assert fault.inject(ctx) == facts, "a second attempt finds its own"
    finally:
        carry_out(ctx, undo, 2)
    assert fault.active(ctx) is False


def answers(stream):
    """Return True when there is something to read."""
    return bool(select.select([stream], [], [], 0)[0])


def test_connections_that_are_there_already_hang_or_are_reset(far):
    for name, wanted in (("drop", "echo\n"), ("reset", "")):
        fault, ctx = make(name, peer=PEER, peer_port=PORT), far.context()
        client = subprocess.Popen(
            [*far.target.enter, sys.executable, "-c", TALK, PEER, str(PORT)],
            text=True,
            bufsize=1,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            client.stdin.write("\n")
            assert client.stdout.readline() == "echo\n"
            fault.inject(ctx)
            client.stdin.write("\n")
            if name == "drop":
                nothing_happens_for(0.5, partial(answers, client.stdout))
                carry_out(ctx, fault.undo(ctx))  # what was sent meanwhile is sent again by TCP
            assert client.stdout.readline() == wanted
        finally:
            carry_out(ctx, fault.undo(ctx))
            client.kill()
            _, said = client.communicate()
        assert name == "drop" or "ConnectionRe" in said


@pytest.mark.parametrize("tool", ["iptables", "nft"])
def test_a_port_of_the_target_is_closed_to_all_but_the_controller(far, tool):
    fault, ctx = make("drop", own_port=PORT, tool=tool), far.context()
    fault.ready(ctx)
    script = 'exec 3<>"/dev/tcp/$0/$1"'
    try:
        assert fault.inject(ctx)["shown_by"] == "rules"
        assert fault.active(ctx) is True
        outcome = subprocess.run(
            [*far.peer.enter, "timeout", "1", "bash", "-c", script, TARGET_INSIDE, str(PORT)],
            capture_output=True,
            check=False,
        )
        assert outcome.returncode == 124
        sh("timeout", "5", "bash", "-c", script, TARGET, str(PORT))
    finally:
        carry_out(ctx, fault.undo(ctx))
    assert fault.active(ctx) is False


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"peer": CONTROLLER}, f"{CONTROLLER}.* includes the controller .*, which would be locked out"),
        ({"peer": "10.99.0.0/16"}, "includes the controller"),
        ({"peer": "0.0.0.0/0", "peer_port": PORT}, "includes the controller"),
        ({}, "traffic is not selected"),
        ({"peer": PEER, "peer_port": 7009}, f"a connection to {PEER}.*, port 7009, refused even before the fault"),
        ({"peer": PEER, "peer_port": PORT, "protocol": "all"}, "cannot be combined with ports"),
    ],
)
def test_what_would_lock_out_or_prove_nothing_is_refused_before(far, fields, why):
    make("drop", peer=PEER, peer_port=PORT).ready(far.context())
    with pytest.raises(NotReady, match=why):
        make("drop", **fields).ready(far.context())


def test_the_ssh_port_and_the_controller_itself_are_refused(far, tmp_path):
    make("reset", own_port=PORT).ready(far.context())
    with pytest.raises(NotReady, match="is the port of its SSH server, which the undo needs"):
        make("reset", own_port=far.sshd.port).ready(far.context())
    make("drop", peer=PEER).ready(far.context())
    with pytest.raises(NotReady, match="is the controller itself, and this fault could cut it off"):
        make("drop", peer=PEER).ready(far.context(host=LocalHost()))


def test_a_whole_peer_is_cut_and_the_ssh_connection_stays(far):
    """Even with the whole network behind it, on every protocol: new sessions to the target can be opened."""
    fault, ctx = make("drop", peer="10.99.2.0/24", protocol="all"), far.context()
    try:
        fault.inject(ctx)
        with contextlib.closing(SshHost(far.sshd.target())) as second:
            assert second.run(["true"], deadline=Deadline.after(20)).ok
        far.peer.sh("timeout", "10", "bash", "-c", 'exec 3<>"/dev/tcp/$0/$1"', TARGET_INSIDE, str(far.sshd.port))
        assert far.connects() == "hangs"
    finally:
        carry_out(ctx, fault.undo(ctx))


def test_a_fault_that_locks_out_after_all_is_taken_back_at_once(far, monkeypatch):
    """A foreign rule refuses new connections at the moment of the fault: the fault is undone."""
    from drillbook.systems.linux.actions.network import lockout

    monkeypatch.setattr(lockout, "PATH_S", 0.5)
    monkeypatch.setattr(lockout, "BANNER_S", 0.5)
    fault, ctx = make("drop", peer=PEER, peer_port=PORT), far.context()
    syn = ["INPUT", "-p", "tcp", "--syn", "--dport", str(far.sshd.port), "-j", "DROP"]
    run = SshHost.run

    def cut(host, argv, **options):
        if "iptables-restore" in " ".join(argv):
            far.target.sh("iptables", "-A", *syn)
        return run(host, argv, **options)

    try:
        monkeypatch.setattr(SshHost, "run", cut)
        with pytest.raises(StepFailed, match="undone at once"):
            fault.inject(ctx)
        assert far.connects() == "connects"
    finally:
        far.target.sh("iptables", "-D", *syn)
    assert fault.active(ctx) is False


def test_without_a_second_path_nothing_is_done(far, monkeypatch):
    from drillbook.systems.linux.actions.network import lockout

    monkeypatch.setattr(lockout, "BANNER_S", 0.5)
    fault, ctx = make("drop", peer=PEER, peer_port=PORT), far.context()
    syn = ["INPUT", "-p", "tcp", "--syn", "--dport", str(far.sshd.port), "-j", "DROP"]
    far.target.sh("iptables", "-A", *syn)
    try:
        with pytest.raises(StepFailed, match="fault was not injected"):
            fault.inject(ctx)
        assert not any("drillbook" in line for line in far.rules())
    finally:
        far.target.sh("iptables", "-D", *syn)


def test_an_undo_without_the_right_fails_instead_of_saying_that_it_is_gone(far):
    fault, ctx = make("drop", peer=PEER, peer_port=PORT), far.context()
    for tool in ("iptables", "nft"):
        argv = make("drop", peer=PEER, peer_port=PORT, tool=tool).undo(ctx).commands[0]
        with pytest.raises(CommandFailed):
            ctx.run("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", *argv).check()
    assert fault.active(ctx) is False


def test_rules_that_somebody_took_apart_are_neither_active_nor_gone(far):
    fault, ctx = make("drop", peer=PEER, peer_port=PORT, tool="iptables"), far.context()
    try:
        name = fault.inject(ctx)["rules"]
        comment = f"drillbook {ctx.run_id} {ctx.step}"
        for hook in ("INPUT", "OUTPUT"):
            far.target.sh(
                "iptables",
                "-D",
                hook,
                "-m",
                "comment",
                "--comment",
                comment,
                "-j",
                f"{name}-{'in' if hook == 'INPUT' else 'out'}",
            )
        with pytest.raises(CouldNotVerify, match="only partly set"):
            fault.active(ctx)
    finally:
        carry_out(ctx, fault.undo(ctx))


def test_a_missing_right_is_told_before(far, monkeypatch):
    """As an account other than root."""
    ctx = far.context()
    run = SshHost.run

    def lowered(host, argv, **options):
        return run(host, ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", *argv], **options)

    monkeypatch.setattr(SshHost, "run", lowered)
    for fault in (make("drop", peer=PEER, peer_port=PORT), make("delay", peer=PEER, by="100ms")):
        with pytest.raises(NotReady, match="CAP_NET_ADMIN"):
            fault.ready(ctx)


def test_a_queue_of_somebody_else_is_refused_and_stays(far):
    need("tc")
    far.target.sh("tc", "qdisc", "add", "dev", "x0", "root", "handle", "77:", "htb", "default", "1")
    try:
        with pytest.raises(NotReady, match=r"did not set: qdisc htb 77:"):
            make("delay", peer=PEER, by="100ms").ready(far.context())
        carry_out(far.context(), make("delay", peer=PEER, by="100ms").undo(far.context()), 2)
        assert "htb 77:" in far.target.sh("tc", "qdisc", "show", "dev", "x0")
    finally:
        far.target.sh("tc", "qdisc", "del", "dev", "x0", "root")


def can_delay(far):
    add = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    return subprocess.run(["unshare", "-n", *add], capture_output=True, check=False).returncode == 0


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


def test_a_delay_is_real_proven_and_undone_or_refused_by_a_kernel_without_netem(far):
    if not can_delay(far):
        refused_without_netem(far)
        return
    fault, ctx = make("delay", peer=PEER, peer_port=PORT, by="300ms"), far.context()
    fault.ready(ctx)
    undo = fault.undo(ctx)
    carry_out(ctx, undo, 2)
    assert fault.active(ctx) is False
    try:
        assert fault.inject(ctx)["shown_by"] == "connection"
        assert fault.active(ctx) is True
    finally:
        carry_out(ctx, undo, 2)
    assert fault.active(ctx) is False
    assert "noqueue 0:" in far.target.sh("tc", "qdisc", "show", "dev", "x0")


@pytest.mark.parametrize("name", ["network.drop", "path.cut"])
def test_a_drill_with_it_passes(far, tmp_path, name):
    """With plan, journal, lease, proofs and undo; each with its restore: by `path.cut` behind a relay without `control`."""
    (tmp_path / "drills").mkdir()
    (tmp_path / "hosts.yml").write_text(
        f"environment: lab\nhosts:\n  far: {{address: {TARGET}, port: {far.sshd.port}, user: {far.sshd.user}, "
        f"identity: {far.sshd.client_key}, known_hosts: {far.sshd.known_hosts}, scratch: {far.folder}, lease: {{boot: none}}}}\n"
        f"  peer: {{address: {PEER}}}\n"
        "services:\n  app: {kind: process, host: far}\n"
        f"  path: {{kind: relay, host: far, address: {PEER}, port: {PORT}, reach: ssh, to: behind}}\n"
        f"  behind: {{kind: redis, host: peer, address: {PEER}, port: {PORT}}}\n"
    )
    connect = (
        f"command.run: {{argv: [timeout, '5', bash, -c, 'exec 3<>/dev/tcp/{PEER}/{PORT}'], effect: read}}\n    hosts: far\n"
    )
    cut = {
        "network.drop": (
            f"network.drop: {{peer: {PEER}, peer_port: {PORT}}}\n    hosts: far\nrestore:\n"
            f"  - network.open: {{peer: {PEER}, peer_port: {PORT}}}\n    hosts: far\n"
        ),
        "path.cut": "path.cut: {service: path}\nrestore:\n  - path.open: {service: path}\n",
    }[name]
    (tmp_path / "drills" / "cut.yml").write_text(
        f"drill: cut\ntitle: Cut off from a peer\nservice: app\nready:\n  - {connect}inject:\n  - {cut}verify:\n  - {connect}"
    )
    found = inventory.load(tmp_path / "hosts.yml")
    made = planner.make(spec.load(tmp_path / "drills" / "cut.yml"), found)
    folder, view = Orchestrator(Project(tmp_path), found, lambda event: None).run(made)
    events = read(folder / FILE).events
    proofs = [(event.kind, event.data["active"]) for event in events if event.kind in ("fault.active", "fault.gone")]
    assert proofs == [("fault.active", True), ("fault.gone", False)], (view.result.reason, view.result.findings)
    assert [event.data["what"] for event in events if event.kind == "lease.armed"] == [name]
    assert view.result.residue == ()
    assert view.result.verdict is Verdict.PASSED, view.result.reason


EXAMPLES = {
    "linux-capture": (),
    "linux-filters": (),
    "linux-network-delay": (("10.0.0.7", PEER), ("5432", str(PORT))),
    "linux-network-drop": (("10.0.0.7", PEER), ("5432", str(PORT))),
    "linux-network-reset": (("8000", str(PORT)),),
}
"""Names of examples, and what is replaced in each."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_passes_between_these_machines(far, tmp_path, name):
    """On a kernel without sch_netem, the example with a delay is refused, with the remedy, and injects nothing."""
    if name == "linux-capture":
        need("tcpdump")
    host = (
        f"{{address: {TARGET}, port: {far.sshd.port}, user: {far.sshd.user}, identity: {far.sshd.client_key}, "
        f"known_hosts: {far.sshd.known_hosts}, scratch: {far.folder}/NAME, lease: {{boot: none}}}}"
    )
    (tmp_path / "hosts.yml").write_text(
        f"environment: lab\nhosts:\n  app-1: {host}\n  db-1: {host}\n".replace("/NAME", "/a", 1).replace("/NAME", "/b")
        + f"services:\n  api: {{kind: http, host: app-1, url: 'http://{TARGET}:{PORT}', port: {PORT}}}\n"
        f"  database: {{kind: redis, host: db-1, address: {PEER}, port: {PORT}}}\n"
    )
    (tmp_path / f"{name}.yml").write_text(replaced(name, *EXAMPLES[name]))
    found = inventory.load(tmp_path / "hosts.yml")
    made = planner.make(spec.load(tmp_path / f"{name}.yml"), found)
    with connecting(far):
        folder, view = Orchestrator(Project(tmp_path), found, lambda event: None).run(made)
    assert view.result.residue == ()
    if name == "linux-network-delay" and not can_delay(far):
        assert view.result.verdict is Verdict.REFUSED, view.result
        (found,) = view.result.findings
        assert (found.code, "sch_netem" in found.remedy) == ("not-ready", True), found
        assert "its kernel cannot delay packets: " in found.measured
        assert not [event.kind for event in read(folder / FILE).events if event.kind.startswith("fault.")]
        return
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    if name == "linux-capture":
        assert view.result.steps[0].facts["connections"] > 0
    proofs = [(event.kind, event.data["active"]) for event in read(folder / FILE).events if event.kind.startswith("fault.")]
    assert proofs == ([("fault.active", True), ("fault.gone", False)] if "-network-" in name else [])


@contextlib.contextmanager
def connecting(far):
    """Connect to the target's port again and again, from the target itself."""
    script = 'while :; do (exec 3<>"/dev/tcp/$0/$1"); sleep 0.1; done'
    child = subprocess.Popen(
        [*far.target.enter, "bash", "-c", script, TARGET, str(PORT)], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("name", "fields"),
    [("drop", {"tool": "nft"}), ("reset", {"tool": "iptables"}), ("delay", {"by": "200ms"})],
)
def test_opening_removes_the_faults_of_this_run_alone(far, name, fields):
    if name == "delay" and not can_delay(far):
        refused_without_netem(far)  # so there is never a delay to remove
        return
    mine, other = far.context(step="inject.2"), far.context(run="20260101T000000Z-test-0002")
    kept = make("drop", peer=PEER, peer_port=OTHER_PORT)
    fault = make(name, peer=PEER, peer_port=PORT, **fields)
    try:
        kept.inject(other)
        fault.inject(mine)
        assert fault.active(mine) is True
        opener, ctx = make("open", peer=PEER, peer_port=PORT), far.context(step="restore.1")
        opener.ready(ctx)
        facts = opener.run(ctx)
        assert (len(facts["rules"]), facts["delays"]) == ((0, ["x0"]) if name == "delay" else (1, []))
        assert facts["seconds"] is not None
        assert fault.active(mine) is False
        assert kept.active(other) is True
        assert opener.run(ctx)["rules"] == []
        with pytest.raises(StepFailed, match="the network is not open"):
            make("open", peer=PEER, peer_port=OTHER_PORT).run(ctx)
    finally:
        carry_out(mine, fault.undo(mine))
        carry_out(other, kept.undo(other))


def test_delays_of_this_run_are_found_in_the_list_of_queues(far):
    """In the form of iproute2 6.1, also if the kernel of this machine has no queues."""
    mine, other = far.context(step="inject.2"), far.context(run="20260101T000000Z-test-0002")
    held = "qdisc noqueue 0: dev lo root refcnt 2 \n" + "".join(
        f"qdisc prio {major}: dev {device} root refcnt 2 bands {bands} priomap  0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        f"qdisc netem {number}: dev {device} parent {major}:4 limit 20000 delay 200ms\n"
        for number, (device, major, bands) in enumerate(
            [("x0", major_of(mine), 4), ("t0", major_of(other), 4), ("y0", major_of(mine), 3)], 8001
        )
    )
    assert own_queues(mine, held) == [("x0", major_of(mine))]


def test_the_rule_that_drops_is_found_and_no_other(far):
    """With the filters' own tools, for both filters: rules of a drill, foreign rules, and rules that accept the packets."""
    ctx, look = far.context(), Filters(address=PEER, port=PORT)

    def said(action=look):
        return [(one["certain"], one["drillbook"], one["verdict"], one["rule"]) for one in action.run(ctx)["rules"]]

    assert said() == []
    for tool, words in (("iptables", "-j DROP"), ("nft", "drop")):
        fault = make("drop", peer=PEER, peer_port=PORT, tool=tool)
        try:
            fault.inject(ctx)
            assert {one[:3] for one in said()} == {(True, True, "drop")}
            assert all(str(PORT) in one[3] and words in one[3] and ctx.run_id in one[3] for one in said()), said()
            assert said(Filters(address=PEER, port=OTHER_PORT)) == []
        finally:
            carry_out(ctx, fault.undo(ctx))
    theirs = ["-p", "tcp", "-m", "multiport", "--dports", f"7000:{PORT}", "-j", "REJECT"]
    passes = ["-p", "tcp", "-d", "10.99.2.0/24", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"]
    far.target.sh("iptables", "-N", "theirs")
    try:
        far.target.sh("iptables", "-A", "OUTPUT", "!", "-d", CONTROLLER, "-j", "theirs")
        far.target.sh("iptables", "-A", "theirs", *theirs)
        assert [one[:3] for one in said()] == [(True, False, "reject")]
        assert (far.connects(), look.run(ctx)["dropping"]) == ("refused", 1)
        far.target.sh("iptables", "-I", "theirs", *passes)
        assert (far.connects(), said()) == ("connects", [])
        far.target.sh("iptables", "-R", "theirs", "1", "-m", "owner", "--uid-owner", "0", *passes)
        assert [one[:3] for one in said()] == [(False, False, "reject")], "whom a rule asks for is not known of a packet"
    finally:
        for words in (["-D", "OUTPUT", "!", "-d", CONTROLLER, "-j", "theirs"], ["-F", "theirs"], ["-X", "theirs"]):
            far.target.sh("iptables", *words)
    with pytest.raises(CouldNotVerify, match="cannot be read"):
        look.run(far.context(host=Lowered(far.host)))


def test_a_path_behind_a_relay_without_control_is_cut_by_own_rules_and_opened_again(far):
    """The rules of another run stay."""
    services = {
        "path": Relay(name="path", host="far", address=PEER, port=PORT, reach="ssh", to="behind"),
        "behind": Redis(name="behind", host="peer", address=PEER, port=PORT),
    }
    ctx = dataclasses.replace(far.context(), services=services)
    cut, opening = (find(f"path.{name}").model_validate({"service": "path"}) for name in ("cut", "open"))
    others, their = make("drop", peer=PEER, peer_port=OTHER_PORT), far.context(run="20260101T000000Z-test-0002")
    others.inject(their)
    try:
        cut.ready(ctx)
        undo = cut.undo(ctx)
        assert cut.active(ctx) is False
        facts = cut.inject(ctx)
        assert facts["means"] == "filter"
        assert cut.active(ctx) is True
        assert far.connects() == "hangs"
        with pytest.raises(NotReady, match="cannot be controlled"):
            find("relay.drop").model_validate({"service": "path"}).ready(ctx)
        assert opening.run(ctx)["rules"] == [facts["rules"]]
        assert cut.active(ctx) is False
        assert opening.run(ctx)["rules"] == []
        carry_out(ctx, undo)
        assert (far.connects(), far.connects(OTHER_PORT)) == ("connects", "hangs"), "and the other run's is there"
        nft = make("drop", peer_port=PORT, tool="nft")
        nft.inject(ctx)
        assert opening.run(ctx)["rules"] == [facts["rules"]], "whichever tool made it"
        assert far.connects() == "connects"
    finally:
        carry_out(their, others.undo(their))


class Lowered:
    """The target for an account other than root."""

    def __init__(self, host):
        self.host, self.name, self.target = host, host.name, host.target

    def run(self, argv, **options):
        return self.host.run(["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", *argv], **options)
